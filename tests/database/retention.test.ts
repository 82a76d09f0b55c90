import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { closeOpenJobs } from './engine.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project
let tenant: Tenant

beforeAll(async () => {
  project = await openProject()
})

afterAll(() => project?.close())

beforeEach(async () => {
  tenant = await createTenant(project)
})

const run = async () =>
  only(await project.sql<{ gone: number }[]>`select provisioning.apply_retention() as gone`).gone

/** Runs until a whole round has found nothing more to delete. */
async function runOut(): Promise<number> {
  let gone = 0
  for (let idle = 0; idle < 3; ) {
    const now = await run()
    gone += now
    idle = now === 0 ? idle + 1 : 0
  }
  return gone
}

const organizationOf = () => tenant.organizationId
const LONG_AGO = "now() - interval '401 days'"
const LATELY = "now() - interval '399 days'"

const insertEvent = (at: string, type: string) =>
  project.sql.unsafe(`insert into public.provisioning_events (organization_id, event_type, resource_type, status, started_at)
    values ('${organizationOf()}', '${type}', 'test', 'succeeded', ${at})`)
const insertEntry = (at: string, action: string) =>
  project.sql.unsafe(`insert into public.audit_logs (organization_id, actor_type, action, resource_type, created_at)
    values ('${organizationOf()}', 'system', '${action}', 'test', ${at})`)
const insertAlert = (at: string, kind: string) =>
  project.sql.unsafe(`with alert as (
      insert into public.tenant_alerts (organization_id, kind, severity, message, opened_at, resolved_at)
      values ('${organizationOf()}', '${kind}', 'warning', 'Trouble.', ${LONG_AGO}, ${at}) returning id)
    insert into provisioning.alert_deliveries (alert_id, event, next_attempt_at) select id, 'opened', null from alert`)

async function insertJob(finishedAt: string, kind = 'provision'): Promise<string> {
  const [row] = await project.sql.unsafe<{ id: string }[]>(`
    insert into public.provisioning_jobs (organization_id, kind, status, created_at, finished_at)
    values ('${organizationOf()}', '${kind}', 'succeeded', ${finishedAt}, ${finishedAt}) returning id`)
  const id = row?.id ?? ''
  await project.sql`insert into public.provisioning_steps (job_id, step, organization_id, service, position, depends_on,
      status, finished_at)
    values (${id}, 'any', ${organizationOf()}, 'any', 1, '{}', 'succeeded', now())`
  return id
}

const column = async (table: string, name: string) =>
  (
    await project.sql<{ value: string }[]>`
      select ${project.sql(name)} as value from ${project.sql(table)}
      where organization_id = ${organizationOf()} order by 1`
  ).map(({ value }) => value)

