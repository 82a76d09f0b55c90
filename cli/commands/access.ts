import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { labelled, sign, table, time } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { connectionForms } from '../connection-forms.ts'
import { follow } from '../follow.ts'
import { uuid } from '../options.ts'
import { type Define, exit, listed, type Session } from '../session.ts'

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
      .addOption(new Option('--for <time>', 'such as 30m or 8h').default(60, '1h').argParser(span))
      .option('--list', 'only show those that were asked for')
      .addOption(new Option('--end <id>', 'end one of them now').argParser(uuid))
      .addHelpText(
        'after',
        listed('Roles', [
          ['read', 'reads the tenant’s data, under row level security'],
          ['app', 'writes it, too'],
          ['owner', 'changes the schema; what it makes belongs to the owner and stays'],
        ]),
      ),
    async (session, subject: string, options: Options) => {
      const api = await session.connect()
      const { organization_id: organizationId } = await api.find(subject)
      session.standing = `Which there are: npm run tenants -- access ${organizationId} --list`
      if (options.end !== undefined) return end(session, api, options.end)
      if (options.list) return list(session, api, organizationId)
      return grant(session, api, organizationId, options)
    },
  )
}

async function grant(session: Session, api: Api, organizationId: string, options: Options): Promise<number> {
  const wishes = { organization_id: organizationId, role: options.role, minutes: options.for }
  const { id, job_id: jobId } = asked.parse(
    await api.change('The access', api.client.rpc('request_access', wishes)),
  )
  const following = { intervalMs: POLL_MS, timeoutMs: WAIT_MS }
  const { tenant } = await follow(session, api, organizationId, following, true)
  const job = Object.values(tenant.jobs).find((each) => each.id === jobId)
  if (job?.status !== 'succeeded')
    throw new ProjectError(
      `The login is not made: ${job?.last_error?.message ?? job?.status ?? 'its job is gone'}`,
      'not_made',
      409,
    )
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

async function list(session: Session, api: Api, organizationId: string): Promise<number> {
  const call = api.client.rpc('access_logins', { organization_id: organizationId })
  const logins = z.array(login).parse(await api.read('The logins', call))
  session.print({ logins }, () =>
    logins.length === 0
      ? 'Nobody has asked for a login.'
      : table(
          ['id', 'role', 'asked by', 'until (UTC)', ''],
          logins.map((each) => [
            each.id,
            each.role,
            each.requested_by ?? 'the backend',
            time(each.ends_at),
            each.ended_at ? 'ended' : each.made_at ? 'valid' : 'being made',
          ]),
        ),
  )
  return exit.fine
}

async function end(session: Session, api: Api, id: string): Promise<number> {
  const ended = login.parse(await api.change('The end', api.client.rpc('end_access', { login_id: id })))
  session.print(ended, () => labelled(sign('ok'), `The login ${ended.login} ends.`, 2))
  return exit.fine
}
