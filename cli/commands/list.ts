import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { dim } from '../../tools/command.ts'
import { coloured, table, time } from '../../tools/terminal.ts'
import type { Api } from '../api.ts'
import { pageSize, words } from '../options.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit, type Session } from '../session.ts'

interface Options {
  readonly status?: string[]
  readonly health?: string[]
  readonly region?: string[]
  readonly plan?: string[]
  readonly errorCode?: string[]
  readonly search?: string
  readonly withAlerts?: true
  readonly sort: string
  readonly limit: number
  readonly after?: string
  readonly all?: true
  readonly counts?: true
}

/** Of a page when every page is read. */
const PAGE_SIZE = 500
const STATES = ['pending', 'provisioning', 'ready', 'failed', 'cancelled']
export const HEALTH_STATES = ['unknown', 'healthy', 'degraded', 'unhealthy', 'sleeping']
const ORDERS = ['slug', '-slug', 'name', '-name', 'created_at', '-created_at']

const pageSchema = z.object({
  tenants: z.array(
    z.looseObject({
      slug: z.string(),
      status: z.string().nullable(),
      health: z.string(),
      plan: z.string(),
      data_region: z.string(),
      owner_email: z.string().nullable(),
      open_alerts: z.number(),
      created_at: z.string(),
    }),
  ),
  has_next_page: z.boolean(),
  end_cursor: z.string().nullable(),
})
type Page = z.infer<typeof pageSchema>

const counted = z.object({ count: z.number(), exact: z.boolean() })
const countsSchema = z.object({
  total: counted,
  by_status: z.array(counted.extend({ status: z.string() })),
  by_health: z.array(counted.extend({ health: z.string() })),
  open_alerts: counted,
})
type Counts = z.infer<typeof countsSchema>

export function registerList(program: Command, define: Define): void {
  define(
    program
      .command('list')
      .description('tenants, page by page, or how many there are in each state')
      .addOption(chosen('--status <states>', 'of the provisioning, one or several', STATES))
      .addOption(chosen('--health <states>', 'of the database, one or several', HEALTH_STATES))
      .addOption(
        new Option('--region <regions>', 'data or Neon regions, such as eu-central-1').argParser(words),
      )
      .addOption(new Option('--plan <plans>', 'such as free').argParser(words))
      .addOption(
        new Option(
          '--error-code <codes>',
          'only those whose provisioning has failed so, such as neon_limit_refused',
        ).argParser(words),
      )
      .option('--search <text>', 'a part of the name, the slug or the billing e-mail address')
      .option('--with-alerts', 'only those with an open alert')
      .addOption(
        new Option('--sort <order>', 'with a - before it: descending').choices(ORDERS).default('slug'),
      )
      .addOption(new Option('--limit <tenants>', 'a page').default(50).argParser(pageSize))
      .option('--after <cursor>', 'the page behind the one that ended with this cursor')
      .option('--all', 'every page')
      .option('--counts', 'only how many there are, in all and in each state'),
    async (session, options: Options) => {
      const api = await session.connect()
      if (options.counts) {
        const counts = countsSchema.parse(await api.read('The counts', api.client.rpc('tenant_counts')))
        session.print(counts, () => countsScreen(counts))
        return exit.fine
      }
      const page = options.all
        ? await everyPage(api, options)
        : await readPage(api, options, options.limit, options.after)
      session.print(page, () => screen(session, page))
      return exit.fine
    },
  )
}

/** An option with words out of `choices`, with commas between them or repeated. */
export function chosen(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, `${description}: ${choices.join(', ')}`).argParser(
    (text: string, before: readonly string[] | undefined) => {
      const all = words(text, before)
      const unknown = all.find((word) => !choices.includes(word))
      if (unknown !== undefined)
        throw new InvalidArgumentError(`Allowed choices are ${choices.join(', ')}; "${unknown}" is none.`)
      return all
    },
  )
}

async function readPage(api: Api, options: Options, size: number, after?: string | null): Promise<Page> {
  const {
    status = null,
    health = null,
    region = null,
    plan = null,
    search = null,
    withAlerts,
    errorCode = null,
  } = options
  const call = api.client.rpc('list_tenants', {
    filter: {
      status,
      health,
      region,
      plan,
      search,
      error_code: errorCode,
      has_open_alerts: withAlerts ?? null,
    },
    sort: options.sort,
    page_size: size,
    ...(after ? { after } : {}),
  })
  return pageSchema.parse(await api.read('The list', call))
}

async function everyPage(api: Api, options: Options): Promise<Page> {
  const progress = startProgress()
  const tenants: Page['tenants'] = []
  let page: Page
  let after = options.after
  do {
    page = await readPage(api, options, PAGE_SIZE, after)
    tenants.push(...page.tenants)
    after = page.end_cursor ?? undefined
    progress.show(`${tenants.length} tenants`)
  } while (page.has_next_page)
  progress.clear()
  return { ...page, tenants }
}

function screen(session: Session, { tenants, has_next_page: more, end_cursor: cursor }: Page): string {
  if (tenants.length === 0) return 'There are no such tenants.'
  const rows = tenants.map((tenant) => [
    tenant.slug,
    coloured(tenant.status ?? 'unknown'),
    coloured(tenant.health),
    tenant.open_alerts > 0 ? String(tenant.open_alerts) : '',
    tenant.plan,
    tenant.data_region,
    time(tenant.created_at).slice(0, 10),
    tenant.owner_email ?? '',
  ])
  const lines = [table(['slug', 'status', 'health', 'alerts', 'plan', 'region', 'since', 'owner'], rows)]
  if (more) lines.push(dim(`\nThere are more: ${session.sameCommand('--after', cursor)}`))
  return lines.join('\n')
}

function countsScreen({ total, by_status: states, by_health: health, open_alerts: alerts }: Counts): string {
  const rows = [
    ['tenants', inWords(total, true)],
    ...states.map((each) => [each.status, inWords(each, each.status === 'ready')]),
    ...health.map((each) => [each.health, inWords(each, false)]),
    ['open alerts', inWords(alerts, false)],
  ]
  return table(['', 'how many'], rows)
}

function inWords({ count, exact }: z.infer<typeof counted>, estimated: boolean): string {
  if (exact) return String(count)
  return estimated ? `about ${count}` : `at least ${count}`
}
