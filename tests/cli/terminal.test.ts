import { stripVTControlCharacters } from 'node:util'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { terminalAvailable } from '../local/commands/terminal.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { signUp } from '../support/sign-up.ts'
import { inTerminal, operatorOf, type TerminalOptions } from './cli.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

const CONTROL_C = '\u0003'

describe.skipIf(!terminalAvailable)('on a terminal', () => {
  let project: TestProject
  let ready: SignedUp
  beforeAll(async () => {
    project = await startTestProject()
    ready = await project.signUp({
      organization_name: 'A Company With Quite A Long Name, Which Goes On And On',
    })
    await project.waitFor(ready.organizationId)
  })
  afterAll(() => project?.stop())

  const run = (args: readonly string[], options?: TerminalOptions) =>
    inTerminal(operatorOf(project), args, options)
  const exists = async (id: string) =>
    (await project.sql`select 1 from public.organizations where id = ${id}`).length === 1

  test('status is coloured and no wider than the screen', async () => {
    const { code, output } = await run(['status', ready.email], { columns: 80 })
    expect(code).toBe(0)
    expect(output).toContain('\u001b[32m✓')
    const widths = stripVTControlCharacters(output)
      .split(/\r?\n/)
      .map((line) => line.length)
    expect(Math.max(...widths)).toBeLessThanOrEqual(80)
    expect(Math.max(...widths)).toBeGreaterThan(60)
  })

  test('NO_COLOR takes the colours away', async () => {
    const { output } = await inTerminal({ ...operatorOf(project), NO_COLOR: '1' }, ['status', ready.email])
    expect(output).not.toContain('\u001b[3')
    expect(output).toContain('✓')
  })

  test('retry draws its steps over and over in place, and ends with the verdict', async () => {
    const { code, output } = await run(['retry', ready.organizationId, '--service', 'neon'])
    expect(code).toBe(0)
    // Up as many lines as were drawn (a title, six steps and the verdict), and away with them.
    expect(output).toContain('\u001b[8A\u001b[J')
    expect(output).toContain('is ready.')
  })

  test('deprovision shows what it would do and deletes nothing unless somebody types the exact name', async () => {
    const person = await project.signUp({ organization_name: 'Asked About' })
    const question = 'Delete asked-about?'
    for (const answer of ['yes\r', 'asked-abou\r']) {
      const no = await run(['deprovision', 'asked-about'], { answers: [{ question, answer }] })
      expect(no).toMatchObject({ code: 1, output: expect.stringContaining('Nothing was changed.') })
      expect(no.output).toContain('would be deleted')
    }
    const interrupted = await run(['deprovision', 'asked-about'], {
      answers: [{ question, answer: CONTROL_C }],
    })
    expect(interrupted).toMatchObject({ code: 130, output: expect.stringContaining('Nothing was changed.') })
    expect(await exists(person.organizationId)).toBe(true)
    const yes = await run(['deprovision', 'asked-about'], {
      answers: [{ question, answer: 'asked-about\r' }],
    })
    expect(yes).toMatchObject({ code: 0, output: expect.stringContaining('asked-about is deleted.') })
    expect(await exists(person.organizationId)).toBe(false)
  })

  test('Enter alone is no agreement', async () => {
    const person = await project.signUp({ organization_name: 'Hasty' })
    const { code } = await run(['deprovision', 'hasty'], {
      answers: [{ question: 'Delete hasty?', answer: '\r' }],
    })
    expect(code).toBe(1)
    expect(await exists(person.organizationId)).toBe(true)
  })

  test('backfill shows a progress bar, and with --json the terminal’s standard output stays a document', async () => {
    const auth = postgres(project.databaseUrl('supabase_auth_admin'), { max: 1, onnotice: () => undefined })
    await project.superuser`alter table auth.users disable trigger user`
    for (let index = 0; index < 3; index++) await signUp(auth)
    await project.superuser`alter table auth.users enable trigger user`
    await auth.end()
    const { code, output } = await run(['backfill', '--limit', '2'])
    expect(code).toBe(0)
    expect(output).toMatch(/█+░* +\d+ % \d+ of \d+ users, 2 repaired/)
    const json = await run(['backfill', '--json', '2>/dev/null'])
    expect(JSON.parse(json.output)).toMatchObject({ repaired: 1 })
  })
})
