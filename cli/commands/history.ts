import { type Command, Option } from 'commander'
import { z } from 'zod'
import type { Api } from '../api.ts'
import { count } from '../options.ts'
import { eventLine } from '../screens/status.ts'
import { type Define, exit } from '../session.ts'
import { alertSchema, eventSchema } from '../tenant.ts'
import { ago, labelled, sign } from '../terminal.ts'

/** As many ids as fit into the address of one request. */
const IDS_AT_ONCE = 100

export function registerEvents(program: Command, define: Define): void {
  define(
    program
      .command('events')
      .description('what has happened to a tenant, the newest first')
      .argument('<tenant>', 'slug, e-mail address or id; also of a deleted organization')
      .addOption(new Option('--limit <events>', 'at most so many').default(50).argParser(count))
      .option('--type <type>', 'only these, such as step.failed'),
    async (session, subject: string, options: { readonly limit: number; readonly type?: string }) => {
      const api = await session.connect()
      const { organization_id: organizationId } = await api.find(subject)
      const query = api.client.from('provisioning_events').select('*').eq('organization_id', organizationId)
      const filtered = options.type === undefined ? query : query.eq('event_type', options.type)
      const rows = await api.read(
        'The events',
        filtered.order('started_at', { ascending: false }).limit(options.limit),
      )
      const events = z.array(eventSchema).parse(rows)
      session.print({ organization_id: organizationId, events }, () =>
        events.length > 0 ? events.map(eventLine).join('\n') : 'There are no such events.',
      )
      return exit.fine
    },
  )
}

const alertRow = alertSchema.extend({ organization_id: z.string(), resolved_at: z.string().nullable() })
type Alert = z.infer<typeof alertRow> & { readonly slug: string | null }

interface AlertOptions {
  readonly tenant?: string
  readonly all?: boolean
  readonly limit: number
}

export function registerAlerts(program: Command, define: Define): void {
  define(
    program
      .command('alerts')
      .description('what needs a person, the oldest first')
      .option('--tenant <tenant>', 'only of this one: slug, e-mail address or id')
      .option('--all', 'also those that are resolved, the newest first')
      .addOption(new Option('--limit <alerts>', 'at most so many').default(100).argParser(count)),
    async (session, options: AlertOptions) => {
      const api = await session.connect()
      const alerts = await withSlugs(api, await readAlerts(api, options))
      session.print({ alerts }, () =>
        alerts.length > 0 ? alerts.map(alertLine).join('\n') : `${sign('ok')} No alert is open.`,
      )
      return exit.fine
    },
  )
}

async function readAlerts(
  api: Api,
  { tenant, all = false, limit }: AlertOptions,
): Promise<z.infer<typeof alertRow>[]> {
  let query = api.client.from('tenant_alerts').select('*')
  if (!all) query = query.is('resolved_at', null)
  if (tenant !== undefined) query = query.eq('organization_id', (await api.find(tenant)).organization_id)
  return z
    .array(alertRow)
    .parse(await api.read('The alerts', query.order('opened_at', { ascending: !all }).limit(limit)))
}

async function withSlugs(api: Api, alerts: readonly z.infer<typeof alertRow>[]): Promise<Alert[]> {
  const ids = [...new Set(alerts.map((alert) => alert.organization_id))]
  const slugs = new Map<string, string>()
  for (let start = 0; start < ids.length; start += IDS_AT_ONCE) {
    const some = ids.slice(start, start + IDS_AT_ONCE)
    const rows = await api.read(
      'The organizations',
      api.client.from('organizations').select('id, slug').in('id', some),
    )
    for (const { id, slug } of rows) slugs.set(id, String(slug))
  }
  return alerts.map((alert) => ({ ...alert, slug: slugs.get(alert.organization_id) ?? null }))
}

function alertLine(alert: Alert): string {
  const state = alert.resolved_at ? 'resolved' : `open since ${ago(alert.opened_at).replace(' ago', '')}`
  const name = alert.slug ?? alert.organization_id
  return labelled(
    sign(alert.resolved_at ? 'ok' : alert.severity),
    `${name}  ${alert.kind}, ${state}: ${alert.message}`,
    2,
  )
}
