import { setTimeout as sleep } from 'node:timers/promises'
import { type Command, Option } from 'commander'
import { z } from 'zod'
import { labelled, sign } from '../../tools/terminal.ts'
import type { Api } from '../api.ts'
import { seconds } from '../options.ts'
import { startProgress } from '../progress.ts'
import { type Define, exit, type Session } from '../session.ts'
import { argumentOf, type Job, nameOf, type Tenant } from '../tenant.ts'

const POLL_MS = 500
const LABEL_WIDTH = 20
const MOST_NAMED = 20

interface Options {
  readonly to: string
  readonly dryRun?: true
  readonly data: boolean
  readonly leaveExtraTables?: true
  readonly cancel?: true
  readonly yes?: true
  readonly wait: boolean
  readonly timeout: number
}

type Found = Tenant & { readonly organization_id: string }

const look = z.looseObject({
  schemaVersion: z.number().nullable(),
  newestVersion: z.number(),
  tables: z.number(),
  differ: z.array(z.string()),
  extra: z.array(z.string()),
  extraCount: z.number(),
})
type Look = z.infer<typeof look>

export function registerMove(program: Command, define: Define): void {
  define(
    program
      .command('move')
      .description('bring a tenant into another tier, with its rows')
      .argument('<tenant>', 'slug, e-mail address or id')
      .addOption(new Option('--to <tier>', 'such as project').default('project'))
      .option('--dry-run', 'only look what would be in the way')
      .option('--no-data', 'make the new database, and copy no rows')
      .option('--leave-extra-tables', 'leave tables behind that people have made')
      .option('--cancel', 'stop the move that is under way, and remove what it has made')
      .option('--yes', 'do not ask; needed where there is no terminal')
      .option('--no-wait', 'return as soon as it is asked for')
      .addOption(new Option('--timeout <seconds>', 'how long to follow it').default(900).argParser(seconds))
      .addHelpText(
        'after',
        '\nThe tenant works where it is until the switch. For the last rows its database is closed for some seconds, and the endpoint\nanswers 503 with tenant_moving. Passwords of the old database are no longer good then; keys of the endpoint are. What is left\nbehind is removed after its grace period (provisioning.resource_kinds).\nExit codes: 0 done, 1 refused or not confirmed, 3 not done in time or failed, 4 the look found something in the way.',
      ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const tenant = await api.find(subject)
      if (options.cancel) return cancel(session, api, tenant, options)
      return options.dryRun ? dryRun(session, api, tenant, options) : move(session, api, tenant, options)
    },
  )
}

function ask(
  api: Api,
  tenant: Found,
  {
    to,
    data,
    leaveExtraTables,
    dryRun: isLook,
  }: Pick<Options, 'to' | 'data' | 'leaveExtraTables' | 'dryRun'>,
) {
  return api.change(
    'The move',
    api.client.rpc('move_tenant', {
      organization_id: tenant.organization_id,
      tier: to,
      dry_run: isLook ?? false,
      with_data: data,
      leave_extra_tables: leaveExtraTables ?? false,
    }),
  )
}

async function dryRun(session: Session, api: Api, tenant: Found, options: Options): Promise<number> {
  const jobId = await ask(api, tenant, options)
  const job = await followed(session, api, tenant, jobId, options)
  const found = look.safeParse(job?.steps[0]?.output)
  if (job?.status !== 'succeeded' || !found.success) return unfinished(session, jobId, job)
  const { data } = found
  const isBlocked =
    data.schemaVersion !== data.newestVersion ||
    data.differ.length > 0 ||
    (data.extraCount > 0 && !options.leaveExtraTables)
  session.print({ dry_run: true, to: options.to, blocked: isBlocked, ...data }, () =>
    lookLines(nameOf(tenant), data, options, isBlocked).join('\n'),
  )
  return isBlocked ? exit.problems : exit.fine
}

