import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readSeal } from '../../shared/kernel/seal.ts'
import { claimedJob, createOnlyJob, Engine, type Lease, secondsFromNow, withSettings } from './engine.ts'
import { fingerprint } from './fingerprint.ts'
import { only, openProject, type Project, refusal } from './project.ts'

let project: Project
let engine: Engine

beforeAll(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
})

afterAll(async () => {
  await project.close()
})

/** Another worker has taken over a job whose worker died: the lease is the dead one's. */
async function takenOverJob() {
  const { lease, jobId, organizationId } = await claimedJob(project)
  await engine.start(lease, 'stripe_customer')
  await engine.expireLease(jobId)
  const successor = only(await engine.claim())
  await engine.start(successor, 'stripe_customer')
  return { stale: lease, successor, jobId, organizationId }
}

describe('a job whose worker died', () => {
  it('is taken over when the lease has run out, and not before', async () => {
    const { jobId, lease } = await claimedJob(project)
    expect(await engine.claim()).toEqual([])
    await engine.expireLease(jobId)
    const successor = only(await engine.claim())
    expect(successor).toMatchObject({ jobId, attempts: 2 })
    expect(successor.token).not.toBe(lease.token)
  })

  it('has its running step made due again, and an event tells of it', async () => {
    const { jobId, lease } = await claimedJob(project)
    await engine.start(lease, 'stripe_customer')
    await engine.expireLease(jobId)
    await engine.claim()
    expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({
      status: 'retrying',
      attempts: 1,
      error: { code: 'worker_lost', retryable: true },
    })
    expect(await engine.events(jobId)).toMatchObject([
      { event_type: 'step.interrupted', resource_type: 'stripe_customer', metadata: { attempt: 1 } },
    ])
    expect(await engine.ready(jobId)).toContain('stripe_customer')
  })

  it('is revived by its own heartbeat when nobody has taken it over yet', async () => {
    const { jobId, lease } = await claimedJob(project)
    await engine.expireLease(jobId)
    expect(secondsFromNow(await engine.extend(lease))).toBeGreaterThan(50)
    expect(await engine.claim()).toEqual([])
  })

  it('fails for good when every attempt was interrupted, and says so', async () => {
    await withSettings(project, { max_step_attempts: 3 }, async () => {
      const { jobId } = await createOnlyJob(project)
      for (let attempt = 1; attempt <= 3; attempt++) {
        const lease = only(await engine.claim())
        expect(await engine.start(lease, 'stripe_customer')).toBe(attempt)
        await engine.expireLease(jobId)
      }
      const lease = only(await engine.claim())
      expect(await engine.start(lease, 'stripe_customer')).toBeUndefined()
      expect(await engine.step(jobId, 'stripe_customer')).toMatchObject({
        status: 'failed',
        error: { code: 'attempts_exhausted', retryable: false },
      })
      expect(await engine.run(lease)).toBe('failed')
      expect((await engine.job(jobId)).last_error).toMatchObject({ code: 'attempts_exhausted' })
    })
  })
})

describe('a lease', () => {
  it('that is as old as settings.lease_max_seconds is not renewed any more', async () => {
    const { jobId, lease } = await claimedJob(project)
    const age = (seconds: number) =>
      project.sql`update provisioning.job_leases set claimed_at = clock_timestamp() - make_interval(secs => ${seconds})
        where job_id = ${jobId}`
    await age(590)
    await engine.extend(lease)
    await age(601)
    await expect(engine.extend(lease)).rejects.toMatchObject({ code: 'TP001' })
    await project.sql`update provisioning.job_leases set expires_at = now() where job_id = ${jobId}`
    await engine.extend(only(await engine.claim()))
  })
})

/** Of any sequence of the database. */
const MANY = 1_000_000_000

