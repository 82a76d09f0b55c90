import { readFile } from 'node:fs/promises'
import type postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { jobLines } from '../../cli/screens/status.ts'
import { type Tenant as Description, readTenant } from '../../cli/tenant.ts'
import { printVerifyUser } from '../../tools/verify-user/print.ts'
import {
  createBegunTenant,
  createTenant,
  only,
  openProject,
  type Project,
  refusal,
  type Tenant,
} from '../database/project.ts'
import { runAs } from '../support/roles.ts'
import { signUp } from '../support/sign-up.ts'

/** A row of verify-user.sql. */
interface Row {
  readonly part: 'verdict' | 'check' | 'event' | 'audit'
  readonly what: string | null
  readonly status: string | null
  readonly found: string | null
  readonly fix: string | null
}

interface Portion {
  readonly users: readonly { readonly user_id: string }[]
  readonly examined: number
  readonly after: string | null
}

let project: Project
let tenant: Tenant

beforeAll(async () => {
  project = await openProject()
})
afterAll(() => project?.close())

beforeEach(async () => {
  tenant = await createBegunTenant(project)
  await makeReady(tenant)
})

/** As if a worker had done everything. */
async function makeReady({ organizationId, jobId }: Tenant): Promise<void> {
  await project.sql`
    update public.provisioning_steps set status = 'succeeded', attempts = 1, started_at = now(), finished_at = now() where job_id = ${jobId}`
  await project.sql`update public.provisioning_jobs set status = 'succeeded', finished_at = now() where id = ${jobId}`
  await project.sql`update public.organizations set stripe_customer_id = ${`cus_${jobId}`} where id = ${organizationId}`
  await project.sql`
    update public.organization_databases set neon_project_id = ${jobId}, host = 'db.example.com', schema_version = 1,
      ssl_verified_at = now(), credentials_secret_id = vault.create_secret('opens-everything', ${`tenant_database_password/${organizationId}/app_1`})
    where organization_id = ${organizationId}`
  await project.sql`select provisioning.refresh_status(${organizationId})`
}

/** As the CLI reads it. */
const describeTenant = async (subject = tenant.user.id): Promise<Description> =>
  readTenant(
    only(await project.sql<{ tenant: unknown }[]>`select provisioning.describe_tenant(${subject}) as tenant`)
      .tenant,
  )

const statusOf = ({ checks }: Description, name: string) => checks.find(({ check }) => check === name)?.status

