import { type Command, Option } from 'commander'
import { z } from 'zod'
import { heading, labelled, sign, table } from '../../tools/terminal.ts'
import type { Api } from '../api.ts'
import { words } from '../options.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit, type Session } from '../session.ts'
import { chosen, HEALTH_STATES } from './list.ts'

/** Of one call, which is to end in about a second. */
const PORTION = 100

interface Options {
  readonly health?: string[]
  readonly region?: string[]
  readonly plan?: string[]
  readonly errorCode?: string[]
  readonly search?: string
  readonly dryRun?: true
  readonly yes?: true
}

const outcomeSchema = z.looseObject({
  matched: z.number(),
  exact: z.boolean(),
  by_reason: z.array(z.object({ code: z.string(), message: z.string(), count: z.number() })),
  retried: z.number(),
  remaining: z.number(),
})
type Outcome = z.infer<typeof outcomeSchema>

export function registerRetryFailed(program: Command, define: Define): void {
  define(
    program
      .command('retry-failed')
      .description('try again, for many tenants at once, the provisioning that has failed')
      .addOption(new Option('--error-code <codes>', 'only those that failed so').argParser(words))
      .addOption(chosen('--health <states>', 'of the database, one or several', HEALTH_STATES))
      .addOption(
        new Option('--region <regions>', 'data or Neon regions, such as eu-central-1').argParser(words),
      )
      .addOption(new Option('--plan <plans>', 'such as free').argParser(words))
      .option('--search <text>', 'a part of the name, the slug or the billing e-mail address')
      .option('--dry-run', 'only say how many there are, and why they failed')
      .option('--yes', 'do not ask; needed where there is no terminal')
      .addHelpText(
        'after',
        '\nThey go into the lane for work that nobody waits for: sign-ups go first.\nExit codes: 0 asked for, or there are none; 1 refused.',
      ),
    async (session, options: Options) => {
      const api = await session.connect()
      const found = await retry(api, options, true)
      if (options.dryRun || found.matched === 0) return report(session, found, true)
      await session.confirm(`Try ${inWords(found)} again?`, options.yes ?? false)
      return report(session, await retryAll(session, api, options, found), false)
    },
  )
}

/** In portions; whoever is tried again has not failed any more, so the next call finds others. */
async function retryAll(session: Session, api: Api, options: Options, found: Outcome): Promise<Outcome> {
  const progress = startProgress()
  let retried = 0
  let last: Outcome
  do {
    last = await retry(api, options, false)
    retried += last.retried
    session.standing = `${retried} were asked for; start it again to go on.`
    progress.show(`${retried} of ${inWords(found)}`)
  } while (last.retried > 0 && last.remaining > 0 && !session.stop.aborted)
  progress.clear()
  session.stop.throwIfAborted()
  return { ...found, retried, remaining: last.remaining }
}

async function retry(api: Api, options: Options, dryRun: boolean): Promise<Outcome> {
  const { health = null, region = null, plan = null, search = null, errorCode = null } = options
  const call = api.client.rpc('retry_tenants', {
    filter: { health, region, plan, search, error_code: errorCode },
    dry_run: dryRun,
    max_tenants: PORTION,
  })
  return outcomeSchema.parse(
    await (dryRun ? api.read('The dry run', call) : api.change('The bulk retry', call)),
  )
}

function report(session: Session, outcome: Outcome, dryRun: boolean): number {
  session.print({ ...outcome, dry_run: dryRun }, () => screen(outcome, dryRun))
  return exit.fine
}

function screen(outcome: Outcome, dryRun: boolean): string {
  if (outcome.matched === 0) return 'There are no such tenants whose provisioning has failed.'
  const lines = [
    dryRun
      ? labelled(sign('waiting'), `${inWords(outcome)} would be tried again.`, 2)
      : labelled(sign('ok'), `${outcome.retried} are tried again; ${outcome.remaining} are left.`, 2),
    heading('Why they failed'),
    table(
      ['tenants', 'code', 'for example'],
      outcome.by_reason.map(({ code, message, count }) => [String(count), code, message]),
    ),
  ]
  if (!dryRun) lines.push('\nLook: npm run tenants -- list --status provisioning,failed')
  return lines.join('\n')
}

function inWords({ matched, exact }: Outcome): string {
  return `${exact ? '' : 'more than '}${matched} tenant${matched === 1 ? '' : 's'}`
}
