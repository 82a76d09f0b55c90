import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { latestSchemaVersion } from '../../shared/tenant-database/latest-schema-version.ts'
import { labelled, sign, table, time, watched } from '../../tools/terminal.ts'
import type { Api } from '../api.ts'
import { patiently } from '../follow.ts'
import { count, numberFrom, seconds } from '../options.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit, type Session } from '../session.ts'

/** How many databases are tried on, unless it is said, and at most. */
const TRIED = 3
const MOST_TRIED = 20
const POLL_MS = 500
/** Where nobody watches, a line is printed so often, for the log of whatever runs this. */
const LINE_MS = 30_000

const runSchema = z.looseObject({
  id: z.string(),
  to_version: z.number(),
  state: z.enum(['canary', 'rolling', 'stopped', 'done', 'cancelled']),
  stopped_because: z.string().nullable(),
  tenants: z.partialRecord(z.enum(['waiting', 'asleep', 'queued', 'done', 'failed', 'left']), z.number()),
  errors: z.array(
    z.looseObject({
      organization_id: z.string(),
      slug: z.string().nullable(),
      code: z.string().nullable(),
      message: z.string().nullable(),
    }),
  ),
})
const statusSchema = z.looseObject({
  versions: z.array(z.object({ version: z.number().nullable(), tenants: z.number() })),
  plan: z.object({ to_version: z.number(), tenants: z.number(), asleep: z.number() }).nullable(),
  drifted: z.object({
    count: z.number(),
    tenants: z.array(
      z.looseObject({
        organization_id: z.string(),
        slug: z.string(),
        since: z.string(),
        differences: z.array(z.string()),
      }),
    ),
  }),
  run: runSchema.nullable(),
})
const trialsSchema = z.array(
  z.looseObject({
    job_id: z.string(),
    organization_id: z.string(),
    slug: z.string().nullable(),
    state: z.enum(['queued', 'running', 'applied', 'refused', 'failed', 'cancelled']),
    took_ms: z.number().nullable(),
    code: z.string().nullable(),
    message: z.string().nullable(),
  }),
)
type Trials = z.infer<typeof trialsSchema>
type Status = z.infer<typeof statusSchema>
type Run = z.infer<typeof runSchema>

interface Options {
  readonly to: number
  readonly canary: number
  readonly concurrency: number
  readonly maxFailures: number
  readonly dryRun?: true
  readonly status?: true
  readonly tryOnBranch?: number | true
  readonly stop?: string
  readonly wait: boolean
  readonly timeout: number
  readonly yes?: true
}

/** A share, with or without its sign. @throws InvalidArgumentError */
function percent(text: string): number {
  const [, number] = /^(\d{1,3}(?:\.\d{1,6})?)%?$/.exec(text) ?? []
  if (number === undefined || Number(number) > 100)
    throw new InvalidArgumentError('It must be a share from 0% to 100%.')
  return Number(number)
}

/** @throws InvalidArgumentError */
function reason(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('It must say why.')
  return text
}

export function registerMigrate(program: Command, define: Define): void {
  define(
    program
      .command('migrate')
      .description('bring all tenants’ databases to a newer version of the tenant schema')
      .addOption(
        new Option(
          '--to <version>',
          'the number of the last file; without it, the newest of this command’s own files',
        )
          .default(latestSchemaVersion)
          .argParser(count),
      )
      .addOption(
        new Option('--canary <share>', 'who comes before the others').default(5, '5%').argParser(percent),
      )
      .addOption(
        new Option('--concurrency <tenants>', 'how many at once, 100 at most')
          .default(8)
          .argParser(numberFrom(1, 100)),
      )
      .addOption(
        new Option('--max-failures <share>', 'it stops when more than this have failed')
          .default(10, '10%')
          .argParser(percent),
      )
      .option('--dry-run', 'only say whom it would be about')
      .addOption(
        new Option(
          '--try-on-branch [tenants]',
          'apply the files to copies of some tenants’ databases, and to nothing else; 3 tenants, 20 at most',
        ).argParser(numberFrom(1, MOST_TRIED)),
      )
      .addOption(
        new Option(
          '--status',
          'only show the versions of all tenants, and how the newest run stands',
        ).conflicts(['stop', 'dryRun', 'tryOnBranch']),
      )
      .addOption(
        new Option('--stop <reason>', 'stop the run that is under way')
          .argParser(reason)
          .conflicts(['dryRun', 'tryOnBranch']),
      )
      .option('--no-wait', 'return as soon as it has begun')
      .addOption(new Option('--timeout <seconds>', 'how long to follow it').default(3600).argParser(seconds))
      .option('--yes', 'do not ask; needed where there is no terminal')
      .addHelpText(
        'after',
        '\nDatabases that sleep are not woken: they follow when they are awake. After a stop, give the command again when the cause is mended.\nExit codes: 0 done, or all but those asleep; 1 refused, stopped, or some have failed; 3 not done in time.',
      ),
    async (session, options: Options) => {
      const api = await session.connect()
      if (options.stop !== undefined) return stop(session, api, options.stop)
      const before = await readStatus(api, options.to)
      if (options.tryOnBranch !== undefined) return tryOnBranches(session, api, before, options)
      if (options.status) return printed(session, before, statusScreen(before))
      const plan = planLine(before, options)
      if (options.dryRun) return printed(session, { dry_run: true, plan: before.plan }, plan)
      if (isNothingToDo(before)) return printed(session, before, `${plan} Nothing was changed.`)
      if (!options.yes) session.note(plan)
      await session.confirm('Migrate them?', options.yes ?? false)
      return migrate(session, api, options)
    },
  )
}

