import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { only, openProject, type Project, refusal } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

beforeEach(async () => {
  await project.sql`delete from provisioning.token_buckets`
  await project.sql`delete from provisioning.provider_shares`
  await project.sql`update provisioning.provider_status set state = 'closed', consecutive_failures = 0, openings = 0,
    next_try_at = null, last_error = null`
  await project.sql`update provisioning.settings set breaker_failures = 3, breaker_pause_seconds = 10, breaker_pause_cap_seconds = 60`
})

afterAll(async () => {
  await project.close()
})

interface Turn {
  readonly wait: number
  readonly taken: boolean
  readonly paused: number | null
  readonly reason: string | null
  readonly watched: boolean
}

const begin = async (route = 'GET /projects', maxWait = 5, lane: string | null = null) =>
  only(
    await project.sql<Turn[]>`select wait_seconds as wait, taken, paused_seconds as paused, reason, watched
      from provisioning.begin_call('neon', ${route}, ${maxWait}, ${lane})`,
  )
/** @returns seconds of the pause; null when the breaker is not open */
const end = async (error: string | null = null) =>
  only(await project.sql<{ pause: number | null }[]>`select provisioning.end_call('neon', ${error}) as pause`)
    .pause
const breaker = async () =>
  only(
    await project.sql<{ state: string; failures: number }[]>`
      select state, consecutive_failures as failures from provisioning.provider_status where provider = 'neon'`,
  )
const pauseEnds = () =>
  project.sql`update provisioning.provider_status set next_try_at = now() where provider = 'neon'`

async function open(): Promise<void> {
  for (const _ of [1, 2, 3]) await end('neon_unavailable')
}

describe('the circuit breaker', () => {
  it('lets calls pass while failures are few, and a success forgets them', async () => {
    expect(await end('neon_unavailable')).toBeNull()
    expect(await end('neon_unavailable')).toBeNull()
    expect(await begin()).toMatchObject({ reason: null, watched: true })
    await end()
    expect(await breaker()).toEqual({ state: 'closed', failures: 0 })
    expect(await begin()).toMatchObject({ reason: null, watched: false })
  })

  it('opens at the settings’ number of failures in a row, and then no call passes until the pause is over', async () => {
    await open()
    expect(await breaker()).toMatchObject({ state: 'open' })
    const turn = await begin()
    expect(turn.reason).toBe('Neon is not answering.')
    expect(turn.paused).toBeGreaterThan(9)
    expect(turn.paused).toBeLessThanOrEqual(10)
  })

  it('lets exactly one of many callers try when the pause is over', async () => {
    await open()
    await pauseEnds()
    const turns = await Promise.all(Array.from({ length: 12 }, () => begin()))
    expect(turns.filter(({ reason }) => reason === null)).toHaveLength(1)
    expect(await breaker()).toMatchObject({ state: 'half_open' })
  })

  it('closes when the trial succeeds', async () => {
    await open()
    await pauseEnds()
    expect(await begin()).toMatchObject({ reason: null, watched: true })
    await end()
    expect(await breaker()).toEqual({ state: 'closed', failures: 0 })
    expect(await begin()).toMatchObject({ reason: null })
  })

  it('pauses twice as long after each trial that fails, up to the cap', async () => {
    await open()
    const pauses = []
    for (const _ of [1, 2, 3, 4]) {
      await pauseEnds()
      await begin()
      pauses.push(Math.round((await end('neon_unreachable')) ?? 0))
    }
    expect(pauses).toEqual([20, 40, 60, 60])
  })

  it('lets another caller try when the one that tried was never heard of again', async () => {
    await open()
    await pauseEnds()
    await begin()
    expect(await begin()).toMatchObject({ reason: 'Neon is not answering.' })
    await pauseEnds()
    expect(await begin()).toMatchObject({ reason: null })
  })

  it('of one provider leaves the others alone', async () => {
    await open()
    const turn = only(
      await project.sql<
        { reason: string | null }[]
      >`select reason from provisioning.begin_call('stripe_test', 'GET /', 5)`,
    )
    expect(turn.reason).toBeNull()
  })
})

