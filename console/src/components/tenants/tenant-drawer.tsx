import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { RefreshCw } from 'lucide-react'
import type { ReactNode } from 'react'
import {
  RETRY_PROVISIONING,
  type RetryProvisioningMutation,
  TENANT_DETAILS,
  type TenantDetailsQuery,
} from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { Ago, Moment } from './lib/time'
import { sentenceCase, stepTitle } from './lib/words'
import { Button } from './ui/button'
import { Drawer } from './ui/dialog'
import { Badge, CopyButton, Empty, Failure, Loading, Notice, Spinner, type Tone } from './ui/parts'
import { HEALTH_TONES, HEALTH_WORDS, STATE_TONES, STATE_WORDS, STEP_WORDS } from './ui/states'

interface TenantDrawerProps {
  readonly access: ProjectAccess
  /** The id of an organization; the drawer is closed without. */
  readonly id: string | undefined
  onClose(): void
}

type Verification = NonNullable<TenantDetailsQuery['tenantVerification']>

/** All that is known of one tenant: the verdict, every check, its steps, alerts and history. */
export function TenantDrawer({ access, id, onClose }: TenantDrawerProps) {
  const details = useQuery<TenantDetailsQuery, ApiError>({
    queryKey: ['tenant', id],
    queryFn: ({ signal }) => request(access, TENANT_DETAILS, { subject: id ?? '' }, signal),
    enabled: id !== undefined,
  })
  const found = details.data?.tenantVerification
  return (
    <Drawer title={found?.tenant?.name ?? 'Tenant'} isOpen={id !== undefined} onClose={onClose}>
      <div className="space-y-6 text-sm">
        {details.error && !details.data ? (
          <Failure error={details.error} onRetry={() => void details.refetch()} />
        ) : null}
        {details.isSuccess && !found ? (
          <Empty title="There is no such tenant">It may have been deleted in the meantime.</Empty>
        ) : null}
        {details.isLoading ? <Loading what="the checks" rows={8} /> : null}
        {found ? <Details access={access} found={found} /> : null}
      </div>
    </Drawer>
  )
}

function Details({ access, found }: { access: ProjectAccess; found: Verification }) {
  const { verdict, tenant } = found
  return (
    <>
      {tenant ? (
        <div className="flex flex-wrap gap-2">
          <Badge tone={STATE_TONES[tenant.status]}>{STATE_WORDS[tenant.status]}</Badge>
          <Badge tone={HEALTH_TONES[tenant.health]}>{HEALTH_WORDS[tenant.health]}</Badge>
        </div>
      ) : null}
      <div className="space-y-3">
        <p className="font-medium">{verdict.summary}</p>
        {verdict.remedy ? <Notice tone="warning">{verdict.remedy.text}</Notice> : null}
        {tenant && found.organizationId && (tenant.status === 'FAILED' || tenant.status === 'CANCELLED') ? (
          <Retry access={access} id={found.organizationId} />
        ) : null}
      </div>
      <Checks checks={found.checks} />
      {tenant ? <Facts tenant={tenant} /> : null}
      {tenant?.provisioning ? <Steps steps={tenant.provisioning.steps} /> : null}
      {tenant && tenant.alerts.length > 0 ? <Alerts alerts={tenant.alerts} /> : null}
      {tenant ? (
        <History title="Events">
          {tenant.events.map(({ id, eventType, resourceType, status, startedAt }) => (
            <li key={id}>
              <Moment at={startedAt} /> · {eventType}
              {resourceType ? ` · ${resourceType}` : ''} · {status}
            </li>
          ))}
        </History>
      ) : null}
      <History title="Audit log">
        {found.audit.map(({ id, action, actorType, createdAt }) => (
          <li key={id}>
            <Moment at={createdAt} /> · {action} · {actorType}
          </li>
        ))}
      </History>
    </>
  )
}

function Retry({ access, id }: { access: ProjectAccess; id: string }) {
  const client = useQueryClient()
  const retry = useMutation<RetryProvisioningMutation, ApiError>({
    mutationFn: () => request(access, RETRY_PROVISIONING, { organizationId: id, services: null }),
    onSettled: () => client.invalidateQueries(),
  })
  return (
    <>
      {retry.error ? <Failure error={retry.error} /> : null}
      <Button size="small" disabled={retry.isPending} onClick={() => retry.mutate()}>
        {retry.isPending ? <Spinner /> : <RefreshCw aria-hidden />}
        Try again
      </Button>
    </>
  )
}

const CHECK_TONES = { OK: 'success', WARNING: 'warning', WAITING: 'info', FAILED: 'danger' } as const
const CHECK_WORDS = { OK: 'Fine', WARNING: 'Look', WAITING: 'Waiting', FAILED: 'Failed' } as const

