import { parse } from 'graphql'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createCheckedAccess } from '../../shared/tenant-graphql/checked-access.ts'
import type { Connection } from '../../shared/tenant-graphql/connection.ts'
import { createDocuments, operationOf } from '../../shared/tenant-graphql/documents.ts'
import { createExecutor } from '../../shared/tenant-graphql/execute.ts'
import { assertAffordable } from '../../shared/tenant-graphql/limits.ts'
import { createPool, type PoolLimits } from '../../shared/tenant-graphql/pool.ts'
import { createRateLimit } from '../../shared/tenant-graphql/rate.ts'
import { createRemembered } from '../../shared/tenant-graphql/remembered.ts'
import { createBudget } from '../../shared/tenant-graphql/usage.ts'
import { createVersions } from '../../shared/tenant-graphql/versions.ts'

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('what is remembered', () => {
  it('is so much at most, and what was not asked for the longest time goes', () => {
    const remembered = createRemembered<number>(2)
    remembered.set('a', 1)
    remembered.set('b', 2)
    remembered.get('a')
    remembered.set('c', 3)
    expect([...remembered.entries()]).toEqual([
      ['a', 1],
      ['c', 3],
    ])
  })

  it('of operations is a hundred documents, none of them large, and fifty plans', async () => {
    const served = await createVersions()(1)
    const check = createDocuments()
    const first = check(served, '{ contacts(first: 1) { nodes { id } } }')
    expect(check(served, '{ contacts(first: 1) { nodes { id } } }')).toBe(first)
    for (let n = 1; n <= 100; n++) check(served, `{ a${n}: __typename }`)
    expect(check(served, '{ contacts(first: 1) { nodes { id } } }')).not.toBe(first)
    const large = `{ __typename } #${'x'.repeat(16 * 1024)}`
    expect(check(served, large)).not.toBe(check(served, large))
    expect(served.schema.extensions.grafast).toMatchObject({
      queryCacheMaxLength: 50,
      operationsCacheMaxLength: 50,
      operationOperationPlansCacheMaxLength: 5,
    })
  })

  it('of an operation is what it was affordable with, and with other numbers it is counted again', async () => {
    const { schema } = await createVersions()(1)
    const document = parse(
      'query ($n: Int, $name: String) { contacts(first: $n, condition: {email: $name}) { nodes { id } } }',
    )
    const operation = operationOf(document, null)
    const counted = vi.spyOn(schema, 'getRootType')
    const assert = (variables: Record<string, unknown>, introspection = true) =>
      assertAffordable({ schema, introspection }, document, operation, variables)
    assert({ n: 50, name: 'a@example.com' })
    assert({ n: 50, name: 'b@example.com' })
    expect(counted).toHaveBeenCalledTimes(1)
    assert({ n: 51 })
    expect(counted).toHaveBeenCalledTimes(2)
    for (const variables of [{ n: 101 }, { n: 101 }, {}, { n: '50' }])
      expect(() => assert(variables)).toThrow('asks for too much')
    assert({ n: 51 }, false)
    expect(counted).toHaveBeenCalledTimes(7)
    const introspecting = parse('{ __schema { queryType { name } } }')
    const asked = operationOf(introspecting, null)
    assertAffordable({ schema, introspection: true }, introspecting, asked, {})
    expect(() => assertAffordable({ schema, introspection: false }, introspecting, asked, {})).toThrow(
      'Introspection is off',
    )
  })

  it('of a caller is asked once for all who come at once, good for 0.9 s at most, and nothing when it fails', async () => {
    let [now, asked] = [0, 0]
    const accessOf = createCheckedAccess(() => now)
    const access = { countedAs: 'a' } as Awaited<ReturnType<typeof accessOf>>
    const check = async () => {
      asked += 1
      return { access, goodForMs: 900 }
    }
    await Promise.all([accessOf('key', check), accessOf('key', check)])
    now = 899
    await accessOf('key', check)
    expect(asked).toBe(1)
    now = 900
    await accessOf('key', check)
    expect(asked).toBe(2)
    now = 1_800
    await expect(accessOf('key', () => Promise.reject(new Error('gone')))).rejects.toThrow('gone')
    await accessOf('key', check)
    expect(asked).toBe(3)
  })
})

it('requests are counted by caller, and a minute’s share comes back in a minute', () => {
  let now = 0
  const assertRate = createRateLimit(() => now)
  const times = (caller: string) => {
    for (let granted = 0; ; granted++)
      try {
        assertRate(caller, 40)
      } catch {
        return granted
      }
  }
  expect([times('one'), times('two')]).toEqual([10, 10])
  now = 1_600
  expect(times('one')).toBe(1)
  now = 120_000
  expect(times('one')).toBe(10)
})

