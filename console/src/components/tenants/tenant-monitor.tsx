import { useQuery } from '@tanstack/react-query'
import { RefreshCw } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import { BulkRetry } from './bulk-retry'
import { FLEET_COUNTS, type FleetCountsQuery } from './generated/operations'
import { plain } from './lib/amounts'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { cn } from './lib/classes'
import { Filters } from './monitor-filters'
import { Panels, Stops } from './monitor-panels'
import { changed, filterOf, type MonitorView, type ViewProps, withChange } from './monitor-view'
import { TenantDrawer } from './tenant-drawer'
import { TenantTable } from './tenant-table'
import { tenantsPage } from './tenants-page'
import { Button } from './ui/button'
import { Dialog } from './ui/dialog'
import { Card, Empty, Failure, Loading } from './ui/parts'
import { STATE_WORDS } from './ui/states'
import { withQueries } from './with-queries'

export type { MonitorView, OnView } from './monitor-view'

export interface TenantMonitorProps extends ProjectAccess, ViewProps {}

/** All tenants of a project, for operators. */
export const TenantMonitor = withQueries(Monitor)

function Monitor({ view, onView, ...access }: TenantMonitorProps) {
  const [isRetrying, setRetrying] = useState(false)
  const isRetryWanted = useEver(isRetrying)
  const isDrawerWanted = useEver(view.tenant !== undefined)
  const page = useQuery(tenantsPage(access, view))
  const isListShown = useAfterPaint(!page.isPending)
  const counts = useQuery<FleetCountsQuery, ApiError>({
    queryKey: ['fleet-counts'],
    queryFn: ({ signal }) => request(access, FLEET_COUNTS, {}, signal),
    refetchInterval: 15_000,
    enabled: isListShown,
  })
  if (page.error?.code === 'forbidden' || counts.error?.code === 'forbidden')
    return (
      <Card>
        <Empty title="For operators">
          Operators see the tenants of everybody. Ask the owner of this project to make you one.
        </Empty>
      </Card>
    )
  const rows = page.data?.tenants?.nodes ?? []
  return (
    <div className="space-y-6">
      {counts.error && !page.error ? (
        <Failure error={counts.error} onRetry={() => void counts.refetch()} />
      ) : null}
      <Counts
        counts={counts.data}
        isUnknown={(counts.error ?? page.error) !== null && counts.data === undefined}
        view={view}
        onView={onView}
      />
      <Stops pauses={counts.data?.pauses ?? null} />
      <Panels
        access={access}
        pauses={counts.data?.pauses ?? null}
        isEnabled={isListShown}
        view={view}
        onView={onView}
      />
      <Card>
        <Filters access={access} isEnabled={isListShown} view={view} onView={onView} />
        {page.error ? (
          <div className="p-5">
            <Failure error={page.error} onRetry={() => void page.refetch()} />
          </div>
        ) : null}
        {page.isPending ? (
          <Loading what="the tenants" rows={10} />
        ) : page.data === undefined ? null : rows.length === 0 ? (
          <Empty title="There are no such tenants">Take a filter away to see more.</Empty>
        ) : (
          <TenantTable
            rows={rows}
            isOld={page.isPlaceholderData}
            onOpen={({ id }) => onView(withChange(view, { tenant: id }))}
          />
        )}
        <div className="flex flex-wrap items-center gap-2 border-t px-5 py-3">
          <Paging
            page={page.isPlaceholderData ? undefined : (page.data?.tenants ?? undefined)}
            view={view}
            onView={onView}
          />
          <Button variant="outline" size="small" className="ml-auto" onClick={() => setRetrying(true)}>
            <RefreshCw aria-hidden />
            Try failed ones again
          </Button>
        </div>
      </Card>
      {isDrawerWanted ? (
        <TenantDrawer
          access={access}
          id={view.tenant}
          onClose={() => onView(withChange(view, { tenant: undefined }))}
        />
      ) : null}
      {isRetryWanted ? (
        <Dialog title="Try failed tenants again" isOpen={isRetrying} onClose={() => setRetrying(false)}>
          <BulkRetry
            access={access}
            filter={filterOf(view)}
            onReason={(code) => onView(changed(view, { code }))}
            onClose={() => setRetrying(false)}
          />
        </Dialog>
      ) : null}
    </div>
  )
}