function lookLines(name: string, found: Look, { to, data }: Options, isBlocked: boolean): string[] {
  const { schemaVersion, newestVersion, tables, differ, extra, extraCount } = found
  const named = (names: readonly string[], count: number) =>
    names.slice(0, MOST_NAMED).join(', ') + (count > MOST_NAMED ? ` and ${count - MOST_NAMED} more` : '')
  return [
    `${name} would be moved into the tier ${to}. Nothing was changed.`,
    labelled('  Tables', `${tables}; ${data ? 'their rows are copied' : 'no rows are copied'}`, LABEL_WIDTH),
    ...(schemaVersion === newestVersion
      ? []
      : [
          labelled(
            '  Behind',
            `version ${schemaVersion ?? 'none'} instead of ${newestVersion}: npm run tenants -- migrate`,
            LABEL_WIDTH,
          ),
        ]),
    ...(differ.length > 0 ? [labelled('  Not as made', named(differ, differ.length), LABEL_WIDTH)] : []),
    ...(extraCount > 0 ? [labelled('  Left behind', named(extra, extraCount), LABEL_WIDTH)] : []),
    isBlocked ? 'This is in the way; see above.' : 'Nothing is in the way.',
  ]
}

async function move(session: Session, api: Api, tenant: Found, options: Options): Promise<number> {
  const name = argumentOf(tenant)
  await session.confirm(
    `Move ${nameOf(tenant)} into the tier ${options.to}${options.data ? '' : ', without its rows'}?`,
    options.yes ?? false,
  )
  session.requesting(name)
  const jobId = await ask(api, tenant, options)
  if (!options.wait) {
    session.print({ job_id: jobId }, () =>
      labelled(sign('queued'), `Asked for. Look: npm run tenants -- watch ${name}`, 2),
    )
    return exit.fine
  }
  const job = await followed(session, api, tenant, jobId, options)
  if (job?.status !== 'succeeded') return unfinished(session, jobId, job)
  session.print({ job_id: jobId, status: job.status }, () =>
    labelled(
      sign('ok'),
      `${nameOf(tenant)} has moved. Its new password: npm run tenants -- connection ${name} --reveal`,
      2,
    ),
  )
  return exit.fine
}

async function cancel(session: Session, api: Api, tenant: Found, { yes }: Options): Promise<number> {
  await session.confirm(`Cancel the move of ${nameOf(tenant)}?`, yes ?? false)
  session.requesting(argumentOf(tenant))
  const undoJobId = await api.change(
    'The cancellation',
    api.client.rpc('cancel_move', { organization_id: tenant.organization_id }),
  )
  session.print({ undo_job_id: undoJobId }, () =>
    labelled(
      sign('ok'),
      `The move is cancelled. What it made is being removed: npm run tenants -- watch ${argumentOf(tenant)}`,
      2,
    ),
  )
  return exit.fine
}

/** Until it has ended, or time is up. What else is open for the tenant, such as the removal of what it has left, is not waited for. */
async function followed(
  session: Session,
  api: Api,
  tenant: Found,
  jobId: string,
  { timeout }: Options,
): Promise<Job | undefined> {
  const progress = startProgress()
  const deadline = Date.now() + timeout * 1000
  try {
    for (;;) {
      const { jobs } = await api.describe(tenant.organization_id)
      const job = Object.values(jobs).find(({ id }) => id === jobId)
      if (job?.finished_at || Date.now() > deadline) return job
      const step = job?.steps.find(({ status }) => status === 'running' || status === 'retrying')
      progress.show(step ? `${step.step}: ${step.error?.message ?? step.status}` : 'waiting')
      await sleep(POLL_MS, undefined, { signal: session.stop }).catch(() => session.stop.throwIfAborted())
    }
  } finally {
    progress.clear()
  }
}

function unfinished(session: Session, jobId: string, job: Job | undefined): number {
  session.print({ job_id: jobId, status: job?.status ?? null, error: job?.last_error ?? null }, () =>
    labelled(
      sign('waiting'),
      `The job is ${job?.status ?? 'unknown'}. ${job?.last_error?.message ?? ''} The tenant works where it is.`,
      2,
    ),
  )
  return exit.notReady
}
