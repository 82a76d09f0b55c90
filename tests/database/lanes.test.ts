import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Step } from '../../shared/engine/step.ts'
import { createWorker } from '../../shared/engine/worker.ts'
import { connect } from '../../shared/kernel/database/client.ts'
import { addKind, closeOpenJobs, Engine, enqueue, withSettings } from './engine.ts'
import { createTenant, only, openProject, type Project } from './project.ts'

const KINDS = ['provision', 'batch_work', 'wide_work', 'rare_work']
const HANDICAP_SECONDS = 600
const BATCH_PLACES = 5
const BATCH_PLACES_PER_WORKER = 3
const WIDE_PLACES_PER_WORKER = 4

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
  await addKind(project, { kind: 'batch_work', worksOn: ['neon'], lane: 'batch' })
  await addKind(project, { kind: 'wide_work', worksOn: ['neon'], lane: 'batch' })
  await project.sql`update provisioning.job_kinds set max_running_per_worker = ${WIDE_PLACES_PER_WORKER} where kind = 'wide_work'`
  await addKind(project, { kind: 'rare_work', worksOn: ['neon'], lane: 'request', maxRunning: 2 })
  await project.sql`update provisioning.lanes set handicap_seconds = ${HANDICAP_SECONDS}, max_running = ${BATCH_PLACES},
    max_running_per_worker = ${BATCH_PLACES_PER_WORKER} where lane = 'batch'`
})

beforeEach(() => closeOpenJobs(project))

afterAll(async () => {
  await project.close()
})

const claim = (limit: number, running?: Readonly<Record<string, number>>) =>
  engine.claim(limit, KINDS, running)
/** How many of each kind. */
async function claimed(limit: number, running?: Readonly<Record<string, number>>) {
  const kinds = await project.sql<{ kind: string }[]>`
    select kind from public.provisioning_jobs where id = any (${(await claim(limit, running)).map(({ jobId }) => jobId)})`
  const count: Record<string, number> = {}
  for (const { kind } of kinds) count[kind] = (count[kind] ?? 0) + 1
  return count
}
/** Jobs of as many organizations. */
async function enqueueMany(kind: string, count: number, lane: string | null = null): Promise<void> {
  await project.sql`select provisioning.enqueue(gen_random_uuid(), ${kind}, p_lane => ${lane}) from generate_series(1, ${count})`
}
const dueSince = (kind: string, seconds: number) =>
  project.sql`update public.provisioning_jobs set next_attempt_at = now() - make_interval(secs => ${seconds})
    where kind = ${kind} and status = 'queued'`

describe('the order of the lanes', () => {
  it('puts a sign-up before batch work that has been due for minutes', async () => {
    await enqueueMany('batch_work', 3)
    await dueSince('batch_work', HANDICAP_SECONDS - 30)
    const { jobId } = await createTenant(project)
    expect(only(await claim(1)).jobId).toBe(jobId)
  })

  it('puts batch work that has waited longer than its handicap before a sign-up: it has its turn', async () => {
    await enqueueMany('batch_work', 1)
    await dueSince('batch_work', HANDICAP_SECONDS + 30)
    await createTenant(project)
    expect(await claimed(1)).toEqual({ batch_work: 1 })
    expect(await claimed(1)).toEqual({ provision: 1 })
  })

  it('is that in which jobs fall due between people who wait', async () => {
    await enqueueMany('rare_work', 1)
    await dueSince('rare_work', 5)
    await createTenant(project)
    expect(await claimed(1)).toEqual({ rare_work: 1 })
  })

  it('counts a job whose worker died from the end of its lease', async () => {
    const { jobId } = await createTenant(project)
    const lease = only(await claim(1))
    await engine.expireLease(lease.jobId)
    await createTenant(project)
    expect(only(await claim(1)).jobId).toBe(jobId)
  })
})

