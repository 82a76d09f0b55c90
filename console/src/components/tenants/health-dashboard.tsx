import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { HeartPulse } from 'lucide-react'
import { useState } from 'react'
import {
  CHECK_HEALTH,
  type CheckHealthMutation,
  HEALTH,
  type HealthBucket,
  type HealthQuery,
} from './generated/operations'
import { bytes, milliseconds, percent, plain } from './lib/amounts'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { cn } from './lib/classes'
import { Ago, Moment } from './lib/time'
import { PointsTable, SeriesChart } from './series-chart'
import { Button } from './ui/button'
import { Badge, Card, CardHeader, Empty, Failure, Loading, Notice, Spinner } from './ui/parts'
import { HEALTH_TONES, HEALTH_WORDS } from './ui/states'
import { Tabs } from './ui/tabs'
import { withQueries } from './with-queries'

export interface HealthDashboardProps extends ProjectAccess {
  readonly organizationId: string
  /** Whether the caller may wake a sleeping database for a check (the permission WAKE_DATABASE). Default false. */
  readonly canWake?: boolean
}

const HOUR_MS = 3_600_000
const RANGES = {
  hour: { title: '1 hour', ms: HOUR_MS, bucket: 'CHECK', gapMs: 20 * 60_000 },
  day: { title: '24 hours', ms: 24 * HOUR_MS, bucket: 'HOUR', gapMs: 2 * HOUR_MS },
  week: { title: '7 days', ms: 7 * 24 * HOUR_MS, bucket: 'HOUR', gapMs: 2 * HOUR_MS },
} as const satisfies Record<string, { title: string; ms: number; bucket: HealthBucket; gapMs: number }>
type Range = keyof typeof RANGES
const RANGE_NAMES: readonly Range[] = ['hour', 'day', 'week']

/** How a tenant's database is and was: state, measurements, availability and alerts. */
export const HealthDashboard = withQueries(Dashboard)

function Dashboard({ organizationId, canWake = false, ...access }: HealthDashboardProps) {
  const [range, setRange] = useState<Range>('day')
  const { ms, bucket } = RANGES[range]
  const client = useQueryClient()
  const health = useQuery<HealthQuery, ApiError>({
    queryKey: ['health', organizationId, range],
    queryFn: ({ signal }) =>
      request(
        access,
        HEALTH,
        { organizationId, bucket, since: new Date(Date.now() - ms).toISOString() },
        signal,
      ),
    refetchInterval: 30_000,
    placeholderData: (before) => before,
  })
  const check = useMutation<CheckHealthMutation, ApiError, boolean>({
    mutationFn: (deep) => request(access, CHECK_HEALTH, { organizationId, deep }),
    onSettled: () => client.invalidateQueries({ queryKey: ['health', organizationId] }),
  })
  if (health.error && !health.data)
    return <Failure error={health.error} onRetry={() => void health.refetch()} />
  if (!health.data)
    return (
      <Card>
        <Loading what="the health" rows={8} />
      </Card>
    )
  const { tenantHealth: now, tenantHealthHistory: points, tenantAlerts: alerts } = health.data
  if (!now)
    return (
      <Card>
        <Empty title="There is no database yet">
          Its health is shown here from the moment that it is set up.
        </Empty>
      </Card>
    )
  return (
    <div className="space-y-6">
      {health.error ? <Failure error={health.error} onRetry={() => void health.refetch()} /> : null}
      <Card>
        <CardHeader
          title="Now"
          actions={
            <Button
              variant="outline"
              size="small"
              disabled={check.isPending}
              onClick={() => check.mutate(canWake)}
            >
              {check.isPending ? <Spinner /> : <HeartPulse aria-hidden />}
              Check now
            </Button>
          }
        />
        <div className="space-y-4 px-5 py-4">
          <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
            <Badge tone={HEALTH_TONES[now.status]} className="text-sm">
              {HEALTH_WORDS[now.status]}
            </Badge>
            <span className="text-sm text-muted-foreground">
              {now.checkedAt ? (
                <>
                  checked <Ago at={now.checkedAt} />
                </>
              ) : (
                'not checked yet'
              )}
              {now.nextCheckAt ? (
                <>
                  , next <Ago at={now.nextCheckAt} />
                </>
              ) : null}
            </span>
          </div>
          {now.status === 'SLEEPING' ? (
            <p className="text-sm text-muted-foreground">
              Nobody has used it for a while, so it sleeps. That is as it should be: it wakes with the next
              query.
            </p>
          ) : null}
          {check.error ? <Failure error={check.error} /> : null}
          {now.reasons.map(({ code, severity, message }) => (
            <Notice
              key={code}
              tone={severity === 'CRITICAL' ? 'danger' : severity === 'WARNING' ? 'warning' : 'info'}
            >
              {message}
            </Notice>
          ))}
          <Measurements metrics={now.metrics} />
        </div>
      </Card>
      <Card>
        <CardHeader title="Over time" />
        <div className="px-5 py-4">
          <Tabs<Range>
            label="Time"
            tabs={RANGE_NAMES.map((name) => ({ name, title: RANGES[name].title }))}
            value={range}
            onChange={setRange}
          >
            <History points={points} range={range} />
          </Tabs>
        </div>
      </Card>
      <Alerts alerts={alerts} />
    </div>
  )
}

