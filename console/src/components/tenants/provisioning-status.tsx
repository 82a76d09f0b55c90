import { useMutation } from '@tanstack/react-query'
import { Ban, CheckCircle2, Circle, CircleAlert, Clock, RefreshCw, WifiOff } from 'lucide-react'
import type { ReactNode } from 'react'
import { type ProgressFragment, RETRY_PROVISIONING, type StepState } from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { cn } from './lib/classes'
import { type LiveProgress, useLiveProgress } from './lib/live-progress'
import { Ago, duration, Moment, useNow } from './lib/time'
import { serviceTitle, stepText, stepTitle } from './lib/words'
import { Button } from './ui/button'
import { Badge, Card, CardHeader, Empty, Failure, Loading, Notice, Spinner } from './ui/parts'
import { STATE_TONES, STATE_WORDS, STEP_WORDS } from './ui/states'
import { withQueries } from './with-queries'

export interface ProvisioningStatusProps extends ProjectAccess {
  readonly organizationId: string
  /** Whether the caller may try again what has failed (the permission PROVISION). Default true; the API decides in any case. */
  readonly canRetry?: boolean
  /** Shown when the tenant is ready, such as a link to its connection details. */
  readonly whenReady?: ReactNode
  /** Shown beside the steps until then, instead of our own words. */
  readonly whileYouWait?: ReactNode
}

/** How the provisioning of an organization stands, live, step by step. */
export const ProvisioningStatus = withQueries(Status)

function Status({
  organizationId,
  canRetry = true,
  whenReady,
  whileYouWait,
  ...access
}: ProvisioningStatusProps) {
  const live = useLiveProgress(access, organizationId)
  const { progress, error } = live
  const retry = useMutation<ProgressFragment | null | undefined, ApiError, string[] | undefined>({
    mutationFn: async (services) =>
      (await request(access, RETRY_PROVISIONING, { organizationId, ...(services ? { services } : {}) }))
        .retryTenantProvisioning.provisioning,
    onSuccess: (after) => {
      if (after) live.take(after)
      live.refresh()
    },
  })
  if (!progress)
    return (
      <Card aria-busy={!error}>
        {error ? (
          <div className="p-5">
            <Failure error={error} onRetry={live.refresh} />
          </div>
        ) : (
          <Loading what="the progress" rows={6} />
        )}
      </Card>
    )
  return (
    <div className="grid gap-6 lg:grid-cols-[minmax(0,1fr)_19rem]">
      <Card>
        <Header progress={progress} live={live} />
        {retry.error ? (
          <div className="px-5 pt-4">
            <Failure error={retry.error} />
          </div>
        ) : null}
        <Reason
          progress={progress}
          canRetry={canRetry}
          isRetrying={retry.isPending}
          onRetry={() => retry.mutate(undefined)}
        />
        {progress.steps.length === 0 ? (
          <Empty title="Nothing has begun yet">The steps are shown here as soon as a worker begins.</Empty>
        ) : null}
        <ol className="px-5 py-4 empty:hidden" aria-label="Steps">
          {progress.steps.map((step, index) => (
            <Step
              key={step.step}
              step={step}
              isLast={index === progress.steps.length - 1}
              isExplained={progress.error?.step === step.step && progress.overall === 'FAILED'}
              onRetry={canRetry && step.status === 'FAILED' ? () => retry.mutate([step.service]) : undefined}
              isRetrying={retry.isPending}
            />
          ))}
        </ol>
      </Card>
      <Beside progress={progress} whenReady={whenReady} whileYouWait={whileYouWait} />
    </div>
  )
}

function Header({ progress, live }: { progress: ProgressFragment; live: LiveProgress }) {
  const { overall, percent } = progress
  return (
    <div className="border-b px-5 py-4">
      <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
        <h2 className="flex items-center gap-2.5 text-base font-semibold">
          Setting up
          <Badge tone={STATE_TONES[overall]}>{STATE_WORDS[overall]}</Badge>
        </h2>
        <LiveSign live={live} />
      </div>
      <div className="mt-3 flex items-center gap-3">
        <div
          role="progressbar"
          aria-label="Steps done"
          aria-valuemin={0}
          aria-valuemax={100}
          aria-valuenow={percent}
          className="h-2 flex-1 overflow-hidden rounded-full bg-muted"
        >
          <div
            className={cn(
              'h-full rounded-full bg-primary transition-[width] duration-500 motion-reduce:transition-none',
              overall === 'FAILED' && 'bg-destructive',
            )}
            style={{ width: `${percent}%` }}
          />
        </div>
        <span className="w-10 text-right text-sm text-muted-foreground tabular-nums">{percent} %</span>
      </div>
      <p role="status" className="sr-only">
        {spoken(progress)}
      </p>
    </div>
  )
}

