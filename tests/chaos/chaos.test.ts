import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { TYPESCRIPT } from '../support/typescript.ts'
import { type ChaosReport, runChaos } from './chaos.ts'
import { callsAllowed, judged } from './dead-provider.ts'
import { PATIENCE_MS } from './faults.ts'
import { makePlan, makePlans } from './plan.ts'

const program = fileURLToPath(new URL('run.ts', import.meta.url))
const chaos = (...args: string[]) => promisify(execFile)(process.execPath, [...TYPESCRIPT, program, ...args])

/** Of the tier `database`, and of the tier `project`; npm run test:long has larger storms. */
const [SIGN_UPS = 0, PROJECT_SIGN_UPS = 0] = (process.env.CHAOS_SIGN_UPS ?? '16,8').split(',').map(Number)

/** Of the faults that every short storm brings about, whatever the timing. */
const ALWAYS_INJECTED = [
  'function process killed',
  'function process stopped',
  'Postgres crashed and restarted',
  'pg_net stopped',
  'doorbells dropped',
  'pg_cron stopped',
  'leases expired',
] as const
const ALWAYS_STRUCK = [
  'neon: createProject acts and loses the reply, once',
  'stripe: PostCustomers acts and loses the reply, once',
] as const

describe('a storm', () => {
  it('of killed workers, database crashes, lost doorbells and failing providers leaves every tenant ready, once', {
    timeout: 240_000,
  }, async () => {
    const report = await runChaos({
      signUps: SIGN_UPS,
      seed: 3,
      signal: new AbortController().signal,
      progress: () => undefined,
    })
    expect(failures(report)).toEqual([])
    expect(report.checks.length).toBeGreaterThan(10)
    for (const name of ALWAYS_INJECTED) expect(report.injected[name], name).toBeGreaterThan(0)
    for (const name of ALWAYS_STRUCK) expect(report.injected[name], name).toBe(1)
  })

  it('leaves every tenant of the tier project ready, with one project, repository, deployment and set of workflows', {
    timeout: 180_000,
  }, async () => {
    const report = await runChaos({
      signUps: PROJECT_SIGN_UPS,
      seed: 3,
      tier: 'project',
      signal: new AbortController().signal,
      progress: () => undefined,
    })
    expect(failures(report)).toEqual([])
    expect(report.checks.map(({ name }) => name)).toContain('each workflow is there once, and active')
    const struck = Object.keys(report.injected).filter((name) => name.endsWith(', once'))
    expect(struck.filter((name) => name.includes('loses the reply')).length).toBeGreaterThan(6)
    const hung = struck.filter((name) => name.includes('never answers'))
    for (const each of [struck, hung])
      expect(new Set(each.map((name) => name.split(':')[0]))).toEqual(
        new Set(['supabase', 'github', 'vercel', 'n8n']),
      )
  })

  it('is planned by its seed alone', () => {
    expect(makePlan(5, 100)).toEqual(makePlan(5, 100))
    expect(makePlan(6, 100)).not.toEqual(makePlan(5, 100))
  })

  it('is one of several rounds when there are many sign-ups, each with a plan of its own', () => {
    const [first, second, third] = makePlans(5, 2_200)
    expect(first).toEqual(makePlan(5, 1_000))
    expect([second?.signUps.length, third?.signUps.length]).toEqual([1_000, 200])
    expect(second?.lanes).not.toEqual(first.lanes)
    expect([second?.guarded, third?.guarded]).toEqual([first.guarded, first.guarded])
  })

  it('comes with and without rate limits and breakers, depending on the seed', () => {
    const guarded = Array.from({ length: 20 }, (_, seed) => makePlan(seed, 1).guarded)
    expect(new Set(guarded)).toEqual(new Set([true, false]))
  })
})

describe('a long storm', () => {
  it.each([
    ['neon', 'database'],
    ['stripe', 'database'],
    ['supabase', 'project'],
    ['github', 'project'],
    ['vercel', 'project'],
    ['n8n', 'project'],
  ] as const)(
    'has answers of %s that come when its client has given up, also when nothing is killed any more',
    (provider, tier) => {
      const timeoutMs = PATIENCE_MS[provider]
      const { lanes, stormMs } = makePlan(5, 200, tier)
      const late = lanes
        .flat()
        .filter((injection) => injection.type === 'fault')
        .filter(({ rule: { action } }) => action.type === 'act_then_wait' && action.ms > timeoutMs)
        .filter((window) => window.provider === provider)
      expect(late.map(({ rule }) => rule.times)).toEqual([1, 1])
      expect(late.map(({ atMs }) => atMs >= stormMs).sort()).toEqual([false, true])
      for (const { atMs, forMs } of late)
        if (atMs >= stormMs) expect(forMs, 'it is waited for').toBeGreaterThan(timeoutMs)
    },
  )
})

describe('the experiment with a dead provider', () => {
  const settings = {
    breaker_failures: 5,
    breaker_pause_seconds: 15,
    breaker_pause_cap_seconds: 300,
    max_running_jobs: 40,
  }
  const figures = {
    jobs: 1_000,
    deadSeconds: 75,
    callsWhileDead: 46,
    callsAllowed: 46,
    callsByOperation: {},
    customersMadeMeanwhile: 1_000,
    readyAfterwards: 1_000,
    secondsUntilReady: 100,
  }
  const failed = (changes: Partial<typeof figures>) =>
    judged({ ...figures, ...changes }).checks.flatMap(({ ok, name }) => (ok ? [] : [name]))

  it.each([
    [10, 44],
    [15, 45],
    [60, 46],
    [105, 47],
    // 15, 30, 60, 120 and 240 s, then 300 s each.
    [465, 49],
    [1_065, 51],
  ])(
    'allows in %i s no more than %i calls: to open the breaker, under way by then, and after each pause',
    (seconds, calls) => {
      expect(callsAllowed(settings, seconds)).toBe(calls)
    },
  )

  it('fails when Neon was called more often, or when a sign-up is not ready afterwards', () => {
    expect(failed({})).toEqual([])
    expect(failed({ callsWhileDead: 47 })).toEqual(['Neon gets no more calls than its breaker allows'])
    expect(failed({ readyAfterwards: 999 })).toEqual(['every sign-up is ready afterwards'])
  })
})

describe('the command', () => {
  it('ends with exit code 2 and says how it is used when an argument is wrong', async () => {
    await expect(chaos('--sign-ups', 'many')).rejects.toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/--sign-ups takes a whole number.*"many"[\s\S]*Usage: npm run chaos/),
    })
    await expect(chaos('--sead', '1')).rejects.toMatchObject({ code: 2, stdout: '' })
  })

  it('explains itself', async () => {
    const { stdout } = await chaos('--help')
    expect(stdout).toContain('Usage: npm run chaos')
  })
})

function failures({ checks }: ChaosReport): string[] {
  return checks
    .filter(({ ok }) => !ok)
    .flatMap(({ name, offending }) => offending.map((line) => `${name}: ${line}`))
}