function Measurements({ metrics }: { metrics: NonNullable<HealthQuery['tenantHealth']>['metrics'] }) {
  const { latencyMs, connections, maxConnections, cacheHitRatio, sizeBytes, quotaBytes } = metrics
  const shown: readonly (readonly [string, string | undefined, number | undefined])[] = [
    ['Latency', latencyMs === null ? undefined : milliseconds(latencyMs), undefined],
    [
      'Connections',
      connections === null ? undefined : `${connections}${maxConnections ? ` of ${maxConnections}` : ''}`,
      connections !== null && maxConnections ? connections / maxConnections : undefined,
    ],
    [
      'Found in memory',
      cacheHitRatio === null ? undefined : percent(cacheHitRatio),
      cacheHitRatio ?? undefined,
    ],
    [
      'Storage',
      sizeBytes === null ? undefined : `${bytes(sizeBytes)}${quotaBytes ? ` of ${bytes(quotaBytes)}` : ''}`,
      sizeBytes !== null && quotaBytes ? sizeBytes / quotaBytes : undefined,
    ],
  ]
  return (
    <dl className="grid grid-cols-2 gap-4 lg:grid-cols-4">
      {shown.map(([name, value, share]) => (
        <div key={name} className="rounded-lg border p-4">
          <dt className="text-sm text-muted-foreground">{name}</dt>
          <dd
            className={cn(
              'mt-1 text-lg font-semibold tabular-nums',
              value === undefined && 'text-sm font-normal text-muted-foreground',
            )}
          >
            {value ?? 'not measured'}
            {share === undefined ? null : (
              <span aria-hidden className="mt-2 block h-1.5 overflow-hidden rounded-full bg-muted">
                <span
                  className="block h-full rounded-full bg-primary"
                  style={{ width: `${Math.min(share, 1) * 100}%` }}
                />
              </span>
            )}
          </dd>
        </div>
      ))}
    </dl>
  )
}

function History({ points, range }: { points: HealthQuery['tenantHealthHistory']; range: Range }) {
  const { gapMs } = RANGES[range]
  if (points.length === 0)
    return (
      <Empty title="Nothing was measured in this time">
        {range === 'hour'
          ? 'Choose a longer time, or check now.'
          : 'The first full hour after the first check is shown here.'}
      </Empty>
    )
  return (
    <div className="space-y-8">
      <Availability points={points} gapMs={gapMs} />
      <div className="grid gap-8 lg:grid-cols-2">
        <SeriesChart
          title="Latency, median"
          points={points.map(({ at, medianLatencyMs }) => ({ at, value: medianLatencyMs }))}
          gapMs={gapMs}
          print={milliseconds}
        />
        <SeriesChart
          title="Connections"
          points={points.map(({ at, connections }) => ({ at, value: connections }))}
          gapMs={gapMs}
          print={plain}
        />
        <SeriesChart
          title="Found in memory"
          points={points.map(({ at, cacheHitRatio }) => ({ at, value: cacheHitRatio }))}
          gapMs={gapMs}
          print={percent}
        />
        <SeriesChart
          title="Storage"
          points={points.map(({ at, sizeBytes }) => ({ at, value: sizeBytes }))}
          gapMs={gapMs}
          print={bytes}
        />
      </div>
    </div>
  )
}