describe('the token buckets', () => {
  const limit = (scope: string, burst: number, perSecond: number) =>
    project.sql`update provisioning.rate_limits set burst = ${burst}, per_second = ${perSecond}
      where provider = 'neon' and scope = ${scope}`

  it('let a burst pass at once and then give each caller a later place in the queue', async () => {
    await limit('*', 1000, 1000)
    await limit('{route}', 3, 2)
    const waits = []
    for (const _ of [1, 2, 3, 4, 5, 6]) waits.push((await begin()).wait)
    expect(waits.slice(0, 3)).toEqual([0, 0, 0])
    for (const [index, wait] of waits.slice(3).entries()) {
      expect(wait).toBeLessThanOrEqual((index + 1) / 2)
      expect(wait).toBeGreaterThan((index + 1) / 2 - 0.4)
    }
  })

  it('count each route by itself, and all together', async () => {
    await limit('*', 4, 1)
    await limit('{route}', 2, 1)
    expect(
      [await begin('A'), await begin('A'), await begin('B'), await begin('B')].map(({ wait }) => wait),
    ).toEqual([0, 0, 0, 0])
    expect((await begin('C')).wait).toBeGreaterThan(0.5)
  })

  it('count what changes something apart from what only reads', async () => {
    await limit('*', 1000, 1000)
    await limit('{route}', 1000, 1000)
    await project.sql`insert into provisioning.rate_limits (provider, scope, burst, per_second)
      values ('neon', '{changes}', 2, 0.5)`
    const waits = []
    for (const route of ['POST /a', 'DELETE /b', 'GET /a', 'PATCH /c', 'GET /d'])
      waits.push((await begin(route)).wait)
    expect(waits).toEqual([0, 0, 0, expect.any(Number), 0])
    expect(waits[3]).toBeGreaterThan(1)
    const { states } = only(
      await project.sql<{ states: { provider: string; free_percent: number; wait_seconds: number }[] }[]>`
        select provisioning.provider_states() as states`,
    )
    const neon = states.find(({ provider }) => provider === 'neon')
    expect(neon).toMatchObject({ free_percent: 0 })
    expect(neon?.wait_seconds).toBeGreaterThan(1)
    await project.sql`delete from provisioning.rate_limits where provider = 'neon' and scope = '{changes}'`
  })

  it('take no place for a caller who would not wait that long', async () => {
    await limit('*', 1000, 1000)
    await limit('{route}', 1, 0.1)
    await begin()
    for (const _ of [1, 2, 3]) expect((await begin('GET /projects', 5)).wait).toBeGreaterThan(9)
    expect((await begin('GET /projects', 60)).wait).toBeLessThanOrEqual(10)
  })

  it('never let more pass in a second than burst and rate allow, whoever calls', async () => {
    await limit('*', 1000, 1000)
    await limit('{route}', 5, 5)
    const turns = await Promise.all(Array.from({ length: 40 }, () => begin('GET /projects', 60)))
    const withinASecond = turns.filter(({ wait }) => wait < 1)
    expect(withinASecond.length).toBeLessThanOrEqual(5 + 5 + 1)
    expect(Math.max(...turns.map(({ wait }) => wait))).toBeGreaterThan(6)
  })

  it('hold everybody back for as long as the provider asked', async () => {
    await limit('*', 100, 10)
    await limit('{route}', 20, 20)
    await begin('A')
    await project.sql`select provisioning.pause_calls('neon', 'A', 30)`
    expect((await begin('A')).wait).toBeGreaterThan(29)
    expect((await begin('B')).wait).toBeGreaterThan(29)
  })

  it('leave a share to others when a lane has a reserve: batch work stops there, a sign-up does not', async () => {
    await project.sql`update provisioning.lanes set provider_reserve = 0.5 where lane = 'batch'`
    await limit('*', 20, 0.1)
    await limit('{route}', 1000, 1000)
    const takes = async (lane: string) => {
      let taken = 0
      while ((await begin('GET /projects', 5, lane)).taken) taken++
      return taken
    }
    expect(await takes('batch'), 'half of the burst').toBe(10)
    expect(await takes('sign_up'), 'the other half').toBe(10)
    expect((await begin('GET /projects', 5, 'batch')).wait, 'until half of it is back').toBeGreaterThan(90)
  })

  it('do not let a lane with a reserve queue up in the share of the others', async () => {
    await project.sql`update provisioning.lanes set provider_reserve = 0.5 where lane = 'batch'`
    await limit('*', 100, 10)
    await limit('{route}', 1000, 1000)
    const turns = []
    for (let calls = 0; calls < 90; calls++) turns.push(await begin('GET /projects', 5, 'batch'))
    const taken = turns.filter((turn) => turn.taken)
    // Half of the burst, a second's worth of waiting, and what came back meanwhile.
    expect(taken.length).toBeLessThanOrEqual(50 + 10 + 10)
    expect(Math.max(...taken.map(({ wait }) => wait))).toBeLessThanOrEqual(1)
    expect(await begin('GET /projects', 0, 'sign_up')).toMatchObject({ taken: true, wait: 0 })
  })

  it('keep a share for who has one, whatever the others have taken, and give nobody more than the limits', async () => {
    await project.sql`insert into provisioning.provider_shares (provider, holder, share) values ('neon', 'health', 0.2)`
    await limit('*', 20, 0.01)
    await limit('{route}', 1000, 1000)
    const takes = async (lane: string) => {
      let taken = 0
      while ((await begin('GET /projects', 5, lane)).taken) taken++
      return taken
    }
    expect(await takes('sign_up'), 'all but the share').toBe(16)
    expect(await takes('health'), 'the share').toBe(4)
    await project.sql`delete from provisioning.token_buckets`
    expect(await takes('health'), 'the share, and what the others leave').toBe(20)
    expect(await takes('sign_up')).toBe(0)
  })

  it('of a share are empty too when the provider asked everybody to wait', async () => {
    await project.sql`insert into provisioning.provider_shares (provider, holder, share) values ('neon', 'health', 0.2)`
    await limit('*', 100, 10)
    await limit('{route}', 20, 20)
    await begin('A', 5, 'health')
    await begin('A', 5, 'sign_up')
    await project.sql`select provisioning.pause_calls('neon', 'A', 30)`
    expect((await begin('A', 5, 'health')).wait).toBeGreaterThan(29)
  })

  it('are empty too for whoever has not called yet, when the provider asked everybody to wait', async () => {
    await project.sql`insert into provisioning.provider_shares (provider, holder, share) values ('neon', 'health', 0.2)`
    await limit('*', 100, 10)
    await limit('{route}', 20, 20)
    await project.sql`select provisioning.pause_calls('neon', 'A', 30)`
    expect((await begin('A', 5, 'health')).wait).toBeGreaterThan(29)
    expect((await begin('A', 5, 'sign_up')).wait).toBeGreaterThan(29)
  })

  it('leave something to those who have no share', async () => {
    const give = (holder: string, share: number) =>
      refusal(
        project.sql`insert into provisioning.provider_shares (provider, holder, share) values ('neon', ${holder}, ${share})`,
      )
    expect(await give('health', 0.6)).toBeUndefined()
    expect(await give('audit', 0.4)).toBe('23514')
    expect(await give('audit', 0.3)).toBeUndefined()
    const more = project.sql`update provisioning.provider_shares set share = 0.7 where holder = 'health'`
    expect(await refusal(more)).toBe('23514')
  })

  it('leave requests out of a share for sign-ups', async () => {
    await limit('*', 20, 0.01)
    await limit('{route}', 1000, 1000)
    while ((await begin('GET /projects', 5, 'request')).taken);
    for (let calls = 0; calls < 5; calls++)
      expect(await begin('GET /projects', 0, 'sign_up')).toMatchObject({ taken: true, wait: 0 })
  })

  it('of one call let a lane with a reserve pass too, or it would wait for ever', async () => {
    await project.sql`update provisioning.lanes set provider_reserve = 0.9 where lane = 'batch'`
    await limit('*', 1, 1)
    await limit('{route}', 1, 1)
    expect(await begin('GET /projects', 0, 'batch')).toMatchObject({ taken: true, wait: 0 })
  })

  it('have the documented limits: no minute with more than 700 calls to Neon, no second with more than 40 to a route', async () => {
    const fresh = await openProject()
    const limits = await fresh.sql<
      { provider: string; scope: string; second: number; minute: number; hour: number }[]
    >`
      select provider, scope, (burst + per_second)::float8 as second, (burst + 60 * per_second)::float8 as minute,
        (burst + 3600 * per_second)::float8 as hour
      from provisioning.rate_limits`
    await fresh.close()
    const of = (provider: string, scope: string) =>
      limits.find((row) => row.provider === provider && row.scope === scope)
    expect(of('neon', '*')?.minute).toBeLessThanOrEqual(700)
    expect(of('neon', '{route}')?.second).toBeLessThanOrEqual(40)
    expect(of('stripe_test', '*')?.second).toBeLessThanOrEqual(25)
    expect(of('stripe_live', '*')?.second).toBeLessThanOrEqual(100)
    expect(of('github', '*')?.hour).toBeLessThanOrEqual(5_000)
    expect(of('github', '{changes}')?.minute).toBeLessThanOrEqual(80)
    expect(of('github', '{changes}')?.hour).toBeLessThanOrEqual(500)
  })
})

