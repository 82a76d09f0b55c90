import { type Command, Option } from 'commander'
import { z } from 'zod'
import { heading, labelled, sign, table } from '../../tools/terminal.ts'
import type { Api } from '../api.ts'
import { count } from '../options.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit, type Session } from '../session.ts'

/** Users a call: a repair takes some milliseconds, and a call is to end in about a second. */
const PORTION = 100
const DRY_PORTION = 500
/** Repairs that nobody has to be asked about. */
const UNASKED = 10
const ROWS_SHOWN = 40

interface Options {
  readonly dryRun?: boolean
  readonly limit?: number
  readonly yes?: true
}

const userSchema = z.looseObject({
  /** Null for a tenant that has no owner. */
  user_id: z.string().nullable(),
  /** Of a tenant that is a row of the project's own table. */
  name: z.string().optional(),
  email: z.string().nullable(),
  missing: z.array(z.string()),
  outcome: z.string(),
  message: z.string().nullish(),
  slug: z.string().nullish(),
})
const portionSchema = z.object({
  examined: z.number(),
  total: z.number().nullable(),
  users: z.array(userSchema),
  after: z.string().nullable(),
})

interface Result {
  readonly dry_run: boolean
  examined: number
  /** False when --limit or Ctrl-C came first. */
  complete: boolean
  readonly users: z.infer<typeof userSchema>[]
}

export function registerBackfill(program: Command, define: Define): void {
  define(
    program
      .command('backfill')
      .description('provision users and tenants from before the installation, or with missing rows')
      .option('--dry-run', 'only say who would be')
      .addOption(new Option('--limit <users>', 'repair at most so many').argParser(count))
      .option('--yes', `do not ask; needed for more than ${UNASKED} where there is no terminal`)
      .addHelpText(
        'after',
        '\nStop it whenever you like, and start it again: who was repaired lacks nothing. Whose organization was deleted is left alone.\nExit codes: 0 everybody was repaired, 1 some could not be, 130 interrupted.',
      ),
    async (session, options: Options) => {
      const api = await session.connect()
      const found = await run(session, api, true, options.limit)
      if (options.dryRun || found.users.length === 0 || (!found.complete && session.stop.aborted))
        return report(session, { ...found, dry_run: options.dryRun ?? false })
      if (found.users.length > UNASKED)
        await session.confirm(
          `Make the missing rows of ${found.users.length} users, and start their provisioning?`,
          options.yes ?? false,
        )
      return report(session, await run(session, api, false, options.limit))
    },
  )
}

/** Goes through all users in portions. A repair that has begun is waited for, so that its users are in the summary. */
async function run(
  session: Session,
  api: Api,
  dryRun: boolean,
  limit = Number.POSITIVE_INFINITY,
): Promise<Result> {
  const result: Result = { dry_run: dryRun, examined: 0, complete: false, users: [] }
  const progress = startProgress()
  const waiting = () => {
    progress.clear()
    session.note('Waiting for the portion that is being repaired; Ctrl-C again ends at once.')
  }
  if (!dryRun) session.stop.addEventListener('abort', waiting, { once: true })
  let next: { readonly of: Backfill; readonly after: string | null } | undefined = {
    of: 'backfill_users',
    after: null,
  }
  let total = 0
  while (next && !session.stop.aborted && result.users.length < limit) {
    const most = Math.min(dryRun ? DRY_PORTION : PORTION, limit - result.users.length)
    const portion = await readPortion(api, next.of, most, dryRun, next.after)
    result.users.push(...portion.users)
    if (next.of === 'backfill_users') result.examined += portion.examined
    total = portion.total ?? total
    next = following(next.of, portion.after)
    progress.show(
      `${result.examined} of ${total} users, ${result.users.length} ${dryRun ? 'lack rows' : 'repaired'}`,
      total > 0 ? result.examined / total : 1,
    )
  }
  result.complete = next === undefined
  session.stop.removeEventListener('abort', waiting)
  progress.clear()
  return result
}

/** Users first; then tenants that are rows of the project's own table, where one is read. */
type Backfill = 'backfill_users' | 'backfill_tenants'

function following(of: Backfill, after: string | null): { of: Backfill; after: string | null } | undefined {
  if (after !== null) return { of, after }
  return of === 'backfill_users' ? { of: 'backfill_tenants', after: null } : undefined
}

async function readPortion(api: Api, of: Backfill, most: number, dryRun: boolean, after: string | null) {
  const options = { dry_run: dryRun, ...(after === null ? {} : { after }) }
  const call =
    of === 'backfill_users'
      ? api.client.rpc(of, { max_users: most, ...options })
      : api.client.rpc(of, { max_tenants: most, ...options })
  return portionSchema.parse(
    await (dryRun ? api.read('The backfill', call) : api.change('The backfill', call)),
  )
}

function report(session: Session, result: Result): number {
  const counted = (outcome: string) => result.users.filter((user) => user.outcome === outcome).length
  const counts = {
    repaired: counted('repaired'),
    failed: counted('failed'),
    not_eligible: counted('not_eligible'),
    would_repair: counted('would_repair'),
  }
  session.print({ ...result, ...counts }, () => screen(result, counts))
  session.standing = `${counts.repaired} users were repaired; start it again to go on.`
  session.stop.throwIfAborted()
  return counts.failed > 0 ? exit.refused : exit.fine
}

function screen(result: Result, counts: Readonly<Record<string, number>>): string {
  const lines = [labelled(sign(counts.failed ? 'failed' : 'ok'), summary(result, counts), 2)]
  if (result.users.length > 0)
    lines.push(
      heading('Users'),
      table(
        ['', 'user', 'lacked', 'organization'],
        result.users
          .slice(0, ROWS_SHOWN)
          .map((user) => [
            sign(OUTCOME_SIGNS[user.outcome] ?? 'warning'),
            user.name ?? user.email ?? user.user_id ?? '',
            user.missing.join(', '),
            user.message ?? user.slug ?? '',
          ]),
      ),
    )
  const more = result.users.length - ROWS_SHOWN
  if (more > 0) lines.push(`  … and ${more} more; --json lists them all`)
  if (counts.repaired)
    lines.push('\nTheir tenants are being made: npm run tenants -- list --status provisioning')
  return lines.join('\n')
}

const OUTCOME_SIGNS: Readonly<Record<string, string>> = {
  repaired: 'ok',
  would_repair: 'waiting',
  failed: 'failed',
}

function summary(
  { dry_run: dryRun, examined, complete, users }: Result,
  counts: Readonly<Record<string, number>>,
): string {
  const looked = `${examined} user${examined === 1 ? '' : 's'} examined`
  const rest = complete ? '' : ' There may be more.'
  if (users.length === 0) return `${looked}; ${complete ? 'nobody' : 'nobody of them'} lacks anything.${rest}`
  if (dryRun) return `${looked}; ${users.length} would be repaired.${rest}`
  const failed = counts.failed ? `, ${counts.failed} failed (the sweep tries them again)` : ''
  return `${looked}; ${counts.repaired} repaired${failed}.${rest}`
}