function Checks({ checks }: { checks: Verification['checks'] }) {
  return (
    <Section title="Checks">
      <ul className="divide-y rounded-lg border">
        {checks.map(({ check, status, found, remedy }) => (
          <li key={check} className="flex items-start gap-3 px-3 py-2">
            <span className="w-16 shrink-0">
              <Badge tone={CHECK_TONES[status]}>{CHECK_WORDS[status]}</Badge>
            </span>
            <div className="min-w-0">
              <p className="font-medium">{sentenceCase(check)}</p>
              <p className="break-words text-muted-foreground">{found}</p>
              {remedy ? <p className="break-words">{remedy.text}</p> : null}
            </div>
          </li>
        ))}
      </ul>
    </Section>
  )
}

function Facts({ tenant }: { tenant: NonNullable<Verification['tenant']> }) {
  const facts: readonly (readonly [name: string, value: ReactNode, toCopy?: string | undefined])[] = [
    ['Owner', tenant.ownerEmail, tenant.ownerEmail ?? undefined],
    ['Slug', tenant.slug, tenant.slug],
    ['Organization', tenant.id, tenant.id],
    ['Plan', sentenceCase(tenant.plan)],
    ['Region', tenant.dataRegion],
    ['Database size', tenant.databaseSize],
    ['Schema version', tenant.schemaVersion],
    ['Schema changed by hand', tenant.schemaDriftAt ? <Ago key="at" at={tenant.schemaDriftAt} /> : null],
    ['Neon project', tenant.neonProjectId, tenant.neonProjectId ?? undefined],
    ['Stripe customer', tenant.stripeCustomerId, tenant.stripeCustomerId ?? undefined],
    ['Signed up', <Moment key="at" at={tenant.createdAt} />],
    ['Ready', tenant.provisionedAt ? <Moment key="at" at={tenant.provisionedAt} /> : null],
    ['Health looked at', tenant.healthCheckedAt ? <Ago key="at" at={tenant.healthCheckedAt} /> : null],
  ]
  return (
    <Section title="Facts">
      <dl className="grid grid-cols-[auto_1fr] items-center gap-x-4 gap-y-1">
        {facts.map(([name, value, text]) =>
          value === null || value === undefined ? null : (
            <div key={name} className="contents">
              <dt className="text-muted-foreground">{name}</dt>
              <dd className="flex min-w-0 items-center gap-1">
                <span className="break-all">{value}</span>
                {text ? <CopyButton text={text} what={name} /> : null}
              </dd>
            </div>
          ),
        )}
      </dl>
    </Section>
  )
}

const STEP_TONES: Readonly<Record<keyof typeof STEP_WORDS, Tone>> = {
  PENDING: 'neutral',
  RUNNING: 'info',
  RETRYING: 'warning',
  SUCCEEDED: 'success',
  FAILED: 'danger',
  CANCELLED: 'neutral',
}

function Steps({
  steps,
}: {
  steps: NonNullable<NonNullable<Verification['tenant']>['provisioning']>['steps']
}) {
  return (
    <Section title="Steps">
      <ul className="divide-y rounded-lg border">
        {steps.map(({ step, status, attempts, error, nextAttemptAt }) => (
          <li key={step} className="px-3 py-2">
            <div className="flex flex-wrap items-center justify-between gap-2">
              <span className="font-medium">{stepTitle(step)}</span>
              <Badge tone={STEP_TONES[status]}>{STEP_WORDS[status]}</Badge>
            </div>
            {attempts > 1 ? <p className="text-muted-foreground">{attempts} attempts so far</p> : null}
            {error && status !== 'SUCCEEDED' ? (
              <p className="break-words">
                {error.message} <code className="text-xs text-muted-foreground">{error.code}</code>
              </p>
            ) : null}
            {nextAttemptAt && status === 'RETRYING' ? (
              <p className="text-muted-foreground">
                Next try <Ago at={nextAttemptAt} />
              </p>
            ) : null}
          </li>
        ))}
      </ul>
    </Section>
  )
}

function Alerts({ alerts }: { alerts: NonNullable<Verification['tenant']>['alerts'] }) {
  return (
    <Section title="Open alerts">
      <ul className="space-y-2">
        {alerts.map(({ id, severity, message, openedAt }) => (
          <li key={id} className="flex items-start gap-3">
            <Badge tone={severity === 'CRITICAL' ? 'danger' : 'warning'}>{sentenceCase(severity)}</Badge>
            <p className="min-w-0 break-words">
              {message}{' '}
              <span className="text-muted-foreground">
                <Ago at={openedAt} />
              </span>
            </p>
          </li>
        ))}
      </ul>
    </Section>
  )
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="space-y-2">
      <h3 className="font-semibold">{title}</h3>
      {children}
    </section>
  )
}

function History({ title, children }: { title: string; children: ReactNode }) {
  return (
    <details>
      <summary className="font-semibold">{title}</summary>
      <ul className="mt-2 space-y-1 break-words text-muted-foreground">{children}</ul>
    </details>
  )
}
