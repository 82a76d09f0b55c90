import { keepPreviousData, useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { RefreshCw, Search, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import {
  FLEET_COUNTS,
  type FleetCountsQuery,
  type HealthState,
  type ProvisioningState,
  RETRY_TENANTS,
  type RetryTenantsMutation,
  TENANT_DETAILS,
  TENANTS,
  type TenantDetailsQuery,
  type TenantFilter,
  type TenantRowFragment,
  type TenantSort,
  type TenantsQuery,
} from './generated/operations'
import { plain } from './lib/amounts'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { cn } from './lib/classes'
import { Ago, Moment } from './lib/time'
import { sentenceCase } from './lib/words'
import { Button } from './ui/button'
import { Dialog } from './ui/dialog'
import { Badge, Card, Empty, Failure, inputClass, Loading, Notice, Spinner } from './ui/parts'
import { HEALTH_TONES, HEALTH_WORDS, STATE_TONES, STATE_WORDS } from './ui/states'
import { withQueries } from './with-queries'

/** What the list shows: all of it fits into an address, so that a view can be sent to somebody. */
export interface MonitorView {
  readonly status?: ProvisioningState
  readonly health?: HealthState
  readonly search?: string
  readonly code?: string
  readonly alerts?: true
  readonly sort?: TenantSort
  /** The cursor of the row before the page. */
  readonly after?: string
}

export interface TenantMonitorProps extends ProjectAccess {
  readonly view: MonitorView
  readonly onView: (view: MonitorView) => void
}

const PAGE = 50
const STATES: readonly ProvisioningState[] = ['PENDING', 'PROVISIONING', 'READY', 'FAILED', 'CANCELLED']
const HEALTHS: readonly HealthState[] = ['HEALTHY', 'SLEEPING', 'DEGRADED', 'UNHEALTHY', 'UNKNOWN']
const SORTS: Readonly<Record<TenantSort, string>> = {
  CREATED_AT_DESC: 'Newest first',
  CREATED_AT_ASC: 'Oldest first',
  NAME_ASC: 'Name, A to Z',
  NAME_DESC: 'Name, Z to A',
  SLUG_ASC: 'Slug, A to Z',
  SLUG_DESC: 'Slug, Z to A',
}

/** All tenants of a project, for operators. */
export const TenantMonitor = withQueries(Monitor)

function Monitor({ view, onView, ...access }: TenantMonitorProps) {
  const [opened, setOpened] = useState<TenantRowFragment>()
  const [isRetrying, setRetrying] = useState(false)
  const counts = useQuery<FleetCountsQuery, ApiError>({
    queryKey: ['fleet-counts'],
    queryFn: ({ signal }) => request(access, FLEET_COUNTS, {}, signal),
    refetchInterval: 15_000,
  })
  const filter = filterOf(view)
  const sort = view.sort ?? 'CREATED_AT_DESC'
  const page = useQuery<TenantsQuery, ApiError>({
    queryKey: ['tenants', filter, sort, view.after],
    queryFn: ({ signal }) =>
      request(access, TENANTS, { filter, sort, page: { first: PAGE, after: view.after ?? null } }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
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
      <Counts counts={counts.data} view={view} onView={onView} />
      {counts.data?.pauses?.map(({ scope, name, label, reason }) => (
        <Notice
          key={`${scope} ${name}`}
          tone="warning"
          title={scope === 'EVERYTHING' ? 'All work is paused' : `${label} is paused`}
        >
          {reason}
        </Notice>
      ))}
      <Card>
        <Filters view={view} onView={onView} />
        {page.error ? (
          <div className="p-5">
            <Failure error={page.error} onRetry={() => void page.refetch()} />
          </div>
        ) : null}
        {page.isPending ? (
          <Loading what="the tenants" rows={10} />
        ) : rows.length === 0 ? (
          <Empty title="There are no such tenants">Take a filter away to see more.</Empty>
        ) : (
          <Table rows={rows} isOld={page.isPlaceholderData} onOpen={setOpened} />
        )}
        <div className="flex flex-wrap items-center gap-2 border-t px-5 py-3">
          <Button variant="outline" size="small" disabled={!view.after} onClick={() => history.back()}>
            Previous
          </Button>
          <Button
            variant="outline"
            size="small"
            disabled={!page.data?.tenants?.hasNextPage || page.isPlaceholderData}
            onClick={() => {
              const after = page.data?.tenants?.endCursor
              if (after) onView({ ...view, after })
            }}
          >
            Next
          </Button>
          <Button variant="outline" size="small" className="ml-auto" onClick={() => setRetrying(true)}>
            <RefreshCw aria-hidden />
            Try failed ones again
          </Button>
        </div>
      </Card>
      <Dialog title={opened?.name ?? ''} isOpen={opened !== undefined} onClose={() => setOpened(undefined)}>
        {opened ? <Details access={access} tenant={opened} onClose={() => setOpened(undefined)} /> : null}
      </Dialog>
      <Dialog title="Try failed tenants again" isOpen={isRetrying} onClose={() => setRetrying(false)}>
        <BulkRetry
          access={access}
          filter={filter}
          onReason={(code) => onView(changed(view, { code }))}
          onClose={() => setRetrying(false)}
        />
      </Dialog>
    </div>
  )
}

function filterOf({ status, health, search, code, alerts }: MonitorView): TenantFilter {
  return {
    ...(status ? { status: [status] } : {}),
    ...(health ? { health: [health] } : {}),
    ...(search ? { search } : {}),
    ...(code ? { errorCode: [code] } : {}),
    ...(alerts ? { hasOpenAlerts: true } : {}),
  }
}

/** Another view of the first page; what is undefined is left out. */
function changed(
  view: MonitorView,
  change: { readonly [Key in keyof MonitorView]?: MonitorView[Key] | undefined },
): MonitorView {
  const { after: _, ...rest } = view
  return Object.fromEntries(Object.entries({ ...rest, ...change }).filter(([, value]) => value !== undefined))
}

interface ViewProps {
  readonly view: MonitorView
  onView(view: MonitorView): void
}

function Counts({ counts, view, onView }: ViewProps & { counts: FleetCountsQuery | undefined }) {
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
          <span className="mt-1 block text-2xl font-semibold tabular-nums">{value ?? '…'}</span>
        </button>
      ))}
    </div>
  )
}

