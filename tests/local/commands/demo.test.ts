import { chmod, cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { projectRoot } from '../../../tools/project.ts'
import { ownEnvironment, startCommand } from './command.ts'
import { descendants, type ProcessInfo, stillRunning } from './processes.ts'

// Forty seconds on an idle machine.
vi.setConfig({ testTimeout: 150_000 })

/** Functions may finish their work for two seconds; the rest is for a machine that does much else. */
const STOP_LIMIT_MS = 6_000

/** What a clone does not have. */
const NOT_COPIED = new Set(['.git', '.local', 'node_modules', '.env'])

let scratch: string
beforeEach(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'demo-test-'))
  for (const name of ['home', 'temporary']) await mkdir(path.join(scratch, name))
  await chmod(path.join(scratch, 'home'), 0o500)
})
afterEach(() => rm(scratch, { recursive: true, force: true }))

/** A home that is empty and cannot be written, and a directory for temporary files that only we use. */
function environment(): NodeJS.ProcessEnv {
  return { ...ownEnvironment(), HOME: path.join(scratch, 'home'), TMPDIR: path.join(scratch, 'temporary') }
}

/** A checkout that only its owner may enter, with node_modules elsewhere. */
async function privateCheckout(): Promise<string> {
  const checkout = path.join(scratch, 'private', 'checkout')
  await mkdir(path.dirname(checkout), { mode: 0o700 })
  await cp(projectRoot, checkout, {
    recursive: true,
    filter: (source) => !NOT_COPIED.has(path.relative(projectRoot, source)),
  })
  await symlink(path.join(projectRoot, 'node_modules'), path.join(checkout, 'node_modules'))
  return checkout
}

/** The demo's own directory, or the one in which root's Postgres, which runs as nobody, has its data instead. */
async function leftDirectories(): Promise<string[]> {
  const temporary = await readdir(path.join(scratch, 'temporary'))
  const fallback = (await readdir('/var/tmp').catch(() => [])).filter((name) =>
    name.includes(path.basename(scratch)),
  )
  return [...temporary, ...fallback].filter((name) => name.startsWith('tenant-provisioning'))
}

/** tsx's compiler ends by itself a moment later. */
async function expectEnded(programs: readonly ProcessInfo[]): Promise<void> {
  const pids = programs.map(({ pid }) => pid)
  await expect.poll(() => stillRunning(pids), { timeout: 2000 }).toEqual([])
}

describe('npm run demo', () => {
  test('proves what it says from a private checkout, without a home, and leaves nothing behind', async () => {
    const demo = startCommand('local/demo.ts', [], environment(), await privateCheckout())
    await demo.printed('Ann signs up')
    const programs = await descendants(demo.pid)
    const { code, stdout, stderr } = await demo.ended
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    for (const step of [
      'stripe_customer',
      'neon_project',
      'credentials',
      'tenant_schema',
      'verify_connection',
      'graphql_endpoint',
    ])
      expect(stdout).toMatch(new RegExp(`✓ ${step} +\\d+ ms`))
    expect(stdout).toMatch(/neon ready, stripe ready, graphql ready, .*overall ready/)
    expect(stdout).toContain('✓ Bob, who is signed in too, sees none of it: 0 rows')
    expect(stdout).toMatch(/✓ 21 tables: .*contacts/)
    expect(stdout).toContain('credentials.revealed')
    expect(stdout).toMatch(/^ {2}Stripe +cus_\w+, Ann Archer's organization, ann@example\.com$/m)
    expect(stdout).toContain('✓ 10 of 10 ready after')
    expect(stdout).toMatch(
      /1 call from the database to the function was lost\. Cleo's tenant is \w+\.[^✓]*✓ found/,
    )
    expect(stdout).toMatch(/✓ healthy: round trip [\d.]+ ms/)
    expect(stdout).toMatch(
      /! alert opened after [\d.]+ s \(critical\): The login that checks the database may not log in any more/,
    )
    expect(stdout).toMatch(
      /! alert opened after [\d.]+ s \(critical\): The quota of the Neon project is used up/,
    )
    expect(stdout.match(/✓ alert resolved after/g)).toHaveLength(2)
    expect(stdout).toMatch(
      /✓ written and read with the key tdk_\w{8}…: Grace Hopper, grace@example\.com, of \d contacts?/,
    )
    expect(stdout).toContain('✓ Dan’s key is refused there: 403 forbidden')
    expect(stdout.trimEnd()).toMatch(/✓ Every sign-up became a ready tenant\..*$/)
    await expectEnded(programs)
    expect(await leftDirectories()).toEqual([])
  })

  test.each([
    ['while it starts', '… applying migrations', false],
    ['in the middle', '… neon_project', true],
  ] as const)('stops in order on Ctrl-C %s', async (_when, line, started) => {
    const demo = startCommand('local/demo.ts', [], environment())
    await demo.printed(line)
    const programs = await descendants(demo.pid)
    expect(programs.some(({ command }) => command.includes('deno'))).toBe(started)
    const interruptedAt = performance.now()
    demo.signalGroup('SIGINT')
    const { code, stdout, stderr } = await demo.ended
    expect({ code, stderr }).toEqual({ code: 130, stderr: 'Interrupted; nothing is left running.\n' })
    expect(stdout).not.toContain('Every sign-up')
    expect(performance.now() - interruptedAt).toBeLessThan(STOP_LIMIT_MS)
    await expectEnded(programs)
    expect(await leftDirectories()).toEqual([])
  })
})
