import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { supabaseClient } from '../../../tools/supabase-client.ts'
import {
  announced,
  createWorkplace,
  type RunningCommand,
  runCommand,
  startStack,
  type Workplace,
} from './command.ts'

// A start takes three seconds; on a machine that does much else, ten times that.
vi.setConfig({ testTimeout: 90_000 })

const FUNCTION = 'provision-tenant-resources'
const invoke = (environment: NodeJS.ProcessEnv, ...args: string[]) =>
  runCommand('cli/invoke.ts', args, environment)

describe('npm run functions:invoke', () => {
  let workplace: Workplace
  beforeAll(async () => {
    workplace = await createWorkplace()
  })
  afterAll(() => workplace.remove())

  test('explains itself on --help, and with exit code 2 when it was called wrongly', async () => {
    const [help, nothing, badJson, list, tooMuch, option] = await Promise.all([
      invoke(workplace.environment, '--help'),
      invoke(workplace.environment),
      invoke(workplace.environment, FUNCTION, '{bad'),
      invoke(workplace.environment, FUNCTION, '[1]'),
      invoke(workplace.environment, FUNCTION, '{', '}'),
      invoke(workplace.environment, FUNCTION, '--wait'),
    ])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    const usage = help.stdout
    expect(usage).toContain(`npm run functions:invoke -- ${FUNCTION} '{"organizationId"`)
    for (const [wrong, problem] of [
      [nothing, 'Which function?'],
      [badJson, 'The body is not a JSON object: {bad'],
      [list, 'The body is not a JSON object: [1]'],
      [tooMuch, 'One body is enough; quote it: }'],
      [option, 'Unknown option'],
    ] as const) {
      expect(wrong).toMatchObject({ code: 2, stdout: '' })
      expect(wrong.stderr.startsWith(problem)).toBe(true)
      expect(wrong.stderr.endsWith(usage)).toBe(true)
    }
  })

  test('says what to do when there is no project to call', async () => {
    const { code, stderr } = await invoke(workplace.environment, FUNCTION)
    expect({ code, lines: stderr.split('\n').length }).toEqual({ code: 1, lines: 2 })
    expect(stderr).toContain('npm start')
  })

  describe('with a running stack', () => {
    let stack: RunningCommand
    beforeAll(async () => {
      stack = await startStack(workplace)
    })

    test('prints the outcome of what a function was asked to do', async () => {
      const { code, stdout, stderr } = await invoke(
        workplace.environment,
        FUNCTION,
        JSON.stringify({ organizationId: await demoOrganization(stack.stdout()), wait: true }),
      )
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
      expect(JSON.parse(stdout)).toMatchObject({ status: 'succeeded' })
    })

    test('prints a refusal in one line, with exit code 1', async () => {
      const id = crypto.randomUUID()
      const [unknownFunction, unknownOrganization, invalid] = await Promise.all([
        invoke(workplace.environment, 'no-such-function'),
        invoke(workplace.environment, FUNCTION, JSON.stringify({ organizationId: id })),
        invoke(workplace.environment, FUNCTION, '{"organizationId": "mine"}'),
      ])
      expect(unknownFunction).toEqual({
        code: 1,
        stdout: '',
        stderr: '404 Requested function was not found (NOT_FOUND)\n',
      })
      expect(unknownOrganization).toEqual({
        code: 1,
        stdout: '',
        stderr: `404 No such organization (organization_not_found): There is no organization ${id}.\n`,
      })
      expect(invalid).toMatchObject({ code: 1, stderr: expect.stringMatching(/^400 .*organizationId.*\n$/) })
    })

    test('calls another project when its address and key are set', async () => {
      const elsewhere = { SUPABASE_URL: 'http://127.0.0.1:9', SUPABASE_SECRET_KEY: 'sb_secret_x' }
      const { code, stderr } = await invoke({ ...workplace.environment, ...elsewhere }, FUNCTION)
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: 'http://127.0.0.1:9 cannot be reached: check SUPABASE_URL.\n',
      })
    })

    test('says that the stack is not running when that was killed', async () => {
      stack.signal('SIGKILL')
      await stack.ended
      expect(await invoke(workplace.environment, FUNCTION)).toMatchObject({
        code: 1,
        stderr: `${announced(stack.stdout(), 'API')} cannot be reached: the local stack is not running, see \`npm start\`.\n`,
      })
    })
  })
})

async function demoOrganization(output: string): Promise<string> {
  const admin = supabaseClient(announced(output, 'API'), announced(output, 'Secret key'))
  const { data } = await admin.from('organizations').select('id').single()
  return data?.id ?? ''
}