/** One sentence for whoever does not see the list. */
function spoken({ overall, steps, percent }: ProgressFragment): string {
  if (overall === 'READY') return 'Everything is ready.'
  const running = steps.filter(({ status }) => status === 'RUNNING').map(({ step }) => stepTitle(step))
  const failed = steps.filter(({ status }) => status === 'FAILED').map(({ step }) => stepTitle(step))
  if (overall === 'FAILED') return `Setting up failed at: ${failed.join(', ')}.`
  if (overall === 'CANCELLED') return 'Setting up was cancelled.'
  return running.length > 0
    ? `In progress: ${running.join(', ')}. ${percent} percent done.`
    : `${percent} percent done.`
}

function LiveSign({ live: { liveness, seenAt, refresh } }: { live: LiveProgress }) {
  if (liveness === 'ended') return seenAt ? <Seen at={seenAt} /> : null
  if (liveness === 'live')
    return (
      <span role="status" className="flex items-center gap-2 text-sm text-success">
        <span aria-hidden className="relative flex size-2">
          <span className="absolute size-full animate-ping motion-reduce:animate-none rounded-full bg-success/60" />
          <span className="size-2 rounded-full bg-success" />
        </span>
        Live
      </span>
    )
  return (
    <span role="status" className="flex flex-wrap items-center gap-2 text-sm text-warning">
      {liveness === 'connecting' ? <Spinner /> : <WifiOff aria-hidden className="size-4" />}
      {liveness === 'connecting' ? 'Connecting…' : 'Not live: reconnecting.'}
      {seenAt ? <Seen at={seenAt} /> : null}
      {liveness === 'waiting' ? (
        <Button size="small" variant="outline" onClick={refresh}>
          Reconnect now
        </Button>
      ) : null}
    </span>
  )
}

function Seen({ at }: { at: number }) {
  return (
    <span className="text-sm text-muted-foreground">
      As of <Ago at={new Date(at).toISOString()} />
    </span>
  )
}

interface ReasonProps {
  readonly progress: ProgressFragment
  readonly canRetry: boolean
  readonly isRetrying: boolean
  onRetry(): void
}

/** Why it waits or has failed, in words, before the list of steps. */
function Reason({ progress, canRetry, isRetrying, onRetry }: ReasonProps) {
  const { overall, error, pausedBecause, nextAttemptAt } = progress
  if (overall === 'FAILED')
    return (
      <div className="px-5 pt-4">
        <Notice
          tone="danger"
          title={
            error?.step
              ? `${stepTitle(error.step)} could not be completed`
              : 'Setting up could not be completed'
          }
          actions={
            canRetry ? (
              <Button size="small" onClick={onRetry} disabled={isRetrying}>
                {isRetrying ? <Spinner /> : <RefreshCw aria-hidden />}
                Try again
              </Button>
            ) : (
              <p>Ask an owner or admin of the organization to try again.</p>
            )
          }
        >
          {error?.message || 'The cause is not known.'}
          {error ? <p className="mt-1 font-mono text-xs text-muted-foreground">{error.code}</p> : null}
        </Notice>
      </div>
    )
  if (overall === 'CANCELLED')
    return (
      <div className="px-5 pt-4">
        <Notice
          tone="warning"
          title="This was cancelled"
          actions={
            canRetry ? (
              <Button size="small" onClick={onRetry} disabled={isRetrying}>
                Set up again
              </Button>
            ) : undefined
          }
        >
          What had been made is removed. Your organization stays.
        </Notice>
      </div>
    )
  if (pausedBecause)
    return (
      <div className="px-5 pt-4">
        <Notice tone="warning" title="Paused">
          {pausedBecause}
        </Notice>
      </div>
    )
  if (error && nextAttemptAt)
    return (
      <div className="px-5 pt-4">
        <Notice tone="warning" title="Something did not work; it is tried again by itself">
          {error.message} Next try: <NextTry at={nextAttemptAt} />.
        </Notice>
      </div>
    )
  return null
}

function NextTry({ at }: { at: string }) {
  const now = useNow(1_000)
  const left = new Date(at).getTime() - now
  return left > 0 ? <span className="tabular-nums">in {duration(Math.max(left, 1_000))}</span> : <>now</>
}

type StepOfProgress = ProgressFragment['steps'][number]

