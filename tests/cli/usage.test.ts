import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import {
  createWorkplace,
  type Ending,
  ownEnvironment,
  runCommand,
  startCommand,
  type Workplace,
} from '../local/commands/command.ts'
import { AS_NPM } from '../support/typescript.ts'
import { SCRIPT, tenants } from './cli.ts'

vi.setConfig({ testTimeout: 60_000 })

const COMMANDS = [
  'status',
  'list',
  'watch',
  'events',
  'health',
  'alerts',
  'connection',
  'keys',
  'access',
  'rotate',
  'rotate-keys',
  'expect',
  'options',
  'provision',
  'retry',
  'retry-failed',
  'cancel',
  'deprovision',
  'readmit',
  'backfill',
  'migrate',
  'move',
  'seed',
  'providers',
  'doctor',
]

describe('npm run tenants', () => {
  let workplace: Workplace
  beforeAll(async () => {
    workplace = await createWorkplace()
  })
  afterAll(() => workplace.remove())
  const run = (...args: string[]) => tenants(workplace.environment, ...args)

  test('lists its commands and exit codes on --help, and with exit code 2 when no command was given', async () => {
    const [help, nothing] = await Promise.all([run('--help'), run()])
    expect(help).toMatchObject({ code: 0, stderr: '' })
    for (const command of COMMANDS) expect(help.stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'))
    for (const code of ['0', '1', '2', '3', '4', '130'])
      expect(help.stdout).toMatch(new RegExp(`^ {2}${code} `, 'm'))
    expect(nothing).toMatchObject({ code: 2, stdout: '' })
    expect(nothing.stderr).toContain('Commands:')
  })

  test('explains each command, --json included, without a project', async () => {
    const endings = await Promise.all(
      COMMANDS.map(async (command) => ({ command, ...(await run(command, '--help')) })),
    )
    for (const { command, code, stdout, stderr } of endings) {
      expect({ command, code, stderr }).toEqual({ command, code: 0, stderr: '' })
      expect(stdout).toContain(`Usage: npm run tenants -- ${command} `)
      expect(stdout).toContain('--json')
      expect(stdout.split('\n').every((line) => line.length <= 140)).toBe(true)
    }
  })

  test('names what is wrong with the arguments, shows the command’s help, and ends with 2', async () => {
    const [unknown, missing, option, choice, number, tooMuch, ...bounded] = await Promise.all([
      run('remove'),
      run('status'),
      run('list', '--colour'),
      run('list', '--health', 'great'),
      run('events', 'acme', '--limit', '0'),
      run('list', 'status'),
      // An empty variable of a script must not mean 0, which ends what is valid at once.
      run('rotate', 'acme', '--grace-hours', ''),
      run('keys', 'acme', 'reroll', 'tdk_1', '--grace-hours', ''),
      run('migrate', '--concurrency', '101'),
      run('migrate', '--try-on-branch', '21'),
      run('migrate', '--canary', '0x10'),
      run('migrate', '--stop', ' '),
      run('migrate', '--status', '--dry-run'),
      run('access', 'acme', '--list', '--end', 'd2f4b5c8-0000-4000-8000-000000000000'),
    ])
    const problems = [
      ...['from 0 to 720', 'from 0 to 720', 'from 1 to 100', 'from 1 to 20', 'from 0% to 100%'],
      ...[
        'It must say why',
        "cannot be used with option '--dry-run'",
        "cannot be used with option '--end <id>'",
      ],
    ]
    for (const [ending, problem] of [
      [unknown, "unknown command 'remove'"],
      [missing, "missing required argument 'tenant'"],
      [option, "unknown option '--colour'"],
      [choice, 'Allowed choices are unknown, healthy'],
      [number, 'a whole number from 1'],
      [tooMuch, 'too many arguments'],
      ...bounded.map((ending, index) => [ending, problems[index] ?? ''] as const),
    ] as const) {
      expect(ending).toMatchObject({ code: 2, stdout: '' })
      expect(ending.stderr).toContain(problem)
      expect(ending.stderr).toContain('Usage:')
    }
    // A command's name may also be an argument.
    expect(tooMuch.stderr).toContain('Usage: npm run tenants -- list ')
  })

  test('with --json also says as one document on standard output that the arguments are wrong', async () => {
    const [choice, unknown, nothing] = await Promise.all([
      run('list', '--health', 'great', '--json'),
      run('remove', '--json'),
      run('--json'),
    ])
    for (const [ending, problem] of [
      [choice, 'Allowed choices are unknown, healthy'],
      [unknown, "unknown command 'remove'"],
      [nothing, '--json'],
    ] as const) {
      expect(ending).toMatchObject({ code: 2, stderr: expect.stringContaining('Usage:') })
      expect(JSON.parse(ending.stdout)).toEqual({
        error: { code: 'usage', message: expect.stringContaining(problem), status: null },
      })
    }
  })

  test('says what to set when there is no project, or when half of it is set', async () => {
    const elsewhere = { ...workplace.environment, SUPABASE_URL: 'http://127.0.0.1:9' }
    const { SUPABASE_URL: applicationUrl, ...rest } = elsewhere
    const application = {
      ...rest,
      VITE_SUPABASE_URL: applicationUrl,
      VITE_SUPABASE_ANON_KEY: 'sb_publishable_x',
    }
    const [none, half, publishable, bad, browser, backend] = await Promise.all([
      run('list'),
      tenants(elsewhere, 'list'),
      tenants({ ...elsewhere, SUPABASE_SECRET_KEY: 'sb_publishable_x' }, 'list'),
      tenants({ ...elsewhere, SUPABASE_SECRET_KEY: 'sb_secret_a\nb' }, 'list'),
      tenants(application, 'list'),
      tenants({ ...application, SUPABASE_SERVICE_ROLE_KEY: 'sb_secret_x' }, 'list'),
    ])
    expect(none.stderr).toContain('npm start')
    expect(half.stderr).toContain('SUPABASE_SECRET_KEY is not')
    expect(publishable.stderr).toContain('publishable')
    expect(bad.stderr).not.toContain('sb_secret_a')
    expect(browser.stderr).toContain('VITE_SUPABASE_ANON_KEY is for browsers')
    expect(backend.stderr).toContain('http://127.0.0.1:9 cannot be reached')
    for (const ending of [none, half, publishable, bad, browser, backend])
      expect(ending).toMatchObject({ code: 1, stdout: '' })
  })

  test('ends with 1 when the project cannot be reached, and with --json says so as JSON', async () => {
    const environment = {
      ...workplace.environment,
      SUPABASE_URL: 'http://127.0.0.1:9',
      SUPABASE_SERVICE_ROLE_KEY: 'legacy-key',
    }
    const [text, json] = await Promise.all([
      tenants(environment, 'status', 'acme'),
      tenants(environment, 'status', 'acme', '--json'),
    ])
    const message = 'http://127.0.0.1:9 cannot be reached: check SUPABASE_URL.'
    expect(text).toEqual({ code: 1, stdout: '', stderr: `${message}\n` })
    expect(json).toMatchObject({ code: 1, stderr: `${message}\n` })
    expect(JSON.parse(json.stdout)).toEqual({ error: { code: 'unreachable', message, status: 0 } })
  })
})

/** Without the CLI, whose commands are above. */
const SCRIPTS = [
  ...['local/start.ts', 'local/reset.ts', 'local/demo.ts', 'cli/invoke.ts', 'local/advisors.ts'],
  ...['local/database-types.ts', 'tools/api-docs.ts', 'tools/failure-codes.ts', 'tools/tenant-schema.ts'],
  ...[
    'tools/verify-user.ts',
    'tools/n8n-templates.ts',
    'tools/package.ts',
    'tools/codegen.ts',
    'tools/monitoring.ts',
    'tools/build-console.ts',
    'local/tenant-graphql.ts',
    'tests/benchmarks/run.ts',
    'tests/console/screenshots.ts',
    'tests/chaos/run.ts',
    'tests/long/run.ts',
  ],
]

/** As npm runs them, each in a process of its own, which npm run test:long does; or all in one process. */
async function explanations(): Promise<readonly (Ending & { script: string })[]> {
  if (process.env.SCRIPTS_ALONE !== undefined)
    return Promise.all(
      SCRIPTS.map(async (script) => ({ script, ...(await startAsNpm(script, '--help').ended) })),
    )
  const all = await runCommand('tests/cli/explain-scripts.ts', SCRIPTS, ownEnvironment())
  expect(all).toMatchObject({ code: 0, stderr: '' })
  return all.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
}

const startAsNpm = (script: string, option: string) =>
  startCommand(script, [option], ownEnvironment(), projectRoot, AS_NPM)

test('every other script only explains itself on --help, and does nothing with an option that it does not know', async () => {
  const explained = await explanations()
  expect(explained.map(({ script }) => script)).toEqual(SCRIPTS)
  for (const explanation of explained)
    expect(explanation).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('npm '),
      stderr: '',
    })
  // As npm runs it.
  expect(await startAsNpm('local/demo.ts', '--colour').ended).toMatchObject({
    code: 2,
    stdout: '',
    stderr: expect.stringContaining("Unknown option '--colour'"),
  })
})

test('every script of package.json that is ours is among these', async () => {
  const { scripts } = JSON.parse(await readFile(path.join(projectRoot, 'package.json'), 'utf8'))
  const ours = Object.values<string>(scripts).flatMap(
    (line) => /^exec node --import tsx (\S+)$/.exec(line)?.[1] ?? [],
  )
  expect(ours.toSorted()).toEqual([SCRIPT, ...SCRIPTS].toSorted())
})