function Filters({ view, onView }: ViewProps) {
  const [text, setText] = useState(view.search ?? '')
  useEffect(() => setText(view.search ?? ''), [view.search])
  useEffect(() => {
    if (text.trim() === (view.search ?? '')) return
    const timer = setTimeout(() => onView(changed(view, { search: text.trim() || undefined })), 250)
    return () => clearTimeout(timer)
  }, [text, view, onView])
  return (
    <div className="space-y-3 border-b px-5 py-4">
      <div className="flex flex-wrap gap-3">
        <label className="relative min-w-0 flex-1 basis-64">
          <span className="sr-only">Search by name, slug or billing address</span>
          <Search aria-hidden className="absolute top-3 left-3 size-4 text-muted-foreground" />
          <input
            type="search"
            className={cn(inputClass, 'pl-9')}
            placeholder="Name, slug or billing address"
            value={text}
            onChange={({ target }) => setText(target.value)}
          />
        </label>
        <Choose
          label="State"
          all="Every state"
          value={view.status}
          words={STATE_WORDS}
          values={STATES}
          onChoose={(status) => onView(changed(view, { status }))}
        />
        <Choose
          label="Health"
          all="Every health"
          value={view.health}
          words={HEALTH_WORDS}
          values={HEALTHS}
          onChoose={(health) => onView(changed(view, { health }))}
        />
        <label className="flex-1 sm:flex-none">
          <span className="sr-only">Order</span>
          <select
            className={inputClass}
            value={view.sort ?? 'CREATED_AT_DESC'}
            onChange={({ target }) => onView(changed(view, { sort: target.value as TenantSort }))}
          >
            {Object.entries(SORTS).map(([sort, title]) => (
              <option key={sort} value={sort}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      {view.code || view.alerts ? (
        <div className="flex flex-wrap gap-2">
          {view.code ? (
            <Chip
              title={`Failed: ${view.code}`}
              onRemove={() => onView(changed(view, { code: undefined }))}
            />
          ) : null}
          {view.alerts ? (
            <Chip title="With open alerts" onRemove={() => onView(changed(view, { alerts: undefined }))} />
          ) : null}
        </div>
      ) : null}
    </div>
  )
}

function Chip({ title, onRemove }: { title: string; onRemove(): void }) {
  return (
    <Badge tone="info" className="pr-1">
      {title}
      <button
        type="button"
        aria-label={`Remove the filter ${title}`}
        onClick={onRemove}
        className="rounded-full p-1"
      >
        <X aria-hidden className="size-4" />
      </button>
    </Badge>
  )
}

interface ChooseProps<Value extends string> {
  readonly label: string
  readonly all: string
  readonly value: Value | undefined
  readonly values: readonly Value[]
  readonly words: Readonly<Record<Value, string>>
  onChoose(value: Value | undefined): void
}

function Choose<Value extends string>({ label, all, value, values, words, onChoose }: ChooseProps<Value>) {
  return (
    <label className="flex-1 sm:flex-none">
      <span className="sr-only">{label}</span>
      <select
        className={inputClass}
        value={value ?? ''}
        onChange={({ target }) => onChoose(values.find((each) => each === target.value))}
      >
        <option value="">{all}</option>
        {values.map((each) => (
          <option key={each} value={each}>
            {words[each]}
          </option>
        ))}
      </select>
    </label>
  )
}

function Table({
  rows,
  isOld,
  onOpen,
}: {
  rows: readonly TenantRowFragment[]
  isOld: boolean
  onOpen(row: TenantRowFragment): void
}) {
  return (
    <div aria-busy={isOld} className="overflow-x-auto">
      <table className="w-full text-left text-sm">
        <caption className="sr-only">Tenants</caption>
        <thead className="hidden text-muted-foreground md:table-header-group">
          <tr className="border-b">
            {['Tenant', 'State', 'Health', 'Alerts', 'Plan', 'Region', 'Since'].map((title) => (
              <th key={title} scope="col" className="px-5 py-2.5 font-medium whitespace-nowrap">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y">
          {rows.map((row) => (
            <tr key={row.id} className="block px-5 py-3 hover:bg-muted/50 md:table-row md:px-0 md:py-0">
              <th scope="row" className="block max-w-80 font-normal md:table-cell md:px-5 md:py-3">
                <button
                  type="button"
                  className="text-left font-medium break-words underline-offset-4 hover:underline"
                  onClick={() => onOpen(row)}
                >
                  {row.name}
                </button>
                <span className="block break-all text-muted-foreground">{row.ownerEmail ?? row.slug}</span>
              </th>
              <td className="inline-block py-1 pr-2 md:table-cell md:px-5 md:py-3">
                <Badge tone={STATE_TONES[row.status]}>{STATE_WORDS[row.status]}</Badge>
              </td>
              <td className="inline-block py-1 pr-2 md:table-cell md:px-5 md:py-3">
                <Badge tone={HEALTH_TONES[row.health]}>{HEALTH_WORDS[row.health]}</Badge>
              </td>
              <td className="inline-block py-1 pr-2 tabular-nums md:table-cell md:px-5 md:py-3">
                {row.openAlerts > 0 ? <Badge tone="danger">{row.openAlerts}</Badge> : null}
              </td>
              <td className="inline-block py-1 pr-3 text-muted-foreground md:table-cell md:px-5 md:py-3">
                {sentenceCase(row.plan)}
              </td>
              <td className="inline-block py-1 pr-3 whitespace-nowrap text-muted-foreground md:table-cell md:px-5 md:py-3">
                {row.dataRegion}
              </td>
              <td className="inline-block py-1 whitespace-nowrap text-muted-foreground md:table-cell md:px-5 md:py-3">
                <Ago at={row.createdAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}

const CHECK_TONES = { OK: 'success', WARNING: 'warning', WAITING: 'info', FAILED: 'danger' } as const
const CHECK_WORDS = { OK: 'Fine', WARNING: 'Look', WAITING: 'Waiting', FAILED: 'Failed' } as const

function Details({
  access,
  tenant,
  onClose,
}: {
  access: ProjectAccess
  tenant: TenantRowFragment
  onClose(): void
}) {
  const details = useQuery<TenantDetailsQuery, ApiError>({
    queryKey: ['tenant', tenant.id],
    queryFn: ({ signal }) => request(access, TENANT_DETAILS, { subject: tenant.id }, signal),
  })
  const found = details.data?.tenantVerification
  return (
    <div className="space-y-4 text-sm">
      {details.error ? <Failure error={details.error} onRetry={() => void details.refetch()} /> : null}
      {details.isPending ? <Loading what="the checks" rows={6} /> : null}
      {found ? (
        <>
          <p className="font-medium">{found.verdict.summary}</p>
          {found.verdict.remedy ? <Notice tone="warning">{found.verdict.remedy.text}</Notice> : null}
          <ul className="divide-y rounded-lg border">
            {found.checks.map(({ check, status, found: text, remedy }) => (
              <li key={check} className="flex items-start gap-3 px-3 py-2">
                <Badge tone={CHECK_TONES[status]}>{CHECK_WORDS[status]}</Badge>
                <div className="min-w-0">
                  <p className="font-medium">{sentenceCase(check)}</p>
                  <p className="break-words text-muted-foreground">{text}</p>
                  {remedy ? <p className="break-words">{remedy.text}</p> : null}
                </div>
              </li>
            ))}
          </ul>
          <details>
            <summary>Audit log</summary>
            <ul className="mt-2 space-y-1 text-muted-foreground">
              {found.audit.map(({ id, action, actorType, createdAt }) => (
                <li key={id}>
                  <Moment at={createdAt} /> · {action} · {actorType}
                </li>
              ))}
            </ul>
          </details>
        </>
      ) : null}
      <div className="flex justify-end">
        <Button variant="outline" onClick={onClose}>
          Close
        </Button>
      </div>
    </div>
  )
}

const PORTION = 100

interface BulkRetryProps {
  readonly access: ProjectAccess
  readonly filter: TenantFilter
  onReason(code: string): void
  onClose(): void
}

/** First counts, by reason; then tries them again in portions, after everybody who waits for something. */
function BulkRetry({ access, filter, onReason, onClose }: BulkRetryProps) {
  const client = useQueryClient()
  const dry = useQuery<RetryTenantsMutation, ApiError>({
    queryKey: ['bulk-retry', filter],
    queryFn: () => request(access, RETRY_TENANTS, { filter, dryRun: true, first: PORTION }),
    staleTime: 0,
  })
  const [done, setDone] = useState(0)
  const retry = useMutation<number, ApiError>({
    mutationFn: async () => {
      let total = 0
      let last: RetryTenantsMutation['retryTenants']
      do {
        last = (await request(access, RETRY_TENANTS, { filter, dryRun: false, first: PORTION })).retryTenants
        total += last.retried
        setDone(total)
      } while (last.retried > 0 && last.remaining > 0)
      return total
    },
    onSettled: () => client.invalidateQueries(),
  })
  const found = dry.data?.retryTenants
  const failure = dry.error ?? retry.error
  return (
    <div className="space-y-4 text-sm">
      {failure ? <Failure error={failure} /> : null}
      {dry.isPending ? <Loading what="the number" rows={2} /> : null}
      {retry.isSuccess ? (
        <Notice tone="success">
          {plain(retry.data)} tenants are tried again. People who wait for something go first.
        </Notice>
      ) : found && found.matched === 0 ? (
        <p className="text-muted-foreground">None of the tenants of this view has failed.</p>
      ) : found ? (
        <>
          <p>
            {found.exact ? '' : 'More than '}
            <strong>{plain(found.matched)}</strong>{' '}
            {found.matched === 1 ? 'tenant of this view has' : 'tenants of this view have'} failed:
          </p>
          <ul className="divide-y rounded-lg border">
            {found.byReason.map(({ code, message, count }) => (
              <li key={code} className="flex items-start gap-3 px-3 py-2">
                <span className="w-14 shrink-0 text-right font-semibold tabular-nums">{plain(count)}</span>
                <div className="min-w-0 flex-1">
                  <p className="break-words">{message}</p>
                  <button
                    type="button"
                    className="font-mono text-xs text-primary underline underline-offset-4"
                    onClick={() => {
                      onReason(code)
                      onClose()
                    }}
                  >
                    {code}
                  </button>
                </div>
              </li>
            ))}
          </ul>
        </>
      ) : null}
      <div className="flex justify-end gap-2">
        <Button variant="outline" onClick={onClose}>
          Close
        </Button>
        {found && found.matched > 0 && !retry.isSuccess ? (
          <Button disabled={retry.isPending} onClick={() => retry.mutate()}>
            {retry.isPending ? <Spinner /> : null}
            {retry.isPending ? `${plain(done)} so far` : `Try ${plain(found.matched)} again`}
          </Button>
        ) : null}
      </div>
    </div>
  )
}