describe('what is older than settings keep it is deleted, and nothing else:', () => {
  it('rows of the history', async () => {
    await insertEvent(LONG_AGO, 'old')
    await insertEvent(LATELY, 'young')
    await runOut()
    const left = await column('public.provisioning_events', 'event_type')
    expect(left).toContain('young')
    expect(left).not.toContain('old')
  })

  it('but not what happened to a job that is still open', async () => {
    await project.sql`insert into public.provisioning_events (organization_id, job_id, event_type, resource_type, status,
        started_at)
      values (${organizationOf()}, ${tenant.jobId}, 'step.retrying', 'neon_project', 'retrying',
        now() - interval '500 days')`
    await runOut()
    expect(await column('public.provisioning_events', 'event_type')).toContain('step.retrying')
  })

  it('finished jobs with their steps, never the newest of a kind', async () => {
    const old = await insertJob("now() - interval '500 days'")
    const newest = await insertJob(LONG_AGO)
    await project.sql`delete from public.provisioning_jobs where id = ${tenant.jobId}`
    const removal = await insertJob("now() - interval '600 days'", 'deprovision')
    await runOut()
    expect(await column('public.provisioning_jobs', 'id')).toEqual([newest, removal].sort())
    expect(await column('public.provisioning_steps', 'job_id')).not.toContain(old)
    expect(await column('public.provisioning_steps', 'job_id')).toContain(newest)
  })

  it('resources that were removed, never what exists or is kept', async () => {
    const insert = (name: string, state: string, removed: string | null) => project.sql`
      insert into public.tenant_resources (organization_id, service, kind, name, external_id, state, created_at, removed_at)
      values (${organizationOf()}, 'neon', 'neon_project', ${name}, ${name + organizationOf()}, ${state}, '2000-01-01', ${removed})`
    await insert('old', 'removed', '2000-01-02')
    await insert('kept', 'kept', null)
    await insert('active', 'active', null)
    await insert('young', 'removed', new Date().toISOString())
    await runOut()
    expect(await column('public.tenant_resources', 'name')).toEqual(['active', 'kept', 'young'])
  })

  it('resolved alerts with their deliveries, never an open one', async () => {
    await insertAlert(LONG_AGO, 'old')
    await insertAlert(LATELY, 'young')
    await insertAlert('null', 'open')
    await runOut()
    expect(await column('public.tenant_alerts', 'kind')).toEqual(['open', 'young'])
    expect(
      await project.sql`select from provisioning.alert_deliveries d join public.tenant_alerts a on a.id = d.alert_id
        where a.organization_id = ${organizationOf()}`,
    ).toHaveLength(2)
  })

  it('sign-ups that could not be repaired, whose users a backfill finds', async () => {
    await project.superuser`alter table auth.users disable trigger tenant_provisioning_user_created`
    const { id } = await signUp(project.auth)
    await project.superuser`alter table auth.users enable trigger tenant_provisioning_user_created`
    await project.sql`insert into provisioning.sign_up_failures (user_id, sqlstate, message, next_attempt_at, created_at)
      values (${id}, 'P0001', 'never', 'infinity', now() - interval '401 days')`
    await runOut()
    expect(await project.sql`select from provisioning.sign_up_failures where user_id = ${id}`).toHaveLength(0)
    await project.sql`select provisioning.backfill(10)`
    expect(await project.sql`select from public.profiles where id = ${id}`).toHaveLength(1)
  })

  it('findings that are resolved, and reconciliation runs except the newest', async () => {
    await project.sql`insert into provisioning.reconciliation_runs (status, dry_run, started_at, finished_at)
      select 'finished', false, now() - n * interval '300 days', now() - n * interval '300 days' from generate_series(1, 3) n`
    await project.sql`insert into provisioning.reconciliation_findings (resource_kind, kind, resource_id, organization_id,
        first_seen_at, last_seen_at, resolved_at)
      values ('neon_project', 'stranger', 'old', ${organizationOf()}, '2000-01-01', '2000-01-01', '2000-01-02'),
        ('neon_project', 'stranger', 'open', ${organizationOf()}, '2000-01-01', '2000-01-01', null)`
    await runOut()
    expect(await project.sql`select from provisioning.reconciliation_runs`).toHaveLength(1)
    expect(await column('provisioning.reconciliation_findings', 'resource_id')).toEqual(['open'])
  })

  it('the audit log is kept for good unless settings say for how long', async () => {
    await insertEntry("now() - interval '9999 days'", 'ancient')
    await insertEntry('now()', 'new')
    await runOut()
    expect(await column('public.audit_logs', 'action')).toEqual(['ancient', 'new'])
    const entry = only(
      await project.sql<{ id: string }[]>`
        select id from public.audit_logs where organization_id = ${organizationOf()} and action = 'ancient'`,
    )
    await project.sql`select provisioning.keep_personal_details(${entry.id}, ${organizationOf()}, ${tenant.user.id},
      '{"note": "Ann"}')`
    await project.sql`update provisioning.settings set audit_retention_days = 1000`
    await runOut()
    await project.sql`update provisioning.settings set audit_retention_days = null`
    expect(await column('public.audit_logs', 'action')).toEqual(['new'])
    expect(await project.sql`select from provisioning.personal_details where row_id = ${entry.id}`).toEqual(
      [],
    )
  })
})

it('a setting that is null keeps everything of its kind', async () => {
  await insertEvent(LONG_AGO, 'old')
  await project.sql`update provisioning.settings set events_retention_days = null`
  await runOut()
  await project.sql`update provisioning.settings set events_retention_days = 400`
  expect(await column('public.provisioning_events', 'event_type')).toContain('old')
})

it('an organization under a legal hold loses nothing, and everything old when the hold is lifted', async () => {
  await insertEvent(LONG_AGO, 'old')
  await insertAlert(LONG_AGO, 'old')
  const old = await insertJob("now() - interval '500 days'")
  await insertEntry(LONG_AGO, 'old')
  await project.sql`update provisioning.settings set audit_retention_days = 400`
  const held = () =>
    Promise.all([
      column('public.provisioning_events', 'event_type'),
      column('public.tenant_alerts', 'kind'),
      column('public.provisioning_jobs', 'id'),
      column('public.audit_logs', 'action'),
    ])
  await project.sql`insert into provisioning.legal_holds (organization_id, reference) values (${organizationOf()}, '2026/1')`
  const before = await held()
  await runOut()
  expect(await held()).toEqual(before)
  await project.sql`delete from provisioning.legal_holds`
  await runOut()
  const [events, alerts, jobs, actions] = await held()
  expect(events).not.toContain('old')
  expect(alerts).toEqual([])
  expect(jobs).not.toContain(old)
  expect(actions).toEqual(['legal_hold.lifted', 'legal_hold.set'])
  await project.sql`update provisioning.settings set audit_retention_days = null`
})