async function migrate(session: Session, api: Api, options: Options): Promise<number> {
  session.standing = 'Whether it has begun: npm run tenants -- migrate --status'
  const begun = statusSchema.parse(
    await api.change(
      'The migration',
      api.client.rpc('migrate_fleet', {
        to_version: options.to,
        canary_percent: options.canary,
        concurrency: options.concurrency,
        max_failures_percent: options.maxFailures,
      }),
    ),
  )
  session.standing = 'It goes on by itself. See how: npm run tenants -- migrate --status'
  const after = options.wait ? await follow(session, api, begun, options.timeout) : begun
  session.print(after, () => statusScreen(after))
  if (!options.wait) return exit.fine
  return after.run ? exitCodeOf(after.run) : exit.fine
}

async function tryOnBranches(
  session: Session,
  api: Api,
  { plan }: Status,
  options: Options,
): Promise<number> {
  const wanted = options.tryOnBranch === true ? TRIED : (options.tryOnBranch ?? TRIED)
  const tenants = Math.min(wanted, plan?.tenants ?? 0)
  const costs = [
    `Version ${options.to} is tried on branches of up to ${tenants} tenants’ Neon projects, chosen among the ${plan?.tenants ?? 0} that are behind.`,
    'Nobody is woken, and the tenants’ own databases stay as they are. A branch runs a compute of its own for a minute or two, which is',
    'charged as compute time of the project, and counts among the branches of the plan while it is there: Free and Launch include 10 for',
    'each project, Scale 25. It is deleted at the end; Neon deletes it after two hours if that could not be done.',
  ].join('\n')
  if (options.dryRun) return printed(session, { dry_run: true, to_version: options.to, tenants }, costs)
  if (!options.yes) session.note(costs)
  await session.confirm('Try it?', options.yes ?? false)
  session.standing = 'The branches are deleted by themselves.'
  const begun = await api.change(
    'The trial',
    api.client.rpc('try_fleet_migration', { to_version: options.to, tenants: wanted }),
  )
  const trials = await followTrials(session, api, trialsSchema.parse(begun), options)
  session.print(trials, () => trialsScreen(trials))
  if (trials.some(({ state }) => !hasEnded(state))) return options.wait ? exit.notReady : exit.fine
  return trials.every(({ state }) => state === 'applied') ? exit.fine : exit.refused
}

const hasEnded = (state: Trials[number]['state']) => state !== 'queued' && state !== 'running'

async function followTrials(
  session: Session,
  api: Api,
  begun: Trials,
  { wait, timeout }: Options,
): Promise<Trials> {
  const progress = startProgress()
  const deadline = Date.now() + timeout * 1000
  let trials = begun
  while (wait && trials.some(({ state }) => !hasEnded(state)) && Date.now() < deadline) {
    const ended = trials.filter(({ state }) => hasEnded(state)).length
    progress.show(`${ended} of ${trials.length} tried`, ended / trials.length)
    await sleep(POLL_MS, undefined, { signal: session.stop }).catch(() => session.stop.throwIfAborted())
    trials = await patiently(session, async () => {
      const call = api.client.rpc('schema_trials', { job_ids: begun.map(({ job_id: id }) => id) })
      return trialsSchema.parse(await api.read('The trial', call))
    })
  }
  progress.clear()
  return trials
}

function trialsScreen(trials: Trials): string {
  const lines = trials.map(({ slug, organization_id: id, state, took_ms: took, message }) =>
    labelled(
      sign(TRIAL_SIGNS[state]),
      `${slug ?? id}: ${state}${state === 'applied' && took !== null ? ` in ${took} ms` : ''}${message ? `. ${message}` : ''}`,
      2,
    ),
  )
  const applied = trials.every(({ state }) => state === 'applied')
  return [
    ...lines,
    ...(applied ? ['', 'Give the command without --try-on-branch, and all tenants follow.'] : []),
  ].join('\n')
}

const TRIAL_SIGNS = {
  queued: 'waiting',
  running: 'running',
  applied: 'ok',
  refused: 'failed',
  failed: 'failed',
  cancelled: 'waiting',
} as const

/** Until nothing more will happen by itself soon. */
async function follow(session: Session, api: Api, begun: Status, limitSeconds: number): Promise<Status> {
  const report = startReport(session)
  const deadline = Date.now() + limitSeconds * 1000
  let status = begun
  while (status.run && isUnderWay(status.run) && Date.now() < deadline) {
    report.poll(status.run)
    await sleep(POLL_MS, undefined, { signal: session.stop }).catch(() => session.stop.throwIfAborted())
    status = await patiently(session, () => readStatus(api))
  }
  report.end()
  return status
}

