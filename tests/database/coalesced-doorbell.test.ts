import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { forgetLastRing, queuedDoorbells } from './doorbells.ts'
import { closeOpenJobs } from './engine.ts'
import { only, openProject, type Project } from './project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(async () => {
  await project.close()
})

beforeEach(async () => {
  await project.sql`delete from net.http_request_queue`
  await forgetLastRing(project.sql)
})

const rings = async () => (await queuedDoorbells(project.sql)).length
/** Longer than the time for which one ring stands for those that follow. */
const quiet = () => sleep(300)

describe('the doorbell of sign-ups', () => {
  it('rings at once, and carries a signature and no key', async () => {
    await signUp(project.auth)
    expect(await queuedDoorbells(project.sql)).toEqual([
      {
        url: 'http://127.0.0.1:9/functions/v1/provision-tenant-resources',
        headers: { 'Content-Type': 'application/json' },
        body: {
          ringId: expect.stringMatching(/^[0-9a-f-]{36}$/),
          expiresAt: expect.any(Number),
          signature: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
      },
    ])
  })

  it('rings once for all that come within a quarter of a second, and again for whoever comes later', async () => {
    // In the database, so that a slow test does not take longer than that.
    await project.sql.unsafe(`
      create procedure public.sign_up_for(p_seconds float8) language plpgsql as $$
      declare
        v_end timestamptz := clock_timestamp() + make_interval(secs => p_seconds);
      begin
        while clock_timestamp() < v_end loop
          insert into auth.users (id, email) values (gen_random_uuid(), clock_timestamp() || '@example.com');
          commit;
        end loop;
      end $$`)
    await project.sql.unsafe('call public.sign_up_for(1.6)')
    const signUps = (await project.sql`select from auth.users`).count
    expect(signUps).toBeGreaterThan(20)
    // At 0, 250, 500 … ms, fewer where a transaction took longer; never one for each.
    expect(await rings()).toBeGreaterThanOrEqual(4)
    expect(await rings()).toBeLessThanOrEqual(7)
    await quiet()
    const before = await rings()
    await signUp(project.auth)
    expect(await rings()).toBe(before + 1)
  })

  it('is not kept from ringing by a sign-up that was rolled back', async () => {
    await project.auth
      .begin(async (tx) => {
        await signUp(tx)
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    await signUp(project.auth)
    expect(await rings()).toBe(1)
  })

  it('is not kept from ringing by an import that is open, and rings for that when it ends', async () => {
    await project.auth.begin(async (tx) => {
      await signUp(tx)
      await signUp(project.auth)
      expect(await rings(), 'somebody who signs up meanwhile').toBe(1)
      await quiet()
      await signUp(tx)
      await signUp(project.auth)
      expect(await rings(), 'somebody else, later').toBe(2)
      await quiet()
    })
    expect(await rings(), 'the import').toBe(3)
  })

  it('rings although the clock has been put back, or the database restored to another machine', async () => {
    await project.sql`select setval('provisioning.rung_until_of_provisioning',
      (extract(epoch from now() + interval '1 hour') * 1000)::bigint)`
    await signUp(project.auth)
    expect(await rings()).toBe(1)
  })

  it('that could not ring lets the next one try', async () => {
    await project.superuser`alter table net.http_request_queue rename to lost`
    await signUp(project.auth)
    await project.superuser`alter table net.lost rename to http_request_queue`
    await signUp(project.auth)
    expect(await rings()).toBe(1)
  })

  it('makes nobody wait for anybody: several ring in transactions that stay open', async () => {
    const open = await Promise.all(Array.from({ length: 4 }, () => project.auth.reserve()))
    try {
      for (const connection of open) {
        await connection`begin`
        await signUp(connection)
        // Rings, and does not commit.
        await connection`set constraints all immediate`
      }
      // Of this database alone: others on the same server have tests of their own.
      const waiting = await project.superuser`
        select from pg_stat_activity where datname = ${project.name} and cardinality(pg_blocking_pids(pid)) > 0`
      expect(waiting).toHaveLength(0)
      await project.sql`set lock_timeout = '1s'`
      await signUp(project.auth)
    } finally {
      for (const connection of open) {
        await connection`rollback`
        connection.release()
      }
    }
  })
})

describe('a worker that has done its share', () => {
  const successor = async () =>
    only(
      await project.sql<
        { rung: boolean | null }[]
      >`select provisioning.ring_for_due_work('{provision}') as rung`,
    ).rung

  it('rings for a successor when it was rung just now: that ring stands for sign-ups that have yet to commit', async () => {
    await closeOpenJobs(project)
    expect(await successor()).toBeNull()
    await signUp(project.auth)
    await closeOpenJobs(project)
    expect(await successor()).toBe(true)
    await sleep(1000)
    expect(await successor()).toBeNull()
  })
})

describe('other workers', () => {
  it('are rung as often as somebody rings', async () => {
    for (const worker of ['removal', 'removal'])
      await project.sql`select provisioning.ring_doorbell(${worker})`
    expect(await rings()).toBe(2)
  })

  it('and the sweep are not held back by a sign-up’s ring', async () => {
    await signUp(project.auth)
    // That ring is lost.
    await project.sql`delete from net.http_request_queue`
    await project.sql`select provisioning.sweep()`
    expect(await rings()).toBeGreaterThan(0)
  })
})
