import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { waitUntilReady } from '../../../local/demo/watch.ts'
import { TEMPLATE_VARIABLE } from '../../../local/postgres/server.ts'
import { assertPortFree, freePort, PORT_SETTINGS } from '../../../tools/ports.ts'
import { supabaseClient } from '../../../tools/supabase-client.ts'
import {
  announced,
  createWorkplace,
  leftRunning,
  runCommand,
  startCommand,
  startStack,
  type Workplace,
} from './command.ts'

// A start takes three seconds; on a machine that does much else, ten times that.
vi.setConfig({ testTimeout: 90_000 })

const READY_LIMIT_MS = 40_000

let workplace: Workplace
beforeAll(async () => {
  workplace = await createWorkplace()
  // This one unpacks Postgres and makes its data by itself.
  delete workplace.environment[TEMPLATE_VARIABLE]
})
afterAll(() => workplace.remove())

/** Nothing that was started runs any more, and everything that was listened on is free. */
async function expectNothingLeft(): Promise<void> {
  await expect.poll(() => leftRunning(workplace)).toEqual([])
  for (const name of PORT_SETTINGS)
    await assertPortFree(workplace.ports[name], { purpose: 'a test', setting: name })
}

async function signInAsDemo(output: string) {
  const [email = '', password = ''] = announced(output, 'Demo login').split(' / ')
  const client = supabaseClient(announced(output, 'API'), announced(output, 'Publishable key'))
  const { data, error } = await client.auth.signInWithPassword({ email, password })
  expect(error).toBeNull()
  return { client, userId: data.user?.id ?? '' }
}

async function demoTenant(output: string) {
  const { client, userId } = await signInAsDemo(output)
  await waitUntilReady(client, READY_LIMIT_MS)
  const { data: organization } = await client.from('organizations').select('id').single()
  const { data: database } = await client.from('organization_databases').select('neon_project_id').single()
  return { userId, organizationId: organization?.id, neonProjectId: database?.neon_project_id }
}