describe('the verification of a user', () => {
  it('is ready when everything is there', async () => {
    const { checks, verdict } = await describeTenant()
    expect(verdict).toMatchObject({ ready: true, state: 'ready' })
    expect(checks.filter(({ status }) => status !== 'ok')).toEqual([])
  })

  // Each takes one thing away: the check that must notice, and the statement.
  const losses: readonly (readonly [check: string, statement: (tenant: Tenant) => string])[] = [
    ['profile', ({ user }) => `delete from public.profiles where id = '${user.id}'`],
    ['profile', ({ user }) => `update public.profiles set organization_id = null where id = '${user.id}'`],
    ['wallet', ({ user }) => `delete from public.wallets where user_id = '${user.id}'`],
    ['ownership', ({ user }) => `delete from public.organization_members where user_id = '${user.id}'`],
    [
      'ownership',
      ({ user }) => `update public.organization_members set role = 'admin' where user_id = '${user.id}'`,
    ],
    [
      'profile',
      ({ user }) => `update public.profiles set organization_id = (
        select id from public.organizations where owner_id <> '${user.id}' limit 1) where id = '${user.id}'`,
    ],
    ['provisioning', ({ jobId }) => `delete from public.provisioning_jobs where id = '${jobId}'`],
    [
      'stripe_customer',
      ({ organizationId }) =>
        `update public.organizations set stripe_customer_id = null where id = '${organizationId}'`,
    ],
    [
      'database',
      ({ organizationId }) =>
        `delete from public.organization_databases where organization_id = '${organizationId}'`,
    ],
    [
      'schema',
      ({ organizationId }) =>
        `update public.organization_databases set schema_version = null where organization_id = '${organizationId}'`,
    ],
    [
      'credentials',
      ({ organizationId }) =>
        `delete from vault.secrets where name = 'tenant_database_password/${organizationId}/app_1'`,
    ],
    [
      'connection',
      ({ organizationId }) =>
        `update public.organization_databases set ssl_verified_at = null, ssl_mode = 'require' where organization_id = '${organizationId}'`,
    ],
    [
      'sign_up',
      ({ user }) =>
        `insert into provisioning.sign_up_failures (user_id, sqlstate, message) values ('${user.id}', '23514', 'trouble')`,
    ],
  ]
  it.each(losses)('notices what is lost: %s', async (check, statement) => {
    await project.sql.unsafe(statement(tenant))
    const description = await describeTenant()
    expect(statusOf(description, check)).toBe('failed')
    expect(description.verdict).toMatchObject({ ready: false, state: 'failed' })
    expect(description.verdict.statements).not.toEqual([])
  })

  it('asks for nothing of a service that the tier does not have', async () => {
    await project.sql`update provisioning.tiers set services = array_remove(services, 'stripe') where tier = 'database'`
    try {
      const { organizationId } = await createTenant(project)
      const { checks } = await describeTenant(organizationId)
      expect(checks.map(({ check }) => check)).toContain('database')
      expect(checks.map(({ check }) => check)).not.toContain('stripe_customer')
    } finally {
      await project.sql`update provisioning.tiers set services = '{stripe}' || services where tier = 'database'`
    }
  })

  it.each(losses.slice(0, 6).concat(losses.slice(8, 9)))(
    'gives a statement that brings rows back: %s',
    async (check, statement) => {
      await project.sql.unsafe(statement(tenant))
      const { checks } = await describeTenant()
      const { statements } = checks.find((each) => each.check === check) ?? { statements: [] }
      await project.sql.unsafe(statements.join('\n'))
      expect(statusOf(await describeTenant(), check)).not.toBe('failed')
      const audited = await project.sql<{ action: string }[]>`
        select action from public.audit_logs where organization_id = ${tenant.organizationId}`
      expect(audited.map(({ action }) => action)).toContainEqual(
        expect.stringMatching(/^(user\.repaired|provisioning\.requested)$/),
      )
    },
  )

  it('fails for an unhealthy database, and only warns when provisioning has connected to it since', async () => {
    await project.sql`insert into public.tenant_health (organization_id, status, checked_at, connected_at)
      values (${tenant.organizationId}, 'unhealthy', now(), now() - interval '1 hour')
      on conflict (organization_id) do update set status = excluded.status, checked_at = excluded.checked_at, connected_at = excluded.connected_at`
    expect(statusOf(await describeTenant(), 'health')).toBe('failed')
    await project.sql`select provisioning.begin_health_checks(${tenant.organizationId}, 'database')`
    expect(statusOf(await describeTenant(), 'health')).toBe('warning')
    expect((await describeTenant()).verdict.ready).toBe(true)
  })

  it('says of somebody whose organization was deleted that this may be as it should be', async () => {
    await project.sql`select provisioning.delete_organization(o.id, o.slug) from public.organizations o
      where o.id = ${tenant.organizationId}`
    const { checks, verdict } = await describeTenant()
    expect(checks.filter(({ status }) => status === 'failed').map(({ check }) => check)).toEqual([
      'organization',
    ])
    expect(verdict.fix).toContain('That is as it should be, unless the user may have one again.')
  })

  it('waits while the job is open, and blames the job when that is overdue', async () => {
    const fresh = await createTenant(project)
    const waiting = await describeTenant(fresh.organizationId)
    expect(waiting.verdict).toMatchObject({ ready: false, state: 'provisioning' })
    expect(statusOf(waiting, 'stripe_customer')).toBe('waiting')
    await project.sql`update public.provisioning_jobs set next_attempt_at = now() - interval '5 minutes' where id = ${fresh.jobId}`
    const overdue = (await describeTenant(fresh.organizationId)).checks.find(
      ({ check }) => check === 'provisioning',
    )
    expect(overdue).toMatchObject({ code: 'job_overdue', commands: ['npm run tenants -- doctor'] })
  })

  it('counts an unhealthy database as not ready, and a degraded one as a warning', async () => {
    const set = (status: string) => project.sql`
      insert into public.tenant_health (organization_id, status, checked_at) values (${tenant.organizationId}, ${status}, now())
      on conflict (organization_id) do update set status = excluded.status`
    await set('degraded')
    expect((await describeTenant()).verdict).toMatchObject({
      ready: true,
      summary: expect.stringContaining('warning'),
    })
    await set('unhealthy')
    expect((await describeTenant()).verdict).toMatchObject({ ready: false, state: 'failed' })
  })

  it('leaves out a user who is not to be provisioned yet', async () => {
    const { id } = await signUp(project.auth, { anonymous: true, email: null })
    expect((await describeTenant(id)).verdict).toMatchObject({ ready: false, state: 'waiting' })
  })

  it('never holds a secret', async () => {
    expect(JSON.stringify(await describeTenant())).not.toContain('opens-everything')
    const [diagnosis] = await project.sql<{ text: string }[]>`
      select provisioning.diagnose_provisioning()::text as text`
    const keys = await project.sql<{ secret: string }[]>`
      select decrypted_secret as secret from vault.decrypted_secrets where name like 'provisioning_%'`
    expect(keys).toHaveLength(2)
    for (const { secret } of keys) expect(diagnosis?.text).not.toContain(secret)
  })
})