interface Bar {
  readonly at: string
  readonly availability: number | null
}

/** With an empty bar for each measurement that is missing: a time without checks must not look like a good one. */
function withGaps(points: readonly Bar[], gapMs: number): readonly Bar[] {
  const times = points.map(({ at }) => new Date(at).getTime())
  const distances = times.slice(1).map((time, index) => time - (times[index] ?? time))
  const step = Math.max(1_000, Math.min(...distances))
  return points.flatMap((point, index) => {
    const distance = distances[index] ?? 0
    const missing = distance > gapMs ? Math.min(BARS, Math.round(distance / step) - 1) : 0
    const at = (count: number) => new Date((times[index] ?? 0) + count * step).toISOString()
    return [
      point,
      ...Array.from({ length: missing }, (_, each) => ({ at: at(each + 1), availability: null })),
    ]
  })
}

const BARS = 120

function Availability({ points, gapMs }: { points: HealthQuery['tenantHealthHistory']; gapMs: number }) {
  const known = points.flatMap(({ availability }) => (availability === null ? [] : [availability]))
  const mean = known.reduce((sum, each) => sum + each, 0) / Math.max(known.length, 1)
  const troubled = known.filter((each) => each < 1).length
  return (
    <figure>
      <figcaption className="flex flex-wrap items-baseline justify-between gap-2 text-sm">
        <span className="font-medium">Availability</span>
        <span className="text-muted-foreground">
          <strong className="font-semibold text-foreground">{percent(mean)}</strong>
          {troubled === 0
            ? ', no interruption'
            : `, ${plain(troubled)} of ${known.length} with an interruption`}
        </span>
      </figcaption>
      <div aria-hidden className="mt-2 flex h-9 gap-px overflow-hidden rounded-md">
        {withGaps(points, gapMs)
          .slice(-BARS)
          .map(({ at, availability }) => (
            <span
              key={at}
              title={`${new Date(at).toLocaleString()}: ${availability === null ? 'not measured' : percent(availability)}`}
              className={cn(
                'flex-1',
                availability === null
                  ? 'bg-muted'
                  : availability >= 1
                    ? 'bg-success'
                    : availability > 0.5
                      ? 'bg-warning'
                      : 'bg-destructive',
              )}
            />
          ))}
      </div>
      <PointsTable
        title="Availability"
        points={points.map(({ at, availability }) => ({ at, value: availability }))}
        print={percent}
      />
    </figure>
  )
}

function Alerts({ alerts }: { alerts: HealthQuery['tenantAlerts'] }) {
  return (
    <Card>
      <CardHeader title="Alerts">What needed, or needs, somebody’s attention.</CardHeader>
      {alerts.length === 0 ? (
        <Empty title="There were none">That is good news.</Empty>
      ) : (
        <ul className="divide-y">
          {alerts.map(({ id, severity, message, openedAt, resolvedAt }) => (
            <li key={id} className="flex flex-wrap items-start gap-x-3 gap-y-1 px-5 py-3 text-sm">
              <Badge tone={resolvedAt ? 'neutral' : severity === 'CRITICAL' ? 'danger' : 'warning'}>
                {resolvedAt ? 'Over' : severity === 'CRITICAL' ? 'Critical' : 'Warning'}
              </Badge>
              <p className="min-w-0 flex-1 basis-60 break-words">{message}</p>
              <p className="text-muted-foreground">
                <Moment at={openedAt} />
                {resolvedAt ? (
                  <>
                    {' '}
                    to <Moment at={resolvedAt} />
                  </>
                ) : null}
              </p>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