describe('a cap', () => {
  it('of a lane keeps the other places free, however much of it is waiting and for how long', async () => {
    await enqueueMany('batch_work', 2_000)
    await dueSince('batch_work', 10 * HANDICAP_SECONDS)
    await withSettings(project, { max_running_jobs: 8 }, async () => {
      expect(await claimed(20)).toEqual({ batch_work: BATCH_PLACES_PER_WORKER })
      expect(await claimed(20)).toEqual({ batch_work: BATCH_PLACES - BATCH_PLACES_PER_WORKER })
      expect(await claimed(20)).toEqual({})
      const { jobId } = await createTenant(project)
      expect(only(await claim(20)).jobId).toBe(jobId)
    })
  })

  it('of a lane in one worker counts what that worker has already', async () => {
    await enqueueMany('batch_work', 10)
    expect(await claimed(10, { batch: BATCH_PLACES_PER_WORKER - 1 })).toEqual({ batch_work: 1 })
    await createTenant(project)
    expect(await claimed(10, { batch: BATCH_PLACES_PER_WORKER })).toEqual({ provision: 1 })
  })

  it('of a lane in one worker leaves a kind with places of its own out, and that kind the places of the others', async () => {
    await enqueueMany('batch_work', 10)
    await enqueueMany('wide_work', 10)
    expect(await claimed(10, { batch: 4, 'batch/wide_work': 4 })).toEqual({
      batch_work: BATCH_PLACES_PER_WORKER,
    })
    await closeOpenJobs(project)
    await enqueueMany('batch_work', 10)
    await enqueueMany('wide_work', 10)
    const others = { batch: BATCH_PLACES_PER_WORKER, 'batch/batch_work': BATCH_PLACES_PER_WORKER }
    expect(await claimed(10, others)).toEqual({ wide_work: WIDE_PLACES_PER_WORKER })
    // The places of the lane are for both.
    expect(await claimed(10)).toEqual({ batch_work: BATCH_PLACES - WIDE_PLACES_PER_WORKER })
  })

  it('of a lane in one worker holds in what a worker claims while it has some of it', async () => {
    await enqueueMany('batch_work', 10)
    await dueSince('batch_work', 10 * HANDICAP_SECONDS)
    const release = Promise.withResolvers<void>()
    const another = Promise.withResolvers<void>()
    const sql = connect({ SUPABASE_DB_URL: project.url() })
    const steps: Record<string, Step> = {
      batch_work_step: async () => {
        await release.promise
        return { type: 'succeeded', output: {} }
      },
      rare_work_step: async () => {
        another.resolve()
        return { type: 'succeeded', output: {} }
      },
    }
    const worker = createWorker({ sql, steps }, 'provisioning')
    const atWork = async () =>
      only(
        await project.sql<{ count: number }[]>`select count(*)::int as count from public.provisioning_jobs
          where kind = 'batch_work' and status = 'running'`,
      ).count
    await withSettings(project, { worker_linger_milliseconds: 0 }, async () => {
      const drained = worker.ring()
      try {
        await expect.poll(atWork).toBe(BATCH_PLACES_PER_WORKER)
        // Whoever has begun this has claimed once more, with places of the lane free.
        await enqueueMany('rare_work', 1)
        void worker.ring()
        await another.promise
        expect(await atWork()).toBe(BATCH_PLACES_PER_WORKER)
      } finally {
        release.resolve()
        await drained
        await sql.end()
      }
    })
  })

  it('of a kind holds over all workers and lanes', async () => {
    await enqueueMany('rare_work', 5)
    await enqueueMany('rare_work', 5, 'batch')
    expect(await claimed(10)).toEqual({ rare_work: 2 })
    await createTenant(project)
    expect(await claimed(10), 'others are not held back by it').toEqual({ provision: 1 })
  })

  it('does not count dead workers', async () => {
    await enqueueMany('rare_work', 4)
    const leases = await claim(2)
    for (const { jobId } of leases) await engine.expireLease(jobId)
    expect(await claimed(10)).toEqual({ rare_work: 2 })
  })

  it('of a lane is not passed by two claims of one worker', async () => {
    await enqueueMany('batch_work', 10)
    let total = 0
    while (total < 20) {
      const got = (await claim(2)).length
      if (got === 0) break
      total += got
    }
    expect(total).toBe(BATCH_PLACES)
  })
})

describe('batch work gives way to a sign-up in the same worker, whose CPU it would share:', () => {
  it('none of it is begun together with a sign-up, or while one is at work', async () => {
    await enqueueMany('batch_work', 10)
    await dueSince('batch_work', HANDICAP_SECONDS - 30)
    await createTenant(project)
    expect(await claimed(10)).toEqual({ provision: 1 })
    expect(await claimed(10, { sign_up: 1 })).toEqual({})
    expect(await claimed(10, { request: 1, batch: 1 })).toEqual({})
  })

  it('it goes on when the sign-up has ended, and in other workers meanwhile', async () => {
    await enqueueMany('batch_work', 10)
    expect(await claimed(10, { sign_up: 0, batch: 0 })).toEqual({ batch_work: BATCH_PLACES_PER_WORKER })
  })

  it('until it has waited for its handicap', async () => {
    await enqueueMany('batch_work', 10)
    await dueSince('batch_work', HANDICAP_SECONDS + 30)
    expect(await claimed(10, { sign_up: 1, batch: 1 })).toEqual({ batch_work: BATCH_PLACES_PER_WORKER - 1 })
  })

  it('a sign-up never gives way', async () => {
    const { jobId } = await createTenant(project)
    expect(only(await claim(10, { batch: 1, request: 1, sign_up: 1 })).jobId).toBe(jobId)
  })
})