it('answers of all tenants together are bounded, and then nobody is cut who has said little', () => {
  const onBytes = createBudget(1_000_000)
  expect(onBytes(900_000, 900_000)).toBe(true)
  expect(onBytes(200_000, 200_000)).toBe(true)
  expect(onBytes(600_000, 600_000)).toBe(false)
  onBytes(-1_500_000, 0)
  expect(onBytes(600_000, 600_000)).toBe(true)
})

it('the plan of an operation is made in half a second or not at all, and then no connection is opened', async () => {
  let opened = 0
  const acquire = () => {
    opened += 1
    return Promise.reject(Object.assign(new Error('no database'), { code: 'ECONNREFUSED' }))
  }
  const execute = createExecutor({ acquire, end: () => undefined })
  const access = { scope: 'read', endpoint: { introspection: false } } as Parameters<typeof execute>[0]
  const served = await createVersions()(1)
  const codesOf = async (query: string) => (await execute(access, served, { query })).codes
  const known = '{ contacts(first: 1) { nodes { id } } }'
  // The first few plans of a process may take longer, until its code has been compiled.
  for (let n = 0; n < 8; n++) await codesOf(`{ warm${n}: contacts(first: 1) { nodes { id } } }`)
  expect(await codesOf(known)).toEqual(['tenant_database_unavailable'])

  const { now } = performance
  let lateMs = 0
  vi.spyOn(performance, 'now').mockImplementation(() => {
    lateMs += 600
    return now.call(performance) + lateMs
  })
  opened = 0
  expect(
    await codesOf('{ companies(first: 1) { nodes { id contacts(first: 1) { nodes { id } } } } }'),
  ).toEqual(['query_too_complex'])
  expect(opened).toBe(0)
  // A plan that is known need not be made.
  expect(await codesOf(known)).toEqual(['tenant_database_unavailable'])
})

describe('the connections into a tenant’s database', () => {
  const LIMITS: PoolLimits = { connections: 2, waiting: 3, idleMs: 1_000, lifeMs: 60_000 }
  const use = () => ({ maxBytes: 1, endsAt: performance.now() + 5_000, onBytes: () => true })

  const started = () => {
    const opened: { readonly lose: () => void; ended: boolean }[] = []
    const pool = createPool(async (onLost) => {
      const state = { isLost: false }
      const of = {
        ended: false,
        lose: () => {
          state.isLost = true
          onLost()
        },
      }
      opened.push(of)
      const end = () => {
        of.ended = true
        of.lose()
      }
      return Object.assign(state, {
        limit: () => undefined,
        unlimit: () => undefined,
        end,
      }) as unknown as Connection
    }, LIMITS)
    return { pool, opened }
  }

  it('are two at most: who comes later waits for one that is given back, and no more wait than may', async () => {
    const { pool, opened } = started()
    const [one] = [await pool.acquire(use()), await pool.acquire(use())]
    const waiting = [pool.acquire(use()), pool.acquire(use()), pool.acquire(use())]
    await expect(pool.acquire(use())).rejects.toMatchObject({ code: 'BUSY' })
    expect(opened).toHaveLength(2)
    one.release()
    const next = await waiting[0]
    expect(next).toMatchObject({ isReused: true, connection: one.connection })
    // One that is lost makes room for another.
    opened[0]?.lose()
    expect(await waiting[1]).toMatchObject({ isReused: false })
    expect(opened).toHaveLength(3)
    pool.end()
    void waiting[2]?.catch(() => undefined)
  })

  it('are waited for as long as the request may take', async () => {
    vi.useFakeTimers()
    const { pool } = started()
    await pool.acquire(use())
    await pool.acquire(use())
    const late = expect(pool.acquire(use())).rejects.toMatchObject({ code: 'DEADLINE' })
    await vi.advanceTimersByTimeAsync(5_000)
    await late
  })

  it('are given up when nobody has used them for a while, or they are old', async () => {
    vi.useFakeTimers()
    const { pool, opened } = started()
    ;(await pool.acquire(use())).release()
    expect(pool.isIdle).toBe(true)
    await vi.advanceTimersByTimeAsync(999)
    expect(opened.map(({ ended }) => ended)).toEqual([false])
    await vi.advanceTimersByTimeAsync(1)
    expect(opened.map(({ ended }) => ended)).toEqual([true])
    const old = await pool.acquire(use())
    await vi.advanceTimersByTimeAsync(60_001)
    old.release()
    expect(opened.map(({ ended }) => ended)).toEqual([true, true])
  })
})
