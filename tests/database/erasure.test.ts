import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { runAs } from '../support/roles.ts'
import { Engine } from './engine.ts'
import { createTenant, only, openProject, type Project, refusal, type Tenant } from './project.ts'

let project: Project
let person: Tenant
let engine: Engine

const NAME = 'Zenobia Quill'
const ORGANIZATION = 'Quillworks & Daughters'
const SLUG = 'quillworks-daughters'
let email: string

/** A project for each test: what one leaves on purpose would be found by the next. */
beforeEach(async () => {
  project = await openProject()
  engine = new Engine(project.sql)
  email = `zenobia.${crypto.randomUUID()}@quill.example`
  person = await createTenant(project, {
    email,
    metadata: { full_name: NAME, organization_name: 'First Name Ltd' },
  })
})

afterEach(() => project?.close())

const CHECKED = `${NAME}|${ORGANIZATION}|${SLUG}|quill\\.example|First Name Ltd|first-name-ltd`

/** Columns of public and provisioning, of any type that can hold a text, in which a name or an address is found. */
async function leftovers(pattern = CHECKED): Promise<string[]> {
  const columns = await project.superuser<{ table: string; column: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as table, a.attname as column
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    join pg_type t on t.oid = a.atttypid
    where n.nspname in (${PUBLIC_SCHEMA}, 'provisioning') and c.relkind in ('r', 'p', 'm') and not c.relispartition
      and t.typcategory in ('S', 'U', 'A', 'C')
    order by 1, 2`
  expect(columns.map(({ table, column }) => `${table}.${column}`)).toEqual(
    expect.arrayContaining([
      'public.audit_logs.metadata',
      'public.provisioning_events.error_message',
      'public.provisioning_jobs.request',
      'public.provisioning_steps.output',
      'public.tenant_resources.details',
      'public.tenant_alerts.message',
      'provisioning.alert_deliveries.last_error',
      'provisioning.counted_calls.subject',
      'provisioning.sign_up_failures.message',
    ]),
  )
  const found: string[] = []
  for (const { table, column } of columns) {
    const rows = await project.superuser.unsafe(
      `select 1 from ${table} where ${column}::text ~* '${pattern}' limit 1`,
    )
    if (rows.length > 0) found.push(`${table}.${column}`)
  }
  return found
}

/** What providers, receivers and Postgres may answer, with all that they were told in it. */
const text = () => `No such customer: ${NAME} <${email}> of ${ORGANIZATION}.`

async function leaveTraces(): Promise<void> {
  const { organizationId, user, jobId } = person
  await project.sql`select vault.create_secret('http://127.0.0.1:9/alerts', 'alert_webhook_url')
    where not exists (select from vault.secrets where name = 'alert_webhook_url')`
  await runAs(project.api, { role: 'authenticated', userId: user.id }, async (tx) => {
    await tx`update public.organizations set name = ${ORGANIZATION} where id = ${organizationId}`
  })
  await runAs(project.api, { role: 'service_role' }, async (tx) => {
    await tx`update public.organizations set slug = ${SLUG}, billing_email = ${`billing.${email}`} where id = ${organizationId}`
  })
  const lease = only(await engine.claim())
  await engine.start(lease, 'stripe_customer')
  await engine.saveOutput(lease, 'stripe_customer', { sent: { key: 'k', name: ORGANIZATION, email } })
  await project.sql`select provisioning.plan_resource(${lease.jobId}, ${lease.token}, 'stripe_customer',
    'any', jsonb_build_object('request', jsonb_build_object('name', ${ORGANIZATION}::text, 'email', ${email}::text)))`
  await engine.fail(lease, 'stripe_customer', {
    code: 'stripe_request_refused',
    message: text(),
    retryable: false,
  })
  await engine.start(lease, 'neon_project')
  await engine.fail(lease, 'neon_project', {
    code: 'neon_request_refused',
    message: text(),
    retryable: false,
  })
  await engine.finish(lease)
  expect(
    only(await project.sql`select status::text from public.provisioning_jobs where id = ${jobId}`).status,
  ).toBe('failed')
  await project.sql`select provisioning.open_alert(${organizationId}, 'tenant_health', 'critical', ${text()},
    jsonb_build_object('who', ${email}::text))`
  await deliverAlerts()
  await project.sql`select provisioning.resolve_alert(${organizationId}, 'tenant_health')`
  await project.sql`insert into public.tenant_health_checks (organization_id, checked_at, probe, status, reasons)
    values (${organizationId}, now(), 'connection', 'unhealthy', jsonb_build_array(jsonb_build_object('message', ${text()}::text)))`
  await project.sql`select provisioning.insert_api_key(${organizationId}, ${`Key of ${NAME}`}, 'read', null, null)`
  await project.sql`select provisioning.provision_user(${email})`
  await project.sql`select provisioning.record_sign_up_failure(${user.id}, 'P0001', ${text()})`
  await project.sql`select provisioning.grant_operator(${user.id}, ${`for ${NAME}`})`
}

/** The receiver of an alert answers with an error, and then takes it. */
async function deliverAlerts(): Promise<void> {
  const due = await project.sql<{ id: string }[]>`select id from provisioning.claim_alert_deliveries(100)`
  expect(due.length).toBeGreaterThan(0)
  for (const { id } of due) {
    await project.sql`select provisioning.finish_alert_delivery(${id}, ${text()})`
  }
}

const remove = {
  'a deletion': () => project.auth`delete from users where id = ${person.user.id}`,
  // As GoTrue writes it.
  'a soft deletion': () => project.auth`
    update users set deleted_at = now(), email = md5(email), raw_user_meta_data = '{}' where id = ${person.user.id}`,
}

describe.each(Object.entries(remove))('after %s of a user', (_, removeUser) => {
  it('no name and no address of theirs is left in any column, nor that of their organization', async () => {
    await leaveTraces()
    expect(await leftovers()).toEqual(
      expect.arrayContaining(['public.organizations.name', 'public.profiles.email']),
    )
    const counted = () => project.sql`
      select from provisioning.counted_calls where subject = provisioning.address_hash(${email})`
    expect(await counted()).toHaveLength(1)
    await removeUser()
    expect(await leftovers()).toEqual([])
    expect(await counted()).toHaveLength(0)
  })

  it('ids and acts are still there', async () => {
    await leaveTraces()
    await removeUser()
    const entries = await project.sql<{ action: string; actor_id: string | null; metadata: object }[]>`
      select action, actor_id, metadata from public.audit_logs
      where organization_id = ${person.organizationId} order by created_at`
    expect(entries.slice(0, 2)).toEqual([
      { action: 'organization.updated', actor_id: person.user.id, metadata: { changed: ['name'] } },
      { action: 'organization.updated', actor_id: null, metadata: { changed: ['billing_email', 'slug'] } },
    ])
    expect(entries.map(({ action }) => action)).toContain('organization.deleted')
    expect(
      (
        await project.sql<{ error_message: string }[]>`
          select error_message from public.provisioning_events
          where organization_id = ${person.organizationId} and event_type = 'step.failed'`
      ).map(({ error_message }) => error_message),
    ).toEqual(Array(2).fill('No such customer: [name] <[address]> of [name].'))
  })

  it('nothing is left of an organization that they had deleted before', async () => {
    await leaveTraces()
    await project.sql`delete from public.organizations where id = ${person.organizationId}`
    const found = only(
      await project.sql<
        { id: string }[]
      >`select organization_id as id from provisioning.find_tenant(${SLUG})`,
    )
    expect(found.id).toBe(person.organizationId)
    await removeUser()
    expect(await leftovers()).toEqual([])
  })

  it('an organization that goes to another owner keeps its name and gets the new owner’s billing address', async () => {
    await leaveTraces()
    const heir = await createTenant(project)
    await project.sql`insert into public.organization_members (organization_id, user_id, role)
      values (${person.organizationId}, ${heir.user.id}, 'owner')`
    await removeUser()
    expect(
      only(
        await project.sql`select name, billing_email, owner_id from public.organizations where id = ${person.organizationId}`,
      ),
    ).toEqual({ name: ORGANIZATION, billing_email: heir.user.email, owner_id: heir.user.id })
    expect(await leftovers(`${NAME}|quill\\.example|First Name Ltd`)).toEqual([])
    const changed = only(
      await project.sql<{ details: object }[]>`
        select provisioning.personal_details_of(a.id) as details from public.audit_logs a
        where organization_id = ${person.organizationId} and action = 'organization.updated'
          and metadata -> 'changed' = '["billing_email"]'`,
    )
    expect(changed.details, 'the address before is the one that went').toEqual({
      to: { billing_email: heir.user.email },
    })
  })

  it('a mere member’s name and address are in no text of the organization', async () => {
    const owner = await createTenant(project, { metadata: { organization_name: 'Stays' } })
    await project.sql`insert into public.organization_members (organization_id, user_id)
      values (${owner.organizationId}, ${person.user.id})`
    await project.sql`select provisioning.open_alert(${owner.organizationId}, 'tenant_health', 'critical', ${text()})`
    await removeUser()
    expect(await leftovers(`${NAME}|quill\\.example`)).toEqual([])
    expect(
      only(
        await project.sql`select message from public.tenant_alerts where organization_id = ${owner.organizationId}`,
      ),
    ).toEqual({ message: `No such customer: [name] <[address]> of ${ORGANIZATION}.` })
  })

  it('a legal hold comes first: the removal is refused until the hold is lifted', async () => {
    await leaveTraces()
    await project.sql`insert into provisioning.legal_holds (organization_id, reference)
      values (${person.organizationId}, '2026/114')`
    await expect(removeUser()).rejects.toMatchObject({
      code: 'TP451',
      message: `Organization ${person.organizationId} is under the legal hold 2026/114, and nothing of it may be deleted until that is lifted.`,
    })
    expect(await leftovers()).toContain('public.organizations.name')
    await project.sql`delete from provisioning.legal_holds`
    await removeUser()
    expect(await leftovers()).toEqual([])
  })
})

describe('a legal hold', () => {
  const asOperator = (userId: string, work: string) =>
    runAs(project.api, { role: 'authenticated', userId }, (tx) => tx.unsafe(work))
  const setHold = () => `select public.set_legal_hold('${person.organizationId}', '2026/7') as done`
  const liftHold = () => `select public.lift_legal_hold('${person.organizationId}') as done`

  it('is set and lifted by operators and the backend, nobody else, and audited', async () => {
    expect(await refusal(asOperator(person.user.id, setHold()))).toBe('TP403')
    expect(await refusal(asOperator(person.user.id, liftHold()))).toBe('TP403')
    const operator = await createTenant(project)
    await project.sql`select provisioning.grant_operator(${operator.user.id})`
    expect([...(await asOperator(operator.user.id, setHold()))]).toEqual([{ done: true }])
    expect([...(await asOperator(operator.user.id, setHold()))]).toEqual([{ done: false }])
    expect([...(await runAs(project.api, { role: 'service_role' }, (tx) => tx.unsafe(liftHold())))]).toEqual([
      { done: true },
    ])
    expect([
      ...(await project.sql`select action, actor_type, actor_id, metadata from public.audit_logs
        where organization_id = ${person.organizationId} order by created_at`),
    ]).toEqual([
      {
        action: 'legal_hold.set',
        actor_type: 'user',
        actor_id: operator.user.id,
        metadata: { reference: '2026/7' },
      },
      {
        action: 'legal_hold.lifted',
        actor_type: 'service',
        actor_id: null,
        metadata: { reference: '2026/7' },
      },
    ])
  })

  it('keeps the organization itself from being deleted', async () => {
    await project.sql`insert into provisioning.legal_holds (organization_id, reference) values (${person.organizationId}, '1')`
    expect(
      await refusal(project.sql`delete from public.organizations where id = ${person.organizationId}`),
    ).toBe('TP451')
    expect(
      await refusal(
        project.sql`select provisioning.delete_organization(o.id, o.slug) from public.organizations o
          where o.id = ${person.organizationId}`,
      ),
    ).toBe('TP451')
    await project.sql`delete from provisioning.legal_holds`
  })

  it('can be put on what a deleted organization has left, and on nothing that never was', async () => {
    const backend = (work: string) => runAs(project.api, { role: 'service_role' }, (tx) => tx.unsafe(work))
    await project.sql`delete from public.organizations where id = ${person.organizationId}`
    expect([...(await backend(setHold()))]).toEqual([{ done: true }])
    await project.sql`delete from provisioning.legal_holds`
    expect(await refusal(backend(`select public.set_legal_hold(gen_random_uuid(), '2026/7')`))).toBe('TP404')
  })

  it('has the number of a case as its reference, and no name', async () => {
    expect(
      await refusal(
        project.sql`insert into provisioning.legal_holds values (${person.organizationId}, ${NAME})`,
      ),
    ).toBe('23514')
  })
})

describe('as long as the person is there, the audit log is read with names', () => {
  const trail = (userId: string) =>
    runAs(
      project.api,
      { role: 'authenticated', userId },
      (tx) => tx<{ details: object }[]>`select details from public.audit_trail(${person.organizationId})
        where action = 'organization.updated'`,
    )

  it('by owners and admins, and not by members or strangers', async () => {
    await project.sql`update public.organizations set name = ${ORGANIZATION}, plan = 'pro' where id = ${person.organizationId}`
    const stranger = await createTenant(project)
    const expected = [{ details: { from: { name: 'First Name Ltd' }, to: { name: ORGANIZATION } } }]
    expect([...(await trail(person.user.id))]).toEqual(expected)
    expect([...(await trail(stranger.user.id))]).toEqual([])
    const { id } = only(
      await project.sql<
        { id: string }[]
      >`select id from public.audit_logs where organization_id = ${person.organizationId}`,
    )
    const asked = await runAs(
      project.api,
      { role: 'authenticated', userId: stranger.user.id },
      (tx) => tx`select provisioning.audited_details(${id}) as details`,
    )
    expect([...asked]).toEqual([{ details: null }])
    const service = await runAs(
      project.api,
      { role: 'service_role' },
      (tx) => tx`select details, metadata from public.audit_trail(${person.organizationId})`,
    )
    expect([...service]).toEqual([
      { ...expected[0], metadata: { changed: ['name', 'plan'], plan: { from: 'free', to: 'pro' } } },
    ])
  })
})

describe('texts without names', () => {
  const without = async (value: string, ...names: string[]) =>
    only(
      await project.sql<
        { text: string }[]
      >`select provisioning.without_names(${value}::text, ${names}) as text`,
    ).text

  it('lose names where they are whole words, in any case, and every address', async () => {
    expect(await without('ann said: Annual, ANN; ann@x.example!', 'Ann')).toBe(
      '[name] said: Annual, [name]; [address]!',
    )
    expect(await without('by A+B (Ltd.) and C', 'A+B (Ltd.)', 'C')).toBe('by [name] and C')
    expect(await without('Ann Archer and Ann', 'Ann', 'Ann Archer')).toBe('[name] and [name]')
  })

  it('keep what a masked connection URI has left, and codes in JSON', async () => {
    expect(await without('postgres://ann:***@db.example.com/x')).toBe('postgres://ann:***@db.example.com/x')
    expect(
      only(
        await project.sql<{ value: object }[]>`select provisioning.without_names(
          '{"code": "ann", "message": "for ann", "list": [1, true, null, "ann"], "email": "a@b.example", "of": {}}'::jsonb,
          '{ann}') as value`,
      ).value,
    ).toEqual({ code: 'ann', message: 'for [name]', list: [1, true, null, '[name]'], email: null, of: {} })
  })
})