describe('what operators are told of a provider', () => {
  interface State {
    readonly provider: string
    readonly state: string
    readonly last_error: string | null
    readonly calls_per_second: number
    readonly free_percent: number
    readonly wait_seconds: number
  }
  const neon = async () => {
    const { states } = only(
      await project.sql<{ states: State[] }[]>`select provisioning.provider_states() as states`,
    )
    return states.find(({ provider }) => provider === 'neon')
  }

  it('is a closed breaker and all of its limits, while nobody calls', async () => {
    await project.sql`update provisioning.rate_limits set burst = 100, per_second = 0.001 where provider = 'neon' and scope = '*'`
    expect(await neon()).toMatchObject({
      state: 'closed',
      calls_per_second: 0.001,
      free_percent: 100,
      wait_seconds: 0,
    })
  })

  it('is the limit of which least is left, and how long a call waits when nothing is', async () => {
    await project.sql`update provisioning.rate_limits set burst = 100, per_second = 0.001 where provider = 'neon' and scope = '*'`
    await project.sql`update provisioning.rate_limits set burst = 4, per_second = 0.5 where provider = 'neon' and scope = '{route}'`
    await begin('A')
    await begin('A')
    const used = await neon()
    expect(used?.free_percent).toBeGreaterThanOrEqual(50)
    expect(used?.free_percent).toBeLessThan(70)
    expect(used?.wait_seconds).toBe(0)
    await project.sql`select provisioning.pause_calls('neon', 'A', 30)`
    const paused = await neon()
    expect(paused?.free_percent).toBe(0)
    expect(paused?.wait_seconds).toBeGreaterThan(30)
  })

  it('is an open breaker, why, and when it is tried again', async () => {
    for (let failures = 0; failures < 3; failures++) await end('It did not answer.')
    expect(await neon()).toMatchObject({
      state: 'open',
      last_error: 'It did not answer.',
      consecutive_failures: 3,
      next_try_at: expect.any(String),
    })
  })
})
