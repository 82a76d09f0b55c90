import { type Command, Option } from 'commander'
import { z } from 'zod'
import { dim } from '../../tools/command.ts'
import { coloured, table, time } from '../../tools/terminal.ts'
import type { Api } from '../api.ts'
import { pageSize } from '../options.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit } from '../session.ts'

interface Options {
  readonly status?: string
  readonly health?: string
  readonly region?: string
  readonly plan?: string
  readonly search?: string
  readonly limit: number
  readonly after?: string
  readonly all?: true
}

const PAGE = 500

const pageSchema = z.object({
  tenants: z.array(
    z.looseObject({
      slug: z.string(),
      status: z.string().nullable(),
      health: z.string().nullable(),
      plan: z.string(),
      data_region: z.string(),
      owner_email: z.string().nullable(),
      open_alerts: z.number(),
      created_at: z.string(),
    }),
  ),
  after: z.string().nullable(),
})
type Page = z.infer<typeof pageSchema>

export function registerList(program: Command, define: Define): void {
  define(
    program
      .command('list')
      .description('tenants in the order of their slugs')
      .addOption(
        new Option('--status <status>', 'of the provisioning').choices([
          'pending',
          'provisioning',
          'ready',
          'failed',
          'cancelled',
        ]),
      )
      .addOption(
        new Option('--health <health>', 'of the database').choices([
          'unknown',
          'healthy',
          'degraded',
          'unhealthy',
          'sleeping',
        ]),
      )
      .option('--region <region>', 'data region or Neon region, such as eu-central-1')
      .option('--plan <plan>', 'such as free')
      .option('--search <text>', 'a part of the name, the slug or the billing e-mail address')
      .addOption(new Option('--limit <tenants>', 'a page').default(50).argParser(pageSize))
      .option('--after <slug>', 'the page behind this slug')
      .option('--all', 'every page'),
    async (session, options: Options) => {
      const api = await session.connect()
      const page = options.all
        ? await everyPage(api, options)
        : await readPage(api, options, options.limit, options.after)
      session.print(page, () => screen(page))
      return exit.fine
    },
  )
}

async function readPage(
  api: Api,
  options: Options,
  size: number,
  after: string | null | undefined,
): Promise<Page> {
  const { status = null, health = null, region = null, plan = null, search = null } = options
  const call = api.client.rpc('list_tenants', {
    filter: { status, health, region, plan, search },
    page_size: size,
    ...(after ? { after } : {}),
  })
  return pageSchema.parse(await api.read('The list', call))
}

async function everyPage(api: Api, options: Options): Promise<Page> {
  const progress = startProgress()
  const tenants: Page['tenants'] = []
  let after = options.after ?? null
  do {
    const page = await readPage(api, options, PAGE, after)
    tenants.push(...page.tenants)
    after = page.after
    progress.show(`${tenants.length} tenants`)
  } while (after !== null)
  progress.clear()
  return { tenants, after }
}

function screen({ tenants, after }: Page): string {
  if (tenants.length === 0) return 'No tenant is like that.'
  const rows = tenants.map((tenant) => [
    tenant.slug,
    coloured(tenant.status ?? 'unknown'),
    coloured(tenant.health ?? 'unknown'),
    tenant.open_alerts > 0 ? String(tenant.open_alerts) : '',
    tenant.plan,
    tenant.data_region,
    time(tenant.created_at).slice(0, 10),
    tenant.owner_email ?? '',
  ])
  const lines = [table(['slug', 'status', 'health', 'alerts', 'plan', 'region', 'since', 'owner'], rows)]
  if (after !== null) lines.push(dim(`\nThere may be more: --after ${after}`))
  return lines.join('\n')
}
