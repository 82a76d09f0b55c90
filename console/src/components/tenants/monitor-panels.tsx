import { useQuery } from '@tanstack/react-query'
import type { ReactNode } from 'react'
import {
  type BreakerState,
  FLEET_PANELS,
  type FleetCountsQuery,
  type FleetPanelsQuery,
  RETRY_TENANTS,
  type RetryTenantsMutation,
} from './generated/operations'
import { plain } from './lib/amounts'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { cn } from './lib/classes'
import { failureText } from './lib/failure-text'
import { Ago } from './lib/time'
import { sentenceCase } from './lib/words'
import { changed, type ViewProps } from './monitor-view'
import { Badge, Card, Failure, Loading, Notice, type Tone } from './ui/parts'

interface PanelsProps extends ViewProps {
  readonly access: ProjectAccess
  readonly pauses: FleetCountsQuery['pauses']
  /** The list comes first: these wait until it is there. */
  readonly isEnabled: boolean
}

/** Whether the providers answer, which versions the tenants have, and why some have failed. */
export function Panels({ access, pauses, isEnabled, view, onView }: PanelsProps) {
  const panels = useQuery<FleetPanelsQuery, ApiError>({
    queryKey: ['fleet-panels'],
    queryFn: ({ signal }) => request(access, FLEET_PANELS, {}, signal),
    refetchInterval: 30_000,
    enabled: isEnabled,
  })
  const { providers, fleetVersions } = panels.data ?? {}
  return (
    <div className="grid gap-3 lg:grid-cols-3">
      {panels.error && !panels.data ? (
        <Panel title="Providers and schema versions" isReady className="lg:col-span-2">
          <Failure error={panels.error} onRetry={() => void panels.refetch()} />
        </Panel>
      ) : (
        <>
          <Panel title="Providers" isReady={providers !== undefined}>
            <Providers providers={providers ?? []} pauses={pauses ?? []} />
          </Panel>
          <Panel title="Schema versions" isReady={panels.data !== undefined}>
            {fleetVersions ? <Versions fleet={fleetVersions} /> : null}
          </Panel>
        </>
      )}
      <Failures access={access} isEnabled={isEnabled} view={view} onView={onView} />
    </div>
  )
}

interface PanelProps {
  readonly title: string
  readonly isReady: boolean
  readonly className?: string
  readonly children: ReactNode
}

function Panel({ title, isReady, className, children }: PanelProps) {
  return (
    <Card className={cn('min-h-44', className)}>
      <h2 className="px-4 pt-4 text-sm font-semibold">{title}</h2>
      {isReady ? <div className="px-4 pt-2 pb-4 text-sm">{children}</div> : <Loading what={title} rows={3} />}
    </Card>
  )
}

const BREAKER_TONES: Readonly<Record<BreakerState, Tone>> = {
  CLOSED: 'success',
  OPEN: 'danger',
  HALF_OPEN: 'warning',
}
const BREAKER_WORDS: Readonly<Record<BreakerState, string>> = {
  CLOSED: 'Answers',
  OPEN: 'Does not answer',
  HALF_OPEN: 'Is tried again',
}

function Providers({
  providers,
  pauses,
}: {
  providers: NonNullable<FleetPanelsQuery['providers']>
  pauses: NonNullable<FleetCountsQuery['pauses']>
}) {
  if (providers.length === 0) return <p className="text-muted-foreground">No provider has been called yet.</p>
  return (
    <ul className="divide-y">
      {providers.map((each) => {
        const isPaused = pauses.some(({ scope, name }) => scope === 'PROVIDER' && name === each.service)
        return (
          <li key={each.provider} className="space-y-1 py-2 first:pt-0 last:pb-0">
            <div className="flex flex-wrap items-center gap-2">
              <span className="mr-auto font-medium">{each.label}</span>
              <span
                className="text-muted-foreground tabular-nums"
                title={each.callsPerSecond ? `Of ${plain(each.callsPerSecond)} calls a second` : undefined}
              >
                {plain(each.freePercent)} % free
              </span>
              {isPaused ? (
                <Badge tone="warning">Paused</Badge>
              ) : (
                <Badge tone={BREAKER_TONES[each.state]}>{BREAKER_WORDS[each.state]}</Badge>
              )}
            </div>
            {each.waitSeconds > 0 ? (
              <p className="text-muted-foreground">A call waits {plain(each.waitSeconds)} s now.</p>
            ) : null}
            {each.state === 'CLOSED' ? null : (
              <p className="break-words">
                {each.lastError}
                {each.nextTryAt ? (
                  <>
                    {' '}
                    Next try <Ago at={each.nextTryAt} />.
                  </>
                ) : null}
              </p>
            )}
          </li>
        )
      })}
    </ul>
  )
}

type Fleet = NonNullable<FleetPanelsQuery['fleetVersions']>

