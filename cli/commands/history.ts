import { type Command, Option } from 'commander'
import { z } from 'zod'
import { dim } from '../../tools/command.ts'
import { ago, labelled, sign } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { MAX_ROWS, pageSize, uuid } from '../options.ts'
import { eventLine } from '../screens/status.ts'
import { type Define, exit, type Session } from '../session.ts'
import { alertSchema, eventSchema } from '../tenant.ts'

/** As many ids as fit into the address of one request. */
const IDS_AT_ONCE = 100

interface Page {
  readonly limit: number
  readonly after?: string
}

interface EventOptions extends Page {
  readonly type?: string
}

export function registerEvents(program: Command, define: Define): void {
  define(
    program
      .command('events')
      .description('what has happened to a tenant, the newest first')
      .argument('<tenant>', 'slug, e-mail address or id; also of a deleted organization')
      .addOption(new Option('--limit <events>', 'a page').default(50).argParser(pageSize))
      .addOption(new Option('--after <id>', 'the page behind this event').argParser(uuid))
      .option('--type <type>', 'only these, such as step.failed'),
    async (session, subject: string, options: EventOptions) => {
      const api = await session.connect()
      const { organization_id: organizationId } = await api.find(subject)
      const { rows: events, after } = await readEvents(api, organizationId, options)
      session.print({ organization_id: organizationId, events, after }, () =>
        events.length > 0 ? paged(session, events.map(eventLine), after) : 'There are no such events.',
      )
      return exit.fine
    },
  )
}

async function readEvents(api: Api, organizationId: string, { type, limit, after }: EventOptions) {
  const table = () => api.client.from('provisioning_events').select('*').eq('organization_id', organizationId)
  let query = table()
  if (type !== undefined) query = query.eq('event_type', type)
  if (after !== undefined) {
    const before = await api.read('The events', table().eq('id', after))
    query = query.or(behind('started_at.lt', 'started_at.eq', cursor(before, after).started_at, after))
  }
  const rows = await api.read(
    'The events',
    query
      .order('started_at', { ascending: false })
      .order('id')
      .limit(limit + 1),
  )
  return pageOf(z.array(eventSchema).parse(rows), limit)
}

const alertRow = alertSchema.extend({
  id: z.string(),
  organization_id: z.string(),
  resolved_at: z.string().nullable(),
})
type Alert = z.infer<typeof alertRow> & { readonly slug: string | null }

interface AlertOptions extends Page {
  readonly tenant?: string
  readonly all?: boolean
}

export function registerAlerts(program: Command, define: Define): void {
  define(
    program
      .command('alerts')
      .description('what needs a person, the oldest first')
      .option('--tenant <tenant>', 'only of this one: slug, e-mail address or id')
      .option('--all', 'also those that are resolved, the newest first')
      .addOption(new Option('--limit <alerts>', 'a page').default(100).argParser(pageSize))
      .addOption(new Option('--after <id>', 'the page behind this alert').argParser(uuid)),
    async (session, options: AlertOptions) => {
      const api = await session.connect()
      const { rows, after } = await readAlerts(api, options)
      const alerts = await withSlugs(api, rows)
      session.print({ alerts, after }, () => alertsScreen(session, alerts, after, options))
      return exit.fine
    },
  )
}

async function readAlerts(api: Api, { tenant, all = false, limit, after }: AlertOptions) {
  let query = api.client.from('tenant_alerts').select('*')
  if (!all) query = query.is('resolved_at', null)
  if (tenant !== undefined) query = query.eq('organization_id', (await api.find(tenant)).organization_id)
  if (after !== undefined) {
    const before = await api.read('The alerts', api.client.from('tenant_alerts').select('*').eq('id', after))
    const { opened_at: openedAt } = cursor(before, after)
    query = query.or(behind(all ? 'opened_at.lt' : 'opened_at.gt', 'opened_at.eq', openedAt, after))
  }
  const rows = await api.read(
    'The alerts',
    query
      .order('opened_at', { ascending: !all })
      .order('id')
      .limit(limit + 1),
  )
  return pageOf(z.array(alertRow).parse(rows), limit)
}

function alertsScreen(
  session: Session,
  alerts: readonly Alert[],
  after: string | null,
  { all, after: from }: AlertOptions,
) {
  if (alerts.length > 0) return paged(session, alerts.map(alertLine), after)
  if (from !== undefined) return 'There are no more alerts.'
  return all ? 'There are no alerts.' : `${sign('ok')} No alert is open.`
}

/** The row that the page before ended with; times may be the same, so that the id decides. @throws ProjectError */
function cursor<T>(found: readonly T[], id: string): T {
  const [row] = found
  if (row === undefined)
    throw new ProjectError(
      `--after names ${id}, which is not there (any more): begin again without it.`,
      'not_found',
      404,
    )
  return row
}

/** PostgREST's condition for what comes behind a row in the order of a time and the id. */
const behind = (later: string, same: string, at: string, id: string) =>
  `${later}."${at}",and(${same}."${at}",id.gt.${id})`

/** @param rows one more than the page holds, when there are more; none at the most that the Data API gives */
function pageOf<T extends { readonly id: string }>(rows: readonly T[], limit: number) {
  const page = rows.slice(0, limit)
  const more = rows.length > limit || rows.length === MAX_ROWS
  return { rows: page, after: more ? (page.at(-1)?.id ?? null) : null }
}

function paged(session: Session, lines: readonly string[], after: string | null): string {
  return [
    ...lines,
    ...(after === null ? [] : [dim(`\nThere may be more: ${session.sameCommand('--after', after)}`)]),
  ].join('\n')
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