const ICONS: Readonly<Record<StepState, ReactNode>> = {
  PENDING: <Circle className="text-muted-foreground" />,
  RUNNING: <Spinner className="size-5 text-info" />,
  RETRYING: <Clock className="text-warning" />,
  SUCCEEDED: <CheckCircle2 className="text-success" />,
  FAILED: <CircleAlert className="text-destructive" />,
  CANCELLED: <Ban className="text-muted-foreground" />,
}

interface StepProps {
  readonly step: StepOfProgress
  readonly isLast: boolean
  readonly isRetrying: boolean
  /** Above the list already. */
  readonly isExplained: boolean
  readonly onRetry: (() => void) | undefined
}

function Step({ step, isLast, isRetrying, isExplained, onRetry }: StepProps) {
  const { status, attempts, error, nextAttemptAt } = step
  return (
    <li className="relative flex gap-4 pb-6 last:pb-0">
      {isLast ? null : (
        <span
          aria-hidden
          className={cn(
            'absolute top-6 bottom-0 left-2.5 w-px',
            status === 'SUCCEEDED' ? 'bg-success/50' : 'bg-border',
          )}
        />
      )}
      <span aria-hidden className="mt-0.5 shrink-0 [&_svg]:size-5">
        {ICONS[status]}
      </span>
      <div className="min-w-0 flex-1">
        <div className="flex flex-wrap items-baseline justify-between gap-x-3">
          <h3 className="text-sm font-medium">{stepTitle(step.step)}</h3>
          <p className="text-sm text-muted-foreground tabular-nums">
            {STEP_WORDS[status]}
            <StepTime step={step} />
          </p>
        </div>
        <p className="text-sm text-muted-foreground">{stepText(step.step) ?? serviceTitle(step.service)}</p>
        {attempts > 1 ? (
          <p className="mt-1 text-sm text-muted-foreground">{attempts} attempts so far</p>
        ) : null}
        {error && status !== 'SUCCEEDED' && !isExplained ? (
          <p className={cn('mt-1 text-sm', status === 'FAILED' ? 'text-destructive' : 'text-warning')}>
            {error.message}
          </p>
        ) : null}
        {nextAttemptAt && status === 'RETRYING' ? (
          <p className="mt-1 text-sm">
            Next try <NextTry at={nextAttemptAt} />
          </p>
        ) : null}
        {onRetry ? (
          <Button className="mt-2" size="small" variant="outline" onClick={onRetry} disabled={isRetrying}>
            <RefreshCw aria-hidden />
            Try {serviceTitle(step.service)} again
          </Button>
        ) : null}
      </div>
    </li>
  )
}

function StepTime({ step: { status, startedAt, finishedAt } }: { step: StepOfProgress }) {
  const now = useNow(1_000, status === 'RUNNING')
  if (!startedAt || (status !== 'RUNNING' && !finishedAt)) return null
  const end = finishedAt ? new Date(finishedAt).getTime() : now
  return <> · {duration(end - new Date(startedAt).getTime())}</>
}

function Beside({
  progress: { overall, provisionedAt },
  whenReady,
  whileYouWait,
}: {
  progress: ProgressFragment
  whenReady: ReactNode
  whileYouWait: ReactNode
}) {
  return (
    <aside aria-label="What comes next" className="space-y-4">
      {overall === 'READY' ? (
        <Card>
          <CardHeader title="Your database is ready" />
          <div className="space-y-3 px-5 py-4 text-sm">
            {provisionedAt ? (
              <p className="text-muted-foreground">
                Since <Moment at={provisionedAt} />
              </p>
            ) : null}
            {whenReady}
          </div>
        </Card>
      ) : overall === 'FAILED' || overall === 'CANCELLED' ? null : (
        <Card>
          <CardHeader title="While you wait" />
          <div className="space-y-2 px-5 py-4 text-sm text-muted-foreground">
            {whileYouWait ?? (
              <>
                <p>This takes less than a minute as a rule. You may close this page: it goes on by itself.</p>
                <p>The database sleeps when nobody uses it, and wakes with the first query.</p>
              </>
            )}
          </div>
        </Card>
      )}
      <Card>
        <details className="group px-5 py-4 text-sm">
          <summary className="font-medium">Not working?</summary>
          <ul className="mt-2 list-disc space-y-1.5 pl-4 text-muted-foreground">
            <li>A step that fails is tried again by itself, with longer and longer pauses.</li>
            <li>A step that has failed for good says why, and can be tried again here.</li>
            <li>If this page is not live, your connection was lost. It catches up when it is back.</li>
          </ul>
        </details>
      </Card>
    </aside>
  )
}
