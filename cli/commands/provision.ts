import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { serviceNames } from '../../shared/services/registry.ts'
import { labelled, sign } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { exitCodeOf, follow } from '../follow.ts'
import { seconds, words } from '../options.ts'
import { statusScreen } from '../screens/status.ts'
import { type Define, exit, type Session } from '../session.ts'
import { argumentOf, jobFor, nameOf, type Tenant } from '../tenant.ts'

const POLL_MS = 500
/** @throws InvalidArgumentError */
function namesOfServices(text: string, before: readonly string[] | undefined): string[] {
  const all = words(text, before)
  const unknown = all.find((name) => !serviceNames.includes(name))
  if (unknown !== undefined)
    throw new InvalidArgumentError(`The services are ${serviceNames.join(', ')}; "${unknown}" is none.`)
  return all
}

interface Waiting {
  readonly wait: boolean
  readonly timeout: number
}

interface Wishes extends Waiting {
  readonly size?: string
  readonly region?: string
  readonly tier?: string
}

interface RetryOptions extends Waiting {
  readonly service?: readonly string[]
}

export function registerProvision(program: Command, define: Define): void {
  define(
    waiting(
      program
        .command('provision')
        .description('make whatever a user lacks, rows and resources, and follow it')
        .argument('<user>', 'e-mail address or id; of any age, unlike the e-mail call of the function')
        .option('--size <size>', 'of the database, such as medium')
        .option('--region <region>', 'of the data, such as eu; possible until the database is begun')
        .option('--tier <tier>', 'database or project; possible until it is begun')
        .addHelpText('after', '\nThe command options lists the sizes, regions and tiers.'),
    ),
    async (session, subject: string, options: Wishes) => {
      const api = await session.connect()
      const organizationId = await withRows(session, api, subject, options.region)
      session.requesting(organizationId)
      await api.invoke('provision-tenant-resources', {
        organizationId,
        ...(options.size === undefined ? {} : { databaseSize: options.size }),
        ...(options.region === undefined ? {} : { dataRegion: options.region }),
        ...(options.tier === undefined ? {} : { tier: options.tier }),
      })
      return outcome(session, api, organizationId, options)
    },
  )
}

export function registerRetry(program: Command, define: Define): void {
  define(
    waiting(
      program
        .command('retry')
        .description('try again what failed, be it a removal, or look at a service again, and follow it')
        .argument('<tenant>', 'slug, e-mail address or id')
        .addOption(
          new Option(
            '--service <name>',
            `only this one, even when it is ready (${serviceNames.join(', ')}); may be repeated`,
          ).argParser(namesOfServices),
        ),
    ),
    async (session, subject: string, options: RetryOptions) => {
      const api = await session.connect()
      const tenant = await api.find(subject)
      const removal = removalToRetry(tenant)
      if (tenant.organization === null && options.service)
        throw new ProjectError(
          'The organization is deleted; the removal of what it had is retried as a whole.',
          'deleted',
          409,
        )
      session.requesting(tenant.organization_id)
      // A service that is named is to be made.
      if (removal === undefined || options.service) {
        await api.invoke('provision-tenant-resources', {
          organizationId: tenant.organization_id,
          ...(options.service ? { services: options.service } : {}),
        })
        return outcome(session, api, tenant.organization_id, options)
      }
      await api.invoke('deprovision-tenant-resources', { organizationId: tenant.organization_id })
      return outcome(session, api, tenant.organization_id, options, removal)
    },
  )
}

/** What is to be tried again when it is a removal and no provisioning; see provisioning.retryable_removal. */
function removalToRetry(tenant: Tenant): 'remove' | 'revert' | undefined {
  if (tenant.organization === null) return 'remove'
  const isReverted = jobFor(tenant, 'provision')?.status === 'cancelled'
  return isReverted && jobFor(tenant, 'revert')?.status === 'failed' ? 'revert' : undefined
}

function waiting(command: Command): Command {
  return command
    .option('--no-wait', 'return as soon as it is asked for')
    .addOption(new Option('--timeout <seconds>', 'how long to follow it').default(300).argParser(seconds))
    .addHelpText(
      'after',
      '\nExit codes: 0 ready, or removed (with --no-wait: asked for), 1 refused, 3 not ready in time or failed.',
    )
}

const repair = z.looseObject({
  outcome: z.string(),
  message: z.string().nullish(),
  organization_id: z.string().nullish(),
})

/**
 * The region goes along: from the moment that there is an organization, a worker may begin its database.
 * @returns the organization of a user, made with all its rows when there was none
 */
async function withRows(session: Session, api: Api, subject: string, region?: string): Promise<string> {
  const before = await api.describe(subject)
  const lacks = before.checks.some(({ check, status }) => ROWS.has(check) && status !== 'ok')
  if (before.user === null)
    throw new ProjectError(
      [before.verdict.summary, before.verdict.fix].filter(Boolean).join(' '),
      'not_found',
      404,
    )
  if (!lacks && before.organization) return before.organization.id
  const repaired = repair.parse(
    await api.change(
      'The repair',
      api.client.rpc('repair_user', {
        user_id: before.user.id,
        ...(region === undefined ? {} : { metadata: { data_region: region } }),
      }),
    ),
  )
  if (!repaired.organization_id)
    throw new ProjectError(
      `${nameOf(before)}: ${repaired.message ?? repaired.outcome}`,
      repaired.outcome,
      422,
    )
  session.standing = 'The rows are there, and the job with them: it goes on by itself.'
  return repaired.organization_id
}

const ROWS = new Set(['sign_up', 'profile', 'profile_email', 'wallet', 'organization', 'ownership'])

async function outcome(
  session: Session,
  api: Api,
  organizationId: string,
  { wait, timeout }: Waiting,
  removal?: 'remove' | 'revert',
): Promise<number> {
  if (!wait) {
    const tenant = await api.describe(organizationId)
    session.print(tenant, () =>
      labelled(sign('queued'), `Asked for. Look: npm run tenants -- watch ${argumentOf(tenant)}`, 2),
    )
    return exit.fine
  }
  const options = { intervalMs: POLL_MS, timeoutMs: timeout * 1000 }
  const { tenant, timedOut } = await follow(session, api, organizationId, options, session.json)
  // What is removed is not ready, and as it should be.
  if (removal !== undefined && jobFor(tenant, removal)?.status === 'succeeded') {
    session.print(tenant, () =>
      labelled(sign('ok'), `Everything of ${nameOf(tenant)} outside is removed.`, 2),
    )
    return exit.fine
  }
  session.print(tenant, () => ending(tenant, timedOut))
  return timedOut ? exit.notReady : exitCodeOf(tenant)
}

function ending(tenant: Tenant, timedOut: boolean): string {
  if (tenant.verdict.ready) return labelled(sign('ok'), tenant.verdict.summary, 2)
  if (timedOut)
    return labelled(
      sign('waiting'),
      `${tenant.verdict.summary} It goes on by itself: npm run tenants -- watch ${argumentOf(tenant)}`,
      2,
    )
  return statusScreen(tenant)
}