/** Whether it has been so once. A dialog that is closed takes longer to render than a row, and waits until it is wanted. */
function useEver(isSo: boolean): boolean {
  const [wasSo, setWasSo] = useState(isSo)
  if (isSo && !wasSo) setWasSo(true)
  return wasSo || isSo
}

/** Whether what came with `isThere` has been painted: what is asked for then takes nothing from the list's time. */
function useAfterPaint(isThere: boolean): boolean {
  const [isPainted, setPainted] = useState(false)
  useEffect(() => {
    if (!isThere) return
    let frame = requestAnimationFrame(() => {
      frame = requestAnimationFrame(() => setPainted(true))
    })
    return () => cancelAnimationFrame(frame)
  }, [isThere])
  return isPainted
}

interface PagingProps extends ViewProps {
  readonly page: { readonly hasNextPage: boolean; readonly endCursor: string | null } | undefined
}

/** Cursors lead forwards alone: the way back is remembered, and from a page that was opened by its address leads to the first. */
function Paging({ page, view, onView }: PagingProps) {
  const before = useRef(new Map<string, string | undefined>())
  const isKnown = view.after !== undefined && before.current.has(view.after)
  return (
    <>
      <Button
        variant="outline"
        size="small"
        disabled={view.after === undefined}
        onClick={() =>
          onView(withChange(view, { after: isKnown ? before.current.get(view.after ?? '') : undefined }))
        }
      >
        {view.after === undefined || isKnown ? 'Previous' : 'First page'}
      </Button>
      <Button
        variant="outline"
        size="small"
        disabled={!page?.hasNextPage}
        onClick={() => {
          if (!page?.endCursor) return
          before.current.set(page.endCursor, view.after)
          onView(withChange(view, { after: page.endCursor }))
        }}
      >
        Next
      </Button>
    </>
  )
}

/** A number that is about to come. */
const Awaited = () => (
  <>
    <span aria-hidden>…</span>
    <span className="sr-only">Loading the counts…</span>
  </>
)

interface CountsProps extends ViewProps {
  readonly counts: FleetCountsQuery | undefined
  /** They could not be had. */
  readonly isUnknown: boolean
}

function Counts({ counts, isUnknown, view, onView }: CountsProps) {
  const found = counts?.tenantCounts ?? undefined
  const inWords = ({ count, exact }: { count: number; exact: boolean }, isEstimate = false) =>
    exact ? plain(count) : `${isEstimate ? '≈ ' : ''}${plain(count)}${isEstimate ? '' : '+'}`
  const byStatus = new Map(found?.byStatus.map((each) => [each.status, each]))
  const unhealthy = found?.byHealth.find(({ health }) => health === 'UNHEALTHY')
  const tiles: readonly {
    title: string
    value: string | undefined
    isOn: boolean
    change: () => MonitorView
  }[] = [
    {
      title: 'All tenants',
      value: found && inWords(found.total, true),
      isOn: Object.keys(filterOf(view)).length === 0,
      change: () => ({}),
    },
    ...(['READY', 'PROVISIONING', 'FAILED'] as const).map((status) => {
      const count = byStatus.get(status)
      return {
        title: STATE_WORDS[status],
        value: count && inWords(count, status === 'READY'),
        isOn: view.status === status,
        change: () => changed({}, { status }),
      }
    }),
    {
      title: 'Unhealthy',
      value: unhealthy && inWords(unhealthy),
      isOn: view.health === 'UNHEALTHY',
      change: () => changed({}, { health: 'UNHEALTHY' }),
    },
    {
      title: 'With open alerts',
      value: found && inWords(found.openAlerts),
      isOn: view.alerts === true,
      change: () => changed({}, { alerts: true }),
    },
  ]
  return (
    <div className="grid grid-cols-2 gap-3 sm:grid-cols-3 lg:grid-cols-6">
      {tiles.map(({ title, value, isOn, change }) => (
        <button
          key={title}
          type="button"
          aria-pressed={isOn}
          onClick={() => onView(change())}
          className={cn(
            'rounded-xl border bg-card p-4 text-left hover:border-input',
            isOn && 'border-primary outline outline-primary',
          )}
        >
          <span className="block text-sm text-muted-foreground">{title}</span>
          <span className="mt-1 block text-2xl font-semibold tabular-nums">
            {value ?? (isUnknown ? '–' : <Awaited />)}
          </span>
        </button>
      ))}
    </div>
  )
}
