import type { Command } from 'commander'
import { z } from 'zod'
import { dim } from '../../tools/command.ts'
import { ago, coloured, heading, labelled, sign, table, time } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { type Define, exit } from '../session.ts'
import { nameOf } from '../tenant.ts'

const CHECKS_SHOWN = 10
/** The tick comes every 30 seconds, and a worker may be busy. */
const OVERDUE_MS = 120_000

const healthSchema = z.looseObject({
  status: z.string(),
  reasons: z.array(z.looseObject({ code: z.string(), severity: z.string(), message: z.string() })),
  metrics: z.record(z.string(), z.unknown()),
  checked_at: z.string().nullable(),
  connected_at: z.string().nullable(),
  next_check_at: z.string().nullable(),
})
const checkSchema = z.looseObject({
  checked_at: z.string(),
  probe: z.string(),
  status: z.string(),
  latency_ms: z.number().nullable(),
  connect_ms: z.number().nullable(),
  connections: z.number().nullable(),
})
type Health = z.infer<typeof healthSchema>
type Check = z.infer<typeof checkSchema>

interface Options {
  readonly deep?: true
  readonly recorded?: true
}

export function registerHealth(program: Command, define: Define): void {
  define(
    program
      .command('health')
      .description('check a tenant’s database, and show how it has been')
      .argument('<tenant>', 'slug, e-mail address or id')
      .option('--deep', 'connect to it, even when that wakes it')
      .option('--recorded', 'only show what is known, without a new check')
      .addHelpText(
        'after',
        '\nExit codes: 0 healthy, sleeping or degraded, 1 refused, 3 unhealthy or not known.',
      ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const tenant = await api.find(subject)
      const organizationId = tenant.organization_id
      const asked = options.recorded ? undefined : await check(api, organizationId, options.deep ?? false)
      const [health] = await readHealth(api, organizationId)
      if (!health)
        throw new ProjectError(`${nameOf(tenant)} has no database whose health is known.`, 'no_health', 404)
      const checks = await readChecks(api, organizationId)
      if (asked instanceof ProjectError) session.note(`No new check: ${asked.message}`)
      if (isOverdue(health))
        session.note('The next check is overdue. Why nobody makes it: npm run tenants -- doctor')
      session.print({ organization_id: organizationId, health, checks }, () =>
        screen(nameOf(tenant), health, checks),
      )
      return ['healthy', 'sleeping', 'degraded'].includes(health.status) ? exit.fine : exit.notReady
    },
  )
}

/** @returns a refusal that leaves what is recorded worth showing: it was asked for too often */
async function check(api: Api, organizationId: string, deep: boolean): Promise<ProjectError | undefined> {
  try {
    await api.invoke('check-tenant-health', { organizationId, deep })
  } catch (error) {
    if (error instanceof ProjectError && error.status === 429) return error
    throw error
  }
}

function isOverdue({ next_check_at: next }: Health): boolean {
  return next !== null && Date.now() - Date.parse(next) > OVERDUE_MS
}

async function readHealth(api: Api, organizationId: string): Promise<Health[]> {
  const columns = 'status, reasons, metrics, checked_at, connected_at, next_check_at'
  const query = api.client.from('tenant_health').select(columns).eq('organization_id', organizationId)
  return z.array(healthSchema).parse(await api.read('The health', query))
}

async function readChecks(api: Api, organizationId: string): Promise<Check[]> {
  const query = api.client.from('tenant_health_checks').select('*').eq('organization_id', organizationId)
  const rows = await api.read(
    'The checks',
    query.order('checked_at', { ascending: false }).limit(CHECKS_SHOWN),
  )
  return z.array(checkSchema).parse(rows)
}

function screen(name: string, health: Health, checks: readonly Check[]): string {
  const checked = health.checked_at ? `checked ${ago(health.checked_at)}` : 'never checked'
  const next = health.next_check_at ? `, next ${time(health.next_check_at)}` : ''
  return [
    `${sign(health.status)} ${name} is ${coloured(health.status)} ${dim(`${checked}${next}`)}`,
    ...health.reasons.map((reason) => labelled(`  ${sign(reason.severity)}`, reason.message, 4)),
    ...differenceLines(health.metrics),
    ...metricLines(health.metrics),
    ...(checks.length > 0 ? [heading('Checks'), checksTable(checks)] : []),
  ].join('\n')
}

function differenceLines({ schema_differences: differences }: Health['metrics']): string[] {
  const known = z.array(z.string()).safeParse(differences).data ?? []
  if (known.length === 0) return []
  return [heading('Changed by hand in the schema'), ...known.map((difference) => `  ${difference}`)]
}

function metricLines(metrics: Health['metrics']): string[] {
  const known = Object.entries(metrics).filter(([, value]) => value !== null && typeof value !== 'object')
  if (known.length === 0) return []
  return [
    heading('Measured'),
    ...known.map(([name, value]) => labelled(`  ${name}`, measured(name, value), 28)),
  ]
}

function measured(name: string, value: unknown): string {
  if (typeof value !== 'number') return String(value)
  if (name.endsWith('_bytes')) return `${(value / 1_048_576).toFixed(1)} MiB`
  return Number.isInteger(value) ? String(value) : value.toFixed(3)
}

function checksTable(checks: readonly Check[]): string {
  const number = (value: number | null) => (value === null ? '' : `${Math.round(value)} ms`)
  return table(
    ['', 'at (UTC)', 'probe', 'status', 'connect', 'latency', 'connections'],
    checks.map((each) => [
      sign(each.status),
      time(each.checked_at),
      each.probe,
      each.status,
      number(each.connect_ms),
      number(each.latency_ms),
      each.connections === null ? '' : String(each.connections),
    ]),
  )
}