describe('npm start', () => {
  let firstOutput = ''
  let firstTenant: unknown

  test('prints addresses, keys and a login with which one gets a ready tenant; Ctrl-C stops all of it', async () => {
    const start = await startStack(workplace)
    firstOutput = start.stdout()
    expect(announced(firstOutput, 'API')).toBe(`http://127.0.0.1:${workplace.ports.LOCAL_API_PORT}`)
    expect(announced(firstOutput, 'Database')).toContain(
      `127.0.0.1:${workplace.ports.LOCAL_DB_PORT}/postgres`,
    )
    expect(announced(firstOutput, 'Neon')).toContain(`:${workplace.ports.LOCAL_NEON_PORT}/`)
    expect(announced(firstOutput, 'Stripe')).toContain(`:${workplace.ports.LOCAL_STRIPE_PORT} (emulator)`)
    expect(announced(firstOutput, 'Secret key')).toMatch(/^sb_secret_/)
    const page = await fetch(`${announced(firstOutput, 'Console')}/sign-up`)
    expect(await page.text()).toContain('<div id="root">')
    expect(page.headers.get('content-security-policy')).toContain(`'self' ${announced(firstOutput, 'API')};`)
    firstTenant = await demoTenant(firstOutput)
    expect(firstTenant).toMatchObject({ neonProjectId: expect.stringMatching(/\w/) })

    const commands = (await leftRunning(workplace)).map(({ command }) => command)
    expect(commands.filter((command) => command.includes('/bin/postgres -D'))).toHaveLength(1)
    expect(commands.filter((command) => command.includes('deno'))).not.toHaveLength(0)
    start.signalGroup('SIGINT')
    // npm and tsx pass the same Ctrl-C on: it must not count as a second one.
    await sleep(30)
    start.signal('SIGINT')
    expect(await start.ended).toMatchObject({ code: 0, stderr: '' })
    expect(start.stdout()).toMatch(/Stopping …\nStopped\. The data is kept/)
    await expectNothingLeft()
  })

  test('finds everything again the next time, and stops on SIGTERM too', async () => {
    const start = await startStack(workplace)
    for (const name of ['Publishable key', 'Secret key'])
      expect(announced(start.stdout(), name)).toBe(announced(firstOutput, name))
    expect(await demoTenant(start.stdout())).toEqual(firstTenant)
    start.signal('SIGTERM')
    expect(await start.ended).toMatchObject({ code: 0, stderr: '' })
    await expectNothingLeft()
  })

  test('makes tenants also after LOCAL_API_PORT was changed', async () => {
    const moved = await freePort()
    const environment = { ...workplace.environment, LOCAL_API_PORT: String(moved) }
    const start = await startStack({ ...workplace, environment })
    expect(announced(start.stdout(), 'API')).toBe(`http://127.0.0.1:${moved}`)
    const client = supabaseClient(
      announced(start.stdout(), 'API'),
      announced(start.stdout(), 'Publishable key'),
    )
    await client.auth.signUp({ email: 'moved@example.com', password: 'correct horse battery' })
    await waitUntilReady(client, READY_LIMIT_MS)
    start.signal('SIGINT')
    expect(await start.ended).toMatchObject({ code: 0, stderr: '' })
    await expectNothingLeft()
  })

  test('ends at once on a second Ctrl-C, also in the middle of a tenant’s provisioning', async () => {
    const start = await startStack(workplace)
    const client = supabaseClient(announced(firstOutput, 'API'), announced(firstOutput, 'Publishable key'))
    await client.auth.signUp({ email: 'impatient@example.com', password: 'correct horse battery' })
    await expect
      .poll(
        async () => (await client.from('provisioning_steps').select('status').eq('status', 'running')).data,
      )
      .not.toHaveLength(0)
    start.signalGroup('SIGINT')
    await sleep(500)
    start.signalGroup('SIGINT')
    expect(await start.ended).toMatchObject({ code: 130, stderr: 'Stopped at once.\n' })
    await expectNothingLeft()
  })

  test('starts although another program has the process id that a crash left in the lock file', async () => {
    await writeFile(
      path.join(workplace.directory, 'stack/data/postmaster.pid'),
      `${process.pid}\n${workplace.directory}/stack/data\n1\n${workplace.ports.LOCAL_DB_PORT}\n`,
    )
    const start = await startStack(workplace)
    start.signal('SIGINT')
    expect(await start.ended).toMatchObject({ code: 0 })
  })

  test.each([
    ['LOCAL_DB_PORT', 'database'],
    ['LOCAL_API_PORT', 'API gateway'],
    ['LOCAL_CONSOLE_PORT', 'console'],
    ['LOCAL_NEON_PORT', 'Neon emulator'],
    ['LOCAL_NEON_POSTGRES_PORT', 'tenant databases'],
    ['LOCAL_STRIPE_PORT', 'Stripe emulator'],
  ] as const)(
    'refuses when %s is taken, and says by which setting another can be chosen',
    async (setting, purpose) => {
      const port = workplace.ports[setting]
      const other = createServer().listen(port, '127.0.0.1')
      try {
        const { code, stdout, stderr } = await runCommand('local/start.ts', [], workplace.environment)
        expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
        expect(stderr).toBe(
          `Port ${port} (${purpose}) is already in use. Stop the program that uses it, or choose another port: ` +
            `set ${setting}=NUMBER in .env or in front of the command.\n`,
        )
        expect(await leftRunning(workplace)).toEqual([])
      } finally {
        other.close()
      }
    },
  )

  test('names the setting that it cannot use', async () => {
    const run = (settings: NodeJS.ProcessEnv) =>
      runCommand('local/start.ts', [], { ...workplace.environment, ...settings })
    const notNumber = await run({ LOCAL_API_PORT: 'http' })
    expect(notNumber).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('LOCAL_API_PORT'),
    })
    const twice = await run({ LOCAL_STRIPE_PORT: String(workplace.ports.LOCAL_DB_PORT) })
    expect(twice.stderr).toContain(
      `LOCAL_STRIPE_PORT and LOCAL_DB_PORT are both ${workplace.ports.LOCAL_DB_PORT}`,
    )
  })
})

describe('npm start, ended roughly', () => {
  beforeAll(async () => {
    await workplace.remove()
    workplace = await createWorkplace()
  })

  test.each([300, 1500, 2200])('leaves nothing behind on Ctrl-C %i ms into the first start', async (ms) => {
    const start = startCommand('local/start.ts', [], workplace.environment)
    await sleep(ms)
    start.signalGroup('SIGINT')
    const { code, stderr } = await start.ended
    // Before the program's own first line, Node itself ends.
    if (code !== null)
      expect({ code, stderr }).toEqual({ code: 130, stderr: 'Interrupted; nothing is left running.\n' })
    await expectNothingLeft()
  })

  test('works after that, refuses a second start, and recovers from kill -9', async () => {
    const killed = await startStack(workplace)
    const second = await runCommand('local/start.ts', [], workplace.environment)
    expect(second).toMatchObject({ code: 1, stdout: '' })
    expect(second.stderr).toContain(`The local stack is already running (process ${killed.pid})`)
    const tenant = await demoTenant(killed.stdout())

    killed.signal('SIGKILL')
    await killed.ended
    const lockFile = await readFile(path.join(workplace.directory, 'stack/data/postmaster.pid'), 'utf8')
    const [orphan = ''] = lockFile.split('\n')
    expect((await leftRunning(workplace)).map(({ pid }) => pid)).toContain(Number(orphan))

    const next = await startStack(workplace)
    expect(next.stdout()).toContain(
      `stopped the database that a killed start left behind (process ${orphan})`,
    )
    expect(await demoTenant(next.stdout())).toEqual(tenant)
    next.signal('SIGINT')
    expect(await next.ended).toMatchObject({ code: 0 })
    await expectNothingLeft()
  })
})