describe('a run', () => {
  const size = (rows: number) => project.sql`update provisioning.settings set retention_batch_rows = ${rows}`

  it('looks at a bounded number of rows, and the next one goes on', async () => {
    await closeOpenJobs(project)
    await runOut()
    await size(10)
    await project.sql`insert into public.provisioning_events (organization_id, event_type, resource_type, status, started_at)
      select ${organizationOf()}, 'old', 'test', 'test', now() - interval '401 days' + n * interval '1 second'
      from generate_series(1, 25) n`
    expect([await run(), await run(), await run(), await run()]).toEqual([10, 10, 5, 0])
    await size(500)
  })

  it('passes over rows that stay, however many are of one moment', async () => {
    await runOut()
    await size(5)
    const held = await createTenant(project)
    await project.sql`insert into provisioning.legal_holds (organization_id, reference)
      values (${held.organizationId}, '2026/2')`
    await project.sql`insert into public.provisioning_events (organization_id, event_type, resource_type, status, started_at)
      select ${held.organizationId}, 'held', 'test', 'test', now() - interval '500 days' from generate_series(1, 12)`
    await insertEvent(LONG_AGO, 'old')
    await runOut()
    for (let round = 0; round < 5; round++) await run()
    expect(await column('public.provisioning_events', 'event_type')).not.toContain('old')
    await project.sql`delete from provisioning.legal_holds`
    await size(500)
  })

  it('makes no sign-up wait, nor a claim, while it is open', async () => {
    await insertEvent(LONG_AGO, 'old')
    await insertAlert(LONG_AGO, 'old')
    await insertJob("now() - interval '500 days'")
    await insertJob(LATELY)
    const retention = await project.sql.reserve()
    await retention`begin`
    expect(
      only(await retention<{ gone: number }[]>`select provisioning.apply_retention() as gone`).gone,
    ).toBe(3)
    await project.auth.begin(async (tx) => {
      await tx`set local lock_timeout = '100ms'`
      const { id } = await signUp(tx)
      expect(await tx`select from users where id = ${id}`).toHaveLength(1)
    })
    // What the trigger cannot do within its own time limit would be here.
    expect(await project.sql`select from provisioning.sign_up_failures`).toHaveLength(0)
    await project.sql.begin(async (tx) => {
      await tx`set local lock_timeout = '100ms'`
      await tx`select provisioning.claim_jobs('{provision}', 1)`
    })
    await retention`rollback`
    retention.release()
  })

  it('passes over a job that somebody is at, and does not wait for it', async () => {
    const old = await insertJob("now() - interval '500 days'")
    await insertJob(LATELY)
    await project.sql.begin(async (tx) => {
      await tx`select from public.provisioning_jobs where id = ${old} for update`
      await runOut()
    })
    expect(await column('public.provisioning_jobs', 'id')).toContain(old)
    await runOut()
    expect(await column('public.provisioning_jobs', 'id')).not.toContain(old)
  })

  it('is made every minute by pg_cron', async () => {
    expect(
      [...(await project.sql`select schedule from cron.job where command ~ 'apply_retention'`)].map(
        (job) => job.schedule,
      ),
    ).toEqual(['* * * * *'])
  })
})

describe('append-only tables', () => {
  it.each(['audit_logs', 'provisioning_events'])(
    '%s: nobody else deletes from them, not their owner, no function and no superuser',
    async (table) => {
      await insertEvent(LONG_AGO, 'old')
      await insertEntry(LONG_AGO, 'old')
      const remove = `delete from public.${table} where organization_id = '${organizationOf()}'`
      const before = await project.sql.unsafe(`select * from public.${table}`)
      for (const sql of [project.sql, project.superuser]) {
        expect(await refusal(sql.unsafe(remove))).toBe('42501')
        expect(await refusal(sql.unsafe(`do $do$ begin ${remove}; end $do$`))).toBe('42501')
        expect(await refusal(sql.unsafe(`truncate public.${table}`))).toBe('42501')
        expect(
          await refusal(
            sql.unsafe(`update public.${table} set resource_type = 'x' where organization_id is not null`),
          ),
        ).toBe('42501')
      }
      await project.sql.unsafe(`create function provisioning.expire_everything() returns void language plpgsql as
      $f$ begin ${remove}; end $f$`)
      expect(await refusal(project.sql`select provisioning.expire_everything()`)).toBe('42501')
      await project.sql`drop function provisioning.expire_everything()`
      expect([...(await project.sql.unsafe(`select * from public.${table}`))]).toEqual([...before])
    },
  )
})
