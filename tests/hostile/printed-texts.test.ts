import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { shellWord } from '../../cli/shell-word.ts'
import { logLine } from '../../local/log-line.ts'
import { printable } from '../../tools/printable.ts'
import { clipped, padded, table } from '../../tools/terminal.ts'
import { operatorOf, tenants, tenantsJson } from '../cli/cli.ts'
import { runCommand } from '../local/commands/command.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** Copies to the clipboard, clears the screen, forges a line with a green tick, and turns the direction of reading. */
const EVIL =
  '\u001b]52;c;cm0gLXJmIH4=\u0007\u001b[2J\u001b[H\n\u001b[32m✓ healthy\u001b[0m\r\u009b31m\u202eevil\u2066\u200b\u007f'

/** Everything but what is seen, and the end of a line. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
const UNSEEN = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f]/u

let project: TestProject
let person: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  person = await project.signUp()
  await project.waitFor(person.organizationId)
  const { organizationId } = person
  const { sql, superuser } = project
  const error = { code: 'step_crashed', message: EVIL, retryable: false }
  // As if they stood there from before: the triggers take out of a change what nobody sees.
  await superuser.begin(async (tx) => {
    await tx`set local session_replication_role = replica`
    await tx`update public.organizations set name = ${`x${EVIL}`} where id = ${organizationId}`
    await tx`update public.profiles set full_name = ${EVIL} where id = ${person.userId}`
  })
  await superuser`update auth.users set email = ${`"$(touch /tmp/pwned)${EVIL}"@example.com`} where id = ${person.userId}`
  await sql`update public.provisioning_steps set error = ${sql.json(error)}, status = 'failed'
    where organization_id = ${organizationId} and step = 'tenant_schema'`
  await sql`insert into public.provisioning_events (organization_id, event_type, resource_type, resource_id, status,
      error_message, metadata, started_at)
    values (${organizationId}, 'step.failed', 'tenant_schema', ${EVIL}, 'failed', ${EVIL}, ${sql.json({ [EVIL]: EVIL })}, now())`
  await sql`insert into public.tenant_alerts (organization_id, kind, severity, message)
    values (${organizationId}, 'tenant_health', 'critical', ${EVIL})`
  await sql`update public.tenant_health set status = 'unhealthy',
    reasons = ${sql.json([{ code: 'check_failed', severity: 'unhealthy', message: EVIL }])} where organization_id = ${organizationId}`
})

afterAll(() => project?.stop())

const COMMANDS: readonly (readonly string[])[] = [
  ['status'],
  ['list'],
  ['events'],
  ['alerts', '--all'],
  ['health'],
  ['doctor'],
  ['deprovision', '--dry-run'],
  ['retry', '--service', 'neon'],
]

const NAMES_A_TENANT = ['status', 'events', 'health', 'deprovision', 'retry']

function args([command = '', ...options]: readonly string[]): string[] {
  const named = NAMES_A_TENANT.includes(command) ? [person.organizationId] : []
  return [command, ...named, ...options]
}

describe.each(COMMANDS.map((command) => ({ command })))('tenants $command', ({ command }) => {
  it('prints nothing of others that a terminal would obey', async () => {
    const { stdout, stderr } = await tenants(operatorOf(project), ...args(command))
    expect(stdout + stderr).not.toMatch(UNSEEN)
    expect(stdout + stderr).not.toMatch(/^.{0,3}✓ healthy$/m)
    expect(stdout.length + stderr.length).toBeGreaterThan(20)
  })

  it('prints nothing of the kind with --json either', async () => {
    const { stdout, stderr } = await tenantsJson(operatorOf(project), ...args(command))
    expect(stdout + stderr).not.toMatch(UNSEEN)
  })
})

describe('functions:invoke', () => {
  it('prints nothing of the kind that a function answers', async () => {
    const query = `{ tenant(id: "${person.organizationId}") { name ownerEmail } }`
    const args = ['graphql', JSON.stringify({ query })]
    const { stdout, stderr } = await runCommand('cli/invoke.ts', args, operatorOf(project))
    expect(stdout + stderr).not.toMatch(UNSEEN)
    expect(stdout).toContain('evil')
  })
})

describe('the log of the functions', () => {
  it('is shown by the local stack without what a terminal would obey', () => {
    // The style of our own is there in a terminal only.
    const line = logLine({ function: 'graphql', stream: 'stderr', text: EVIL })
    expect(line).toContain('[graphql] \\u{1b}]52')
    expect(line).not.toMatch(UNSEEN)
  })
})

describe('a suggested command', () => {
  it('names a tenant by what a shell cannot mistake, whatever its owner is called', async () => {
    await project.sql`delete from public.wallets where user_id = ${person.userId}`
    const { document } = await tenantsJson(operatorOf(project), 'status', person.userId)
    const commands = JSON.stringify(document).match(/npm run tenants -- [^"]*/g) ?? []
    expect(commands.length).toBeGreaterThan(0)
    for (const command of commands) expect(command).toMatch(/^npm run tenants -- [\w. @-]+$/)
  })

  it('quotes every word that a shell would not leave as it is', async () => {
    const words = [
      'a b',
      '$(touch x)',
      '`x`',
      "it's",
      '"',
      '!!',
      'a;b',
      '~',
      '*',
      '=ls',
      '-x',
      '',
      '\\',
      'a&b',
      '{a,b}',
      '#',
      'ü',
    ]
    for (const word of [...words, 'eve@example.com', 'acme-inc', '2026-01-01T00:00:00Z']) {
      const { stdout } = await promisify(execFile)('bash', ['-c', `printf '<%s>' ${shellWord(word)}`])
      expect(stdout).toBe(`<${word}>`)
    }
    expect(shellWord('acme-inc')).toBe('acme-inc')
    expect(shellWord('=ls'), 'a path to zsh').toBe("'=ls'")
  })
})

describe('the text of others', () => {
  it('is shown with every character that would not be seen', () => {
    expect(printable('a\u001b[2Jb\u009bc\u202ed\u007fe\ud800f')).toBe(
      'a\\u{1b}[2Jb\\u{9b}c\\u{202e}d\\u{7f}e\\u{d800}f',
    )
    expect(printable('two\nlines\tand\ra tab')).toBe('two lines and a tab')
    expect(printable('Zoë 😀 中文 é ✓')).toBe('Zoë 😀 中文 é ✓')
  })

  it('takes the columns that a terminal gives it', () => {
    expect(padded('中文', 6)).toBe('中文  ')
    expect(padded('e\u0301', 3)).toBe('e\u0301  ')
    expect(padded('👩‍👩‍👧', 4)).toBe('👩‍👩‍👧  ')
    expect(clipped('中文中文', 5)).toBe('中文…')
    expect(clipped('\u001b[32m中文中文\u001b[0m', 5)).toBe('\u001b[32m中文…\u001b[0m')
    const [header, wide, narrow] = table(
      ['name', 'state'],
      [
        ['中文中文', 'ok'],
        ['a', 'ok'],
      ],
    ).split('\n')
    expect(header).toBe('name      state')
    expect(wide).toBe('中文中文  ok')
    expect(narrow).toBe('a         ok')
  })
})