describe('the writes of a worker that lost its lease', () => {
  const writes: [string, (lease: Lease) => Promise<unknown>][] = [
    ['extend_lease', (lease) => engine.extend(lease)],
    [
      'prepare_job',
      async (lease) => {
        await project.sql`select provisioning.prepare_job(${lease.jobId}, ${lease.token})`
      },
    ],
    ['start_step', (lease) => engine.start(lease, 'neon_project')],
    ['complete_step', (lease) => engine.complete(lease, 'stripe_customer', { customerId: 'cus_stale' })],
    ['fail_step', (lease) => engine.fail(lease, 'stripe_customer')],
    ['defer_step', (lease) => engine.defer(lease, 'stripe_customer', 1)],
    ['save_output', (lease) => engine.saveOutput(lease, 'stripe_customer', { customerId: 'cus_stale' })],
    ['finish_job', (lease) => engine.finish(lease)],
    [
      'plan_resource',
      ({ jobId, token }) =>
        project.sql`select provisioning.plan_resource(${jobId}, ${token}, 'neon_project', 'n')`,
    ],
    [
      'unplan_resource',
      ({ jobId, token }) =>
        project.sql`select provisioning.unplan_resource(${jobId}, ${token}, 'neon_project')`,
    ],
    [
      'record_stripe_customer',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_stripe_customer(${jobId}, ${token}, 'cus_stale')`,
    ],
    [
      'audit_unknown_stripe_customer',
      ({ jobId, token }) =>
        project.sql`select provisioning.audit_unknown_stripe_customer(${jobId}, ${token}, 'cus_stale')`,
    ],
    [
      'record_neon_project',
      ({ jobId, token }) => project.sql`
        select provisioning.record_neon_project(${jobId}, ${token}, 'p', 'b', 'e', 'h', 'ph', 5432, 'd', 'require', 'n', null, null)`,
    ],
    [
      'record_schema_version',
      ({ jobId, token }) => project.sql`select provisioning.record_schema_version(${jobId}, ${token}, 2)`,
    ],
    [
      'record_verified_connection',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_verified_connection(${jobId}, ${token}, true)`,
    ],
    [
      'show_login',
      ({ jobId, token }) => project.sql`select provisioning.show_login(${jobId}, ${token}, 'app_2')`,
    ],
    [
      'record_own_logins',
      ({ jobId, token }) => project.sql`select provisioning.record_own_logins(${jobId}, ${token})`,
    ],
    [
      'record_ended_logins',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_ended_logins(${jobId}, ${token}, '{app_1}')`,
    ],
    [
      'record_access',
      ({ jobId, token }) => project.sql`select provisioning.record_access(${jobId}, ${token}, '{read_1}')`,
    ],
    [
      'record_moved_page',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_moved_page(${jobId}, ${token}, 'public.contacts', '{a}', 10, 1, false)`,
    ],
    [
      'close_for_move',
      ({ jobId, token }) => project.sql`select provisioning.close_for_move(${jobId}, ${token}, 5)`,
    ],
    [
      'record_reopened',
      ({ jobId, token }) => project.sql`select provisioning.record_reopened(${jobId}, ${token})`,
    ],
    [
      'switch_tenant',
      ({ jobId, token }) => project.sql`select provisioning.switch_tenant(${jobId}, ${token}, '[]')`,
    ],
    [
      'record_copied_people',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_copied_people(${jobId}, ${token}, ${MANY})`,
    ],
    [
      'leave_people_asleep',
      ({ jobId, token }) => project.sql`select provisioning.leave_people_asleep(${jobId}, ${token})`,
    ],
    [
      'record_graphql_endpoint',
      ({ jobId, token }) => project.sql`select provisioning.record_graphql_endpoint(${jobId}, ${token})`,
    ],
    [
      'forget_credentials',
      ({ jobId, token }) => project.sql`select provisioning.forget_credentials(${jobId}, ${token})`,
    ],
    [
      'forget_neon_project',
      ({ jobId, token }) => project.sql`select provisioning.forget_neon_project(${jobId}, ${token})`,
    ],
    [
      'forget_stripe_customer',
      ({ jobId, token }) => project.sql`select provisioning.forget_stripe_customer(${jobId}, ${token})`,
    ],
    [
      'record_supabase_project',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_supabase_project(${jobId}, ${token}, 'n', ${jobId}, 'u', '{}')`,
    ],
    [
      'record_ready_project',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_ready_project(${jobId}, ${token}, '{"host": "h", "sslMode": "disable"}', '{}')`,
    ],
    [
      'record_slow_project',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_slow_project(${jobId}, ${token}, 'slow', '{}')`,
    ],
    [
      'record_project_keys',
      ({ jobId, token }) =>
        project.sql`select provisioning.record_project_keys(${jobId}, ${token}, '{"publishableKey": "k"}')`,
    ],
    [
      'record_project_password',
      ({ jobId, token }) => project.sql`select provisioning.record_project_password(${jobId}, ${token})`,
    ],
    [
      'note_former_key',
      ({ jobId, token }) => project.sql`select provisioning.note_former_key(${jobId}, ${token}, 'k')`,
    ],
    [
      'record_secret_key',
      ({ jobId, token }) => project.sql`select provisioning.record_secret_key(${jobId}, ${token}, 'k')`,
    ],
    [
      'limit_former_keys',
      ({ jobId, token }) => project.sql`select provisioning.limit_former_keys(${jobId}, ${token})`,
    ],
    [
      'record_ended_keys',
      ({ jobId, token }) => project.sql`select provisioning.record_ended_keys(${jobId}, ${token}, '{k}')`,
    ],
    [
      'forget_supabase_project',
      ({ jobId, token }) =>
        project.sql`select provisioning.forget_supabase_project(${jobId}, ${token}, false)`,
    ],
    [
      'keep_project_secrets',
      async ({ jobId, token }) => {
        const sealed = await (await readSeal(project.sql))(JSON.stringify({ secretKey: 'stale' }))
        return project.sql`select provisioning.keep_project_secrets(${jobId}, ${token}, ${sealed})`
      },
    ],
    [
      'store_credentials',
      async ({ jobId, token }) => {
        const sealed = await (await readSeal(project.sql))(JSON.stringify({ app_1: 'stale password' }))
        return project.sql`select provisioning.store_credentials(${jobId}, ${token}, 'app_1', ${sealed})`
      },
    ],
  ]

  it.each(writes)('%s is refused and changes nothing', async (_, write) => {
    const { stale, successor, organizationId } = await takenOverJob()
    await project.sql`select vault.create_secret('at stake', ${`tenant_database_password/${organizationId}/app_1`})`
    await project.sql`update public.organization_databases set neon_project_id = ${`at-stake-${organizationId}`},
      database_name = 'at_stake', role_name = 'at_stake_app_1' where organization_id = ${organizationId}`
    await project.sql`update public.organizations set stripe_customer_id = ${`cus_${organizationId}`} where id = ${organizationId}`
    await project.sql`insert into public.tenant_resources (organization_id, service, kind, name, requests)
      values (${organizationId}, 'neon', 'neon_project', 'at stake', 1)`
    await project.sql`insert into public.tenant_resources (organization_id, service, kind, name, external_id, state)
      values (${organizationId}, 'supabase', 'supabase_project', 'at stake', ${`at-stake-${organizationId}`}, 'active')`
    await project.sql`insert into provisioning.tenant_logins (organization_id, login, access_role, ends_at, look_at)
      values (${organizationId}, 'read_1', 'read', now() + interval '1 hour', now() + interval '1 hour')`
    await project.sql`insert into provisioning.changed_people (organization_id) values (${organizationId})`
    await project.sql`
      insert into provisioning.tenant_moves (organization_id, job_id, from_tier, to_tier, with_data, leave_extra_tables, coming,
        closed_until)
      select d.organization_id, ${stale.jobId}, 'database', 'project', true, false, to_jsonb(d), now()
      from public.organization_databases d where d.organization_id = ${organizationId}`
    await project.sql`insert into provisioning.former_project_keys (organization_id, key_id) values (${organizationId}, 'at stake')`
    const before = await fingerprint(project.sql)
    expect(await refusal(write(stale))).toBe('TP001')
    expect(await fingerprint(project.sql)).toEqual(before)
    expect(await refusal(write(successor)), 'the holder may').toBeUndefined()
    expect(await fingerprint(project.sql)).not.toEqual(before)
  })

  it('cover every function that takes a lease token', async () => {
    const functions = await project.sql<{ name: string }[]>`
      select proname as name from pg_proc where pronamespace = 'provisioning'::regnamespace
        and 'p_lease_token' = any (proargnames) and proname <> 'hold_lease' order by 1`
    expect(functions.map(({ name }) => name)).toEqual(writes.map(([name]) => name).sort())
  })

  it('are refused after the job was finished, cancelled or never leased, too', async () => {
    const { lease, jobId } = await claimedJob(project)
    await engine.run(lease)
    expect(await refusal(engine.extend(lease))).toBe('TP001')
    expect(await refusal(project.sql`select provisioning.extend_lease(${jobId}, null)`)).toBe('TP001')
    expect(
      await refusal(project.sql`select provisioning.extend_lease(gen_random_uuid(), gen_random_uuid())`),
    ).toBe('TP001')
  })
})