const MIGRATION_TONES: Readonly<Record<NonNullable<Fleet['migration']>['state'], Tone>> = {
  CANARY: 'info',
  ROLLING: 'info',
  STOPPED: 'danger',
  DONE: 'success',
  CANCELLED: 'neutral',
}
const MIGRATION_WORDS: Readonly<Record<NonNullable<Fleet['migration']>['state'], string>> = {
  CANARY: 'First tenants',
  ROLLING: 'Under way',
  STOPPED: 'Stopped',
  DONE: 'Done',
  CANCELLED: 'Cancelled',
}
/** The rest is for the terminal. */
const SHOWN_VERSIONS = 5

function Versions({ fleet: { versions, migration } }: { fleet: Fleet }) {
  const all = versions.reduce((sum, { tenants }) => sum + tenants, 0)
  if (all === 0) return <p className="text-muted-foreground">No tenant has a database yet.</p>
  return (
    <div className="space-y-3">
      <ul className="space-y-1.5">
        {versions.slice(0, SHOWN_VERSIONS).map(({ version, tenants }) => (
          <li key={String(version)} className="flex items-center gap-3">
            <span className="w-24 shrink-0">{version === null ? 'None yet' : `Version ${version}`}</span>
            <span aria-hidden className="h-2 min-w-0 flex-1 overflow-hidden rounded-full bg-muted">
              <span
                className="block h-full rounded-full bg-primary"
                style={{ width: `${(tenants / all) * 100}%` }}
              />
            </span>
            <span className="shrink-0 tabular-nums">{plain(tenants)}</span>
          </li>
        ))}
      </ul>
      {migration ? (
        <div className="space-y-1 border-t pt-2">
          <div className="flex flex-wrap items-center justify-between gap-2">
            <span>
              To version {migration.toVersion}, <Ago at={migration.endedAt ?? migration.startedAt} />
            </span>
            <Badge tone={MIGRATION_TONES[migration.state]}>{MIGRATION_WORDS[migration.state]}</Badge>
          </div>
          <p className="text-muted-foreground">
            {migration.tenants
              .map(({ state, count }) => `${plain(count)} ${sentenceCase(state).toLowerCase()}`)
              .join(', ')}
          </p>
          {migration.stoppedBecause && migration.state === 'STOPPED' ? (
            <p className="break-words">{migration.stoppedBecause}</p>
          ) : null}
          {migration.errors.length > 0 ? (
            <details>
              <summary>Tenants that failed</summary>
              <ul className="mt-1 space-y-1">
                {migration.errors.map(({ organizationId, slug, message }) => (
                  <li key={organizationId} className="break-words">
                    {slug ?? organizationId}: <span className="text-muted-foreground">{message}</span>
                  </li>
                ))}
              </ul>
            </details>
          ) : null}
        </div>
      ) : null}
    </div>
  )
}

const SHOWN_REASONS = 5

function Failures({ access, isEnabled, view, onView }: Omit<PanelsProps, 'pauses'>) {
  const failures = useQuery<RetryTenantsMutation, ApiError>({
    queryKey: ['failures'],
    // A dry run only counts.
    queryFn: ({ signal }) => request(access, RETRY_TENANTS, { filter: {}, dryRun: true, first: 1 }, signal),
    refetchInterval: 30_000,
    enabled: isEnabled,
  })
  if (failures.error && !failures.data)
    return (
      <Panel title="Failed, by reason" isReady>
        <Failure error={failures.error} onRetry={() => void failures.refetch()} />
      </Panel>
    )
  const { byReason = [] } = failures.data?.retryTenants ?? {}
  return (
    <Panel title="Failed, by reason" isReady={failures.data !== undefined}>
      {byReason.length === 0 ? (
        <p className="text-muted-foreground">No tenant has failed.</p>
      ) : (
        <ul className="space-y-1">
          {byReason.slice(0, SHOWN_REASONS).map(({ code, count }) => (
            <li key={code} className="flex items-start gap-3">
              <div className="min-w-0 flex-1">
                <button
                  type="button"
                  aria-pressed={view.code === code}
                  className="text-left break-words text-primary underline underline-offset-4"
                  onClick={() => onView(changed(view, { code: view.code === code ? undefined : code }))}
                >
                  {failureText(code)}
                </button>
                <p className="font-mono text-xs break-all text-muted-foreground">{code}</p>
              </div>
              <span className="shrink-0 tabular-nums">{plain(count)}</span>
            </li>
          ))}
          {byReason.length > SHOWN_REASONS ? (
            <li className="text-muted-foreground">and {byReason.length - SHOWN_REASONS} more reasons</li>
          ) : null}
        </ul>
      )}
    </Panel>
  )
}

/** What stops work for everybody, before anything else. */
export function Stops({ pauses }: { pauses: FleetCountsQuery['pauses'] }) {
  return (pauses ?? []).map(({ scope, name, label, reason }) => (
    <Notice
      key={`${scope} ${name}`}
      tone="warning"
      title={scope === 'EVERYTHING' ? 'All work is paused' : `${label} is paused`}
    >
      {reason}
    </Notice>
  ))
}