describe('verify-user.sql', () => {
  const verify = async (email: string) => {
    const script = await readFile(new URL('../../supabase/verify-user.sql', import.meta.url), 'utf8')
    expect(script.match(/ann@example\.com/g)).toHaveLength(1)
    // As the SQL editor runs it: one text, here in a transaction that may only read.
    return project.sql.begin('read only', (tx) =>
      tx.unsafe<Row[]>(script.replace('ann@example.com', email)),
    ) as Promise<postgres.RowList<Row[]>>
  }

  /** What each of them says of a check: where there is nothing to do, nothing. */
  const repair = ({ fix, statements }: { fix: string | null; statements: readonly string[] }) =>
    fix === null ? null : [fix, ...statements].join('\n')

  it('is what the catalogue of remedies says (npm run verify-user)', async () => {
    const script = await readFile(new URL('../../supabase/verify-user.sql', import.meta.url), 'utf8')
    expect(script).toBe(printVerifyUser())
  })

  it.each([
    ['is ready', () => 'select 1'],
    ['has lost a row', () => `delete from public.wallets where user_id = '${tenant.user.id}'`],
    [
      'has lost a resource',
      () => `update public.organizations set stripe_customer_id = null where id = '${tenant.organizationId}'`,
    ],
    ['has no job', () => `delete from public.provisioning_jobs where id = '${tenant.jobId}'`],
    [
      'has a failed step',
      () => `update public.provisioning_jobs set status = 'failed',
        last_error = '{"code": "neon_key_rejected", "message": "Neon does not accept NEON_API_KEY.", "retryable": false}'
        where id = '${tenant.jobId}'`,
    ],
  ])('says of a tenant that %s what the CLI says, reading only', async (_, statement) => {
    await project.sql.unsafe(statement())
    const rows = await verify(tenant.user.email ?? '')
    const { checks, verdict } = await describeTenant()
    expect(rows[0]).toMatchObject({
      part: 'verdict',
      status: verdict.state,
      found: verdict.summary,
      fix: repair(verdict),
    })
    expect(
      rows.filter(({ part }) => part === 'check').map(({ what, status, fix }) => [what, status, fix]),
    ).toEqual(checks.map((each) => [each.check, each.status, repair(each)]))
  })

  it('shows events and the audit log, too', async () => {
    await project.sql`insert into public.provisioning_events
      (organization_id, job_id, event_type, resource_type, status, error_message)
      values (${tenant.organizationId}, ${tenant.jobId}, 'step.failed', 'neon_project', 'failed', 'Neon said no.')`
    await project.sql`select provisioning.audit(${tenant.organizationId}, 'plan.looked_at', 'organization', null)`
    const rows = await verify(tenant.user.email ?? '')
    expect(rows).toContainEqual(
      expect.objectContaining({ part: 'event', what: 'step.failed neon_project', found: 'Neon said no.' }),
    )
    expect(rows).toContainEqual(expect.objectContaining({ part: 'audit', what: 'plan.looked_at' }))
  })

  it('says that there is no such user', async () => {
    expect((await verify('nobody@example.com'))[0]).toMatchObject({ part: 'verdict', status: 'not_found' })
  })
})

describe('the functions of the operators', () => {
  const calls = [
    `public.describe_tenant('x')`,
    'public.list_tenants()',
    'public.tenant_counts()',
    `public.backfill_users(1, true)`,
    `public.repair_user('00000000-0000-0000-0000-000000000001')`,
    'public.diagnose_provisioning()',
    `public.probe_functions('{x}')`,
    `public.probe_results('{1}')`,
  ]

  it.each(calls)('%s is for the service role alone', async (call) => {
    const as = (role: 'anon' | 'service_role') =>
      refusal(runAs(project.api, { role }, (tx) => tx.unsafe(`select ${call}`)))
    expect(await as('anon')).toBe('42501')
    expect(
      await refusal(
        runAs(project.api, { role: 'authenticated', userId: tenant.user.id }, (tx) =>
          tx.unsafe(`select ${call}`),
        ),
      ),
    ).toBe('42501')
    // repair_user refuses the user, not the caller.
    expect(await as('service_role')).toBe(call.includes('repair_user') ? 'TP404' : undefined)
  })

  it('backfill examines everybody once, whatever the size of the portions', async () => {
    for (let index = 0; index < 3; index++) await createTenant(project)
    await project.sql`delete from public.wallets where true`
    const seen: string[] = []
    let examined = 0
    let after: string | null = null
    do {
      const { portion }: { portion: Portion } = only(
        await project.sql<
          { portion: Portion }[]
        >`select provisioning.backfill_users(2, true, ${after}) as portion`,
      )
      seen.push(...portion.users.map(({ user_id }) => user_id))
      examined += portion.examined
      after = portion.after
    } while (after !== null)
    const all = await project.sql<{ id: string }[]>`select id from auth.users where not is_anonymous
      and id not in (select user_id from provisioning.removed_tenants) order by id`
    expect(seen).toEqual(all.map(({ id }) => id))
    expect(examined).toBe(
      only(await project.sql<{ count: number }[]>`select count(*)::integer as count from auth.users`).count,
    )
  })
})

it('the name of a step never runs into its state, however long it is', () => {
  const names = ['stripe_customer', 'delete_stripe_customer', 'a_step_of_a_service_that_is_yet_to_be_written']
  const steps = names.map((step) => ({ step, service: 'any', status: 'pending', attempts: 0, output: {} }))
  const lines = jobLines({
    ...{ id: '', kind: 'deprovision', purpose: 'remove', status: 'running', attempts: 1 },
    ...{ next_attempt_at: '', request: {}, created_at: '', steps },
  })
  for (const [index, line] of lines.entries()) expect(line).toMatch(new RegExp(` ${names[index]} +pending$`))
})
