import { type Command, InvalidArgumentError, Option } from 'commander'
import { z } from 'zod'
import { labelled, sign, table, time } from '../../tools/terminal.ts'
import { type Api, ProjectError } from '../api.ts'
import { type Define, exit, type Session } from '../session.ts'

const DAY_MS = 86_400_000
const MAX_DAYS = 30

interface Options {
  readonly organization: string
  readonly role: string
  readonly days?: number
  readonly withdraw?: boolean
}

const expectedMember = z.looseObject({
  email: z.string(),
  role: z.string(),
  expected_by: z.string().nullable(),
  ends_at: z.string(),
})
type ExpectedMember = z.infer<typeof expectedMember>

export function registerExpect(program: Command, define: Define): void {
  define(
    program
      .command('expect')
      .description(
        'whom an organization expects as a member, so that a colleague gets no tenant of their own',
      )
      .argument('[email]', 'who is expected, or no longer; without, all who are')
      .requiredOption('--organization <tenant>', 'slug, e-mail address or id')
      .addOption(
        new Option('--role <role>', 'what they are to be').choices(['member', 'admin']).default('member'),
      )
      .option('--days <number>', `until when, 1 to ${MAX_DAYS}; without, as the settings say`, days)
      .option('--withdraw', 'this address is not expected any more')
      .addHelpText(
        'after',
        '\nSay it before they sign up or are invited. They join by their own answer, in your application.\nExit codes: 0 done; 1 refused, or not expected.',
      ),
    async (session, email: string | undefined, options: Options) => {
      const api = await session.connect()
      const { organization_id: organizationId } = await api.find(options.organization)
      session.standing = `Whether it was done: npm run tenants -- expect --organization ${options.organization}`
      if (email === undefined) return list(session, api, organizationId)
      return options.withdraw === true
        ? withdraw(session, api, organizationId, email)
        : expectMember(session, api, organizationId, email, options)
    },
  )
}

/** @throws InvalidArgumentError */
function days(text: string): number {
  const value = Number(text)
  if (!(value > 0 && value <= MAX_DAYS))
    throw new InvalidArgumentError(`It must be a number of days, up to ${MAX_DAYS}.`)
  return value
}

async function list(session: Session, api: Api, organizationId: string): Promise<number> {
  const rows = await api.read(
    'Who is expected',
    api.client.rpc('expected_members', { organization_id: organizationId }),
  )
  const expected = z.array(expectedMember).parse(rows)
  session.print({ expected }, () => (expected.length === 0 ? 'Nobody is expected.' : screen(expected)))
  return exit.fine
}

async function expectMember(
  session: Session,
  api: Api,
  organizationId: string,
  email: string,
  { role, days: untilDays }: Options,
): Promise<number> {
  const made = await api.change(
    'Who is expected',
    api.client.rpc('expect_member', {
      email,
      organization_id: organizationId,
      role,
      ...(untilDays === undefined
        ? {}
        : { ends_at: new Date(Date.now() + untilDays * DAY_MS).toISOString() }),
    }),
  )
  const expected = expectedMember.parse(made)
  session.print({ expected }, () =>
    labelled(
      sign('ok'),
      `${expected.email} is expected as ${expected.role} until ${time(expected.ends_at)}.`,
      2,
    ),
  )
  return exit.fine
}

/** @throws ProjectError when the address is not expected */
async function withdraw(session: Session, api: Api, organizationId: string, email: string): Promise<number> {
  const done = await api.change(
    'Who is expected',
    api.client.rpc('withdraw_expected_member', { email, organization_id: organizationId }),
  )
  if (!done) throw new ProjectError(`${email} is not expected there.`, 'not_found', 0)
  session.print({ withdrawn: email }, () => labelled(sign('ok'), `${email} is not expected any more.`, 2))
  return exit.fine
}

function screen(expected: readonly ExpectedMember[]): string {
  return table(
    ['expected', 'as', 'until (UTC)', 'by'],
    expected.map(({ email, role, ends_at: end, expected_by: by }) => [
      email,
      role,
      time(end),
      by ?? 'the backend',
    ]),
  )
}
