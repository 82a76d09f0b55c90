import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { labelled, sign, table, time } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { connectionForms } from '../connection-forms.ts'
import { follow } from '../follow.ts'
import { uuid } from '../options.ts'
import { type Define, exit, listed, type Session } from '../session.ts'
import { isOpen } from '../tenant.ts'

const POLL_MS = 300
const WAIT_MS = 120_000
const UNITS: Readonly<Record<string, number>> = { m: 1, h: 60, d: 1440 }

const login = z.looseObject({
  id: z.string(),
  login: z.string(),
  role: z.string(),
  requested_by: z.string().nullable(),
  made_at: z.string().nullable(),
  ends_at: z.string(),
  ended_at: z.string().nullable(),
})
type Login = z.infer<typeof login>
const asked = login.extend({ job_id: z.string() })
const connection = login.extend({
  host: z.string(),
  pooled_host: z.string().nullable(),
  port: z.number(),
  database: z.string(),
  user: z.string(),
  ssl_mode: z.string(),
  password: z.string().nullable(),
})

interface Options {
  readonly role: 'read' | 'app' | 'owner'
  readonly for: number
  readonly list?: true
  readonly reveal?: string
  readonly end?: string
}

/** Such as 30m, 1h or 1d. @returns minutes @throws InvalidArgumentError */
function span(text: string): number {
  const [, number, unit = 'm'] = /^(\d{1,5})([mhd]?)$/.exec(text) ?? []
  if (!number || Number(number) === 0)
    throw new InvalidArgumentError('It must be a time such as 30m, 1h or 1d.')
  return Number(number) * (UNITS[unit] ?? 1)
}

export function registerAccess(program: Command, define: Define): void {
  define(
    program
      .command('access')
      .description('a login of its own into a tenant’s database, for a time')
      .argument('<tenant>', 'slug, e-mail address or id')
      .addOption(new Option('--role <role>', 'what it may').choices(['read', 'app', 'owner']).default('read'))
      .addOption(
        new Option('--for <time>', 'such as 30m, 8h or 1d; at most settings.access_max_hours')
          .default(60, '1h')
          .argParser(span),
      )
      .addOption(
        new Option('--list', 'only show those that were asked for').conflicts([
          'role',
          'for',
          'reveal',
          'end',
        ]),
      )
      .addOption(
        new Option('--reveal <id>', 'show one of them again, password included; the audit log notes that')
          .argParser(uuid)
          .conflicts(['role', 'for', 'end']),
      )
      .addOption(new Option('--end <id>', 'end one of them now').argParser(uuid).conflicts(['role', 'for']))
      .addHelpText(
        'after',
        [
          listed('Roles', [
            ['read', 'reads the tenant’s data, under row level security'],
            ['app', 'writes it, too'],
            ['owner', 'changes the schema; what it makes belongs to the owner and stays'],
          ]),
          '\nTo make one, and to end one, wakes a database that sleeps.',
          'Exit codes: 0 done; 1 refused, or the login could not be made; 3 not made in time, and it is still being made.',
        ].join('\n'),
      ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const { organization_id: organizationId } = await api.find(subject)
      if (options.list) return list(session, await loginsOf(api, organizationId))
      const { reveal: revealed, end: ended } = options
      if (revealed !== undefined) {
        await assertOf(api, organizationId, revealed)
        return reveal(session, api, revealed)
      }
      session.standing = `How it stands: npm run tenants -- access ${organizationId} --list`
      if (ended !== undefined) {
        await assertOf(api, organizationId, ended)
        return end(session, api, ended)
      }
      return grant(session, api, organizationId, options)
    },
  )
}

async function grant(session: Session, api: Api, organizationId: string, options: Options): Promise<number> {
  const wishes = { organization_id: organizationId, role: options.role, minutes: options.for }
  const { id, job_id: jobId } = asked.parse(
    await api.change('The access', api.client.rpc('request_access', wishes)),
  )
  const later = `The login is made by itself. Show it then: npm run tenants -- access ${organizationId} --reveal ${id}`
  const following = { intervalMs: POLL_MS, timeoutMs: WAIT_MS, standing: later }
  const { tenant } = await follow(session, api, organizationId, following, true)
  const job = Object.values(tenant.jobs).find((each) => each.id === jobId)
  if (job && isOpen(job)) {
    const reason = job.last_error?.message
    const text = `It is not made in ${WAIT_MS / 1000} s.${reason ? ` ${reason}` : ''} ${later}`
    session.print({ id, job_id: jobId, status: job.status, error: job.last_error ?? null }, () =>
      labelled(sign('waiting'), text, 2),
    )
    return exit.notReady
  }
  if (job?.status !== 'succeeded')
    throw new ProjectError(
      `The login is not made: ${job?.last_error?.message ?? job?.status ?? 'its job is gone'}`,
      'not_made',
      409,
    )
  return reveal(session, api, id)
}

/** @throws ProjectError unless the login is one of the newest hundred of this tenant's: another one's is not meant. */
async function assertOf(api: Api, organizationId: string, id: string): Promise<void> {
  const logins = await loginsOf(api, organizationId)
  if (!logins.some((each) => each.id === id.toLowerCase()))
    throw new ProjectError(
      `This tenant has no login ${id}. Which there are: npm run tenants -- access ${organizationId} --list`,
      'not_found',
      404,
    )
}

async function reveal(session: Session, api: Api, id: string): Promise<number> {
  const made = connection.parse(
    await api.change('The password', api.client.rpc('reveal_access', { login_id: id })),
  )
  session.print(made, () => screen(made))
  return exit.fine
}

function screen(made: z.infer<typeof connection>): string {
  const { host, port, database, user, ssl_mode: sslMode, password, ends_at: endsAt, id } = made
  const forms = connectionForms({ host, port, database, user, sslMode, password: password ?? '' })
  return [
    labelled(sign('ok'), `Until ${time(endsAt)} UTC. End it before: --end ${id}`, 2),
    ...forms.map(([name, text]) => labelled(name, text, 8)),
  ].join('\n')
}

async function loginsOf(api: Api, organizationId: string): Promise<Login[]> {
  const call = api.client.rpc('access_logins', { organization_id: organizationId })
  return z.array(login).parse(await api.read('The logins', call))
}

function list(session: Session, logins: readonly Login[]): number {
  session.print({ logins }, () =>
    logins.length === 0
      ? 'Nobody has asked for a login.'
      : table(
          ['id', 'role', 'asked by', 'until (UTC)', ''],
          logins.map((each) => [
            each.id,
            each.role,
            each.requested_by ?? 'the backend',
            time(each.ended_at ?? each.ends_at),
            stateOf(each),
          ]),
        ),
  )
  return exit.fine
}

function stateOf({ ended_at: endedAt, ends_at: endsAt, made_at: madeAt }: Login): string {
  if (endedAt) return 'ended'
  if (Date.parse(endsAt) <= Date.now()) return 'ending'
  return madeAt ? 'valid' : 'being made'
}

async function end(session: Session, api: Api, id: string): Promise<number> {
  const ended = login.parse(await api.change('The end', api.client.rpc('end_access', { login_id: id })))
  session.print(ended, () =>
    labelled(
      sign('ok'),
      ended.ended_at
        ? `The login ${ended.login} has ended.`
        : `The login ${ended.login} ends: in a moment its sessions are closed, and it is dropped.`,
      2,
    ),
  )
  return exit.fine
}