/** How far a run is: a bar on a terminal, else a line now and then; and each tenant that fails, once, as soon as it is known. */
function startReport(session: Session) {
  const progress = startProgress()
  const reported = new Set<string>()
  let [lineAt, line] = [performance.now(), '']
  return {
    poll: (run: Run) => {
      const news = run.errors.filter(({ organization_id: id }) => !reported.has(id))
      if (news.length > 0) progress.clear()
      for (const each of news) {
        reported.add(each.organization_id)
        session.note(errorLine(each))
      }
      const ended = (run.tenants.done ?? 0) + (run.tenants.failed ?? 0) + (run.tenants.left ?? 0)
      const all = Object.values(run.tenants).reduce((sum, each) => sum + each, 0)
      const counts = `${run.state}: ${countsOf(run)}`
      progress.show(counts, ended / Math.max(1, all))
      if (watched || counts === line || performance.now() - lineAt < LINE_MS) return
      session.note(counts)
      lineAt = performance.now()
      line = counts
    },
    end: () => progress.clear(),
  }
}

function isUnderWay({ state, tenants }: Run): boolean {
  return (state === 'canary' || state === 'rolling') && (tenants.waiting ?? 0) + (tenants.queued ?? 0) > 0
}

function exitCodeOf(run: Run): number {
  if (run.state === 'stopped' || (run.tenants.failed ?? 0) > 0) return exit.refused
  return isUnderWay(run) ? exit.notReady : exit.fine
}

async function stop(session: Session, api: Api, reason: string): Promise<number> {
  session.standing = 'Whether it is stopped: npm run tenants -- migrate --status'
  const status = statusSchema.parse(
    await api.change('The stop', api.client.rpc('stop_fleet_migration', { reason })),
  )
  if (status.run?.state !== 'stopped') session.note('No migration is under way: there was nothing to stop.')
  return printed(session, status, statusScreen(status))
}

async function readStatus(api: Api, to?: number): Promise<Status> {
  const call = api.client.rpc('fleet_migration_status', to === undefined ? {} : { to_version: to })
  return statusSchema.parse(await api.read('The migration', call))
}

function printed(session: Session, document: unknown, screen: string): number {
  session.print(document, () => screen)
  return exit.fine
}

function errorLine({ slug, organization_id: id, message }: Run['errors'][number]): string {
  return `${slug ?? id}: ${message ?? 'failed'}`
}

/** Nobody is behind, and no run waits to be ended or to go on. */
function isNothingToDo({ plan, run }: Status): boolean {
  return plan?.tenants === 0 && (run === null || run.state === 'done' || run.state === 'cancelled')
}

function planLine({ plan }: Status, { canary, concurrency }: Options): string {
  const { tenants = 0, asleep = 0, to_version: to = 0 } = plan ?? {}
  if (tenants === 0) return `No tenant that is ready is behind version ${to}.`
  const unknown =
    to > latestSchemaVersion
      ? ` This command's own files end with version ${latestSchemaVersion}: functions that have no later ones refuse.`
      : ''
  const first = Math.ceil((tenants * canary) / 100)
  return `${tenants} tenants are behind version ${to}; ${asleep} of them sleep, and follow when they are awake. First ${first}, then the others, ${concurrency} at once.${unknown}`
}

function countsOf({ tenants }: Run): string {
  return Object.entries(tenants)
    .filter(([, number]) => number > 0)
    .map(([state, number]) => `${number} ${state}`)
    .join(', ')
}

const SIGNS = {
  canary: 'running',
  rolling: 'running',
  stopped: 'failed',
  done: 'ok',
  cancelled: 'waiting',
} as const

/** Whose schema was changed by hand; all differences of one are in `tenants health`. */
function driftLines({ count, tenants }: Status['drifted']): string[] {
  if (count === 0) return []
  return [
    '',
    labelled(sign('degraded'), `${count} of them are not as the files of their version have made them:`, 2),
    ...tenants.map(
      ({ slug, since, differences: [first = 'found by the GraphQL endpoint', ...others] }) =>
        `  ${slug}, since ${time(since)}: ${first}${others.length > 0 ? `, and ${others.length} more` : ''}`,
    ),
    'All of it, of one tenant: npm run tenants -- health TENANT',
  ]
}

function statusScreen({ versions, drifted, run }: Status): string {
  const versionsTable = table(
    ['version', 'tenants'],
    versions.map(({ version, tenants }) => [
      version === null ? 'none yet' : String(version),
      String(tenants),
    ]),
  )
  const fleet = [versionsTable, ...driftLines(drifted)].join('\n')
  if (!run) return fleet
  const lines = [
    labelled(sign(SIGNS[run.state]), `Version ${run.to_version}: ${run.state}. ${countsOf(run)}`, 2),
    ...(run.stopped_because && run.state === 'stopped' ? [run.stopped_because] : []),
    ...run.errors.map((each) => `  ${errorLine(each)}`),
  ]
  return `${fleet}\n\n${lines.join('\n')}`
}