describe('nobody starves:', () => {
  it('with sign-ups that never end, a batch job is claimed after its handicap', async () => {
    await enqueueMany('batch_work', 1)
    await withSettings(project, { max_running_jobs: 2 }, async () => {
      for (const waited of [0, 200, 400, 590, 610]) {
        await dueSince('batch_work', waited)
        await createTenant(project)
        await createTenant(project)
        const leases = await claim(2)
        const kinds = await project.sql<{ kind: string }[]>`
          select kind from public.provisioning_jobs where id = any (${leases.map(({ jobId }) => jobId)})`
        const turn = kinds.some(({ kind }) => kind === 'batch_work')
        expect(turn, `after ${waited} s`).toBe(waited > HANDICAP_SECONDS)
        for (const lease of leases) await engine.run(lease)
      }
    })
  })

  it('with batch work that never ends, each sign-up is claimed at once', async () => {
    await enqueueMany('batch_work', 500)
    await dueSince('batch_work', 10 * HANDICAP_SECONDS)
    let busy = await claim(10)
    for (let sign = 0; sign < 10; sign++) {
      const { jobId } = await createTenant(project)
      const leases = await claim(10)
      expect(leases.map((lease) => lease.jobId)).toContain(jobId)
      for (const lease of [...busy, ...leases]) await engine.run(lease)
      busy = await claim(10)
    }
  })
})

describe('the lane of a job', () => {
  const laneOf = async (jobId: string) =>
    only(await project.sql<{ lane: string }[]>`select lane from public.provisioning_jobs where id = ${jobId}`)
      .lane

  it('is sign_up after a sign-up, and request when somebody has asked for it again', async () => {
    const { jobId, organizationId } = await createTenant(project)
    expect(await laneOf(jobId)).toBe('sign_up')
    await project.sql`select provisioning.request_provisioning(${organizationId})`
    expect(await laneOf(jobId)).toBe('request')
  })

  it('is request after a cancellation, for the new job and for what is taken back', async () => {
    const { organizationId, jobId } = await createTenant(project)
    await engine.claim(1)
    await engine.cancel(jobId)
    const undo = only(
      await project.sql<{ id: string }[]>`
        select id from public.provisioning_jobs where organization_id = ${organizationId} and kind = 'undo'`,
    )
    expect(await laneOf(undo.id)).toBe('request')
    await project.sql`update public.provisioning_jobs set status = 'succeeded', finished_at = now() where id = ${undo.id}`
    const again = only(
      await project.sql<{ id: string }[]>`
        select job_id as id from provisioning.request_provisioning(${organizationId})`,
    )
    expect(again.id).not.toBe(jobId)
    expect(await laneOf(again.id)).toBe('request')
  })

  it.each([
    ['a backfill', 'select provisioning.backfill(10)', 'batch'],
    ['a backfill in portions', 'select provisioning.backfill_users(10, false, null)', 'batch'],
    ['the repair of a sign-up', 'select provisioning.sweep()', 'batch'],
  ])('is what nobody waits for after %s', async (what, statement, lane) => {
    const id = crypto.randomUUID()
    await project.superuser.begin(async (tx) => {
      await tx`set local session_replication_role = replica`
      await tx`insert into auth.users (id, email, is_anonymous) values (${id}, ${`${id}@example.com`}, false)`
      if (what.startsWith('the repair'))
        await tx`insert into provisioning.sign_up_failures (user_id, sqlstate, message) values (${id}, 'XX000', 'x')`
    })
    await project.sql.unsafe(statement)
    const job = only(
      await project.sql<{ lane: string }[]>`
        select j.lane from public.provisioning_jobs j join public.organizations o on o.id = j.organization_id
        where o.owner_id = ${id}`,
    )
    expect(job.lane).toBe(lane)
  })

  it('is that of its kind unless another is named', async () => {
    expect(await laneOf(await enqueue(project, crypto.randomUUID(), 'batch_work'))).toBe('batch')
    expect(await laneOf(await enqueue(project, crypto.randomUUID(), 'batch_work', 'request'))).toBe('request')
  })
})
