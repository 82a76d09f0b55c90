import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { SupabaseClient } from '@supabase/supabase-js'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { z } from 'zod'
import type { Database } from '../../shared/generated/database-types.ts'
import { latestSchemaVersion } from '../../shared/tenant-database/latest-schema-version.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { ownEnvironment, startCommand } from '../local/commands/command.ts'
import { AUTH_SERVER } from '../support/auth-servers.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'

let project: TestProject
let ada: SignedUp
let ben: SignedUp

beforeAll(async () => {
  project = await startTestProject({ cron: true })
  await logEveryStatement(project)
  ada = await project.signUp({
    full_name: 'Ada Lovelace',
    organization_name: 'Analytical Engines',
    data_region: 'eu',
  })
  ben = await project.signUp()
  await project.waitFor(ada.organizationId)
  await project.waitFor(ben.organizationId)
})

afterAll(() => project?.stop())

/** In sessions that begin from now on; the functions have none yet. */
async function logEveryStatement({ superuser }: TestProject): Promise<void> {
  const [row] = await superuser<{ name: string }[]>`select current_database() as name`
  await superuser.unsafe(`alter database ${row?.name} set log_statement = 'all'`)
}

const connectionSchema = z.object({
  host: z.string(),
  port: z.number(),
  database: z.string(),
  role: z.string(),
  password: z.string().nullable(),
})

async function connectionOf(
  client: SupabaseClient<Database>,
  organizationId: string,
  reveal: boolean,
): Promise<z.infer<typeof connectionSchema>> {
  const { data, error } = await client.rpc('database_connection', {
    organization_id: organizationId,
    reveal_password: reveal,
  })
  if (error) throw error
  return connectionSchema.parse(data)
}

async function revealedPassword({ client, organizationId }: SignedUp): Promise<string> {
  const { password } = await connectionOf(client, organizationId, true)
  if (!password) throw new Error('no password was revealed')
  return password
}

describe('a person who signs up', () => {
  it('owns an organization that is ready, with every step done at the first attempt', async () => {
    const { steps, status, services, error } = await project.provisioning(ada.organizationId)
    expect(status).toBe('succeeded')
    expect(error).toBeNull()
    expect(services).toMatchObject({ stripe: 'ready', neon: 'ready', graphql: 'ready', overall: 'ready' })
    expect(Object.keys(steps).sort()).toEqual([
      'credentials',
      'graphql_endpoint',
      'neon_project',
      'stripe_customer',
      'tenant_schema',
      'verify_connection',
    ])
    expect(Object.values(steps).map(({ attempts }) => attempts)).toEqual([1, 1, 1, 1, 1, 1])
  })

  it('reads the own profile, organization, membership, wallet, database and history through the Data API', async () => {
    const { client, userId, organizationId } = ada
    const profile = await client.from('profiles').select().single()
    expect(profile.data).toMatchObject({
      id: userId,
      email: ada.email,
      full_name: 'Ada Lovelace',
      organization_id: organizationId,
    })
    const organization = await client.from('organizations').select().single()
    expect(organization.data).toMatchObject({
      id: organizationId,
      name: 'Analytical Engines',
      slug: 'analytical-engines',
      owner_id: userId,
      plan: 'free',
      data_region: 'eu-central-1',
      provisioned_at: expect.any(String),
    })
    const membership = await client.from('organization_members').select().single()
    expect(membership.data).toMatchObject({
      organization_id: organizationId,
      user_id: userId,
      role: 'owner',
    })
    const wallet = await client.from('wallets').select().single()
    expect(wallet.data).toMatchObject({ user_id: userId, available_balance: 0, pending_balance: 0 })
    const database = await client.from('organization_databases').select().single()
    expect(database.data).toMatchObject({
      organization_id: organizationId,
      status: 'active',
      health_status: 'healthy',
      region: 'aws-eu-central-1',
      size: 'small',
      schema_version: latestSchemaVersion,
    })
    const events = await client.from('provisioning_events').select('event_type')
    const types = events.data?.map(({ event_type }) => event_type) ?? []
    expect(types.filter((type) => type === 'step.succeeded')).toHaveLength(6)
    expect(types).toEqual(expect.arrayContaining(['sign_up', 'job.succeeded']))
  })
})

describe('the examples', () => {
  /** As somebody runs it against this project. */
  const run = (script: string, argument: string, environment: Readonly<Record<string, string>>) =>
    startCommand(`examples/${script}.ts`, [argument], { ...ownEnvironment(), ...environment }).ended
  const backend = () => ({
    SUPABASE_URL: project.services.url,
    SUPABASE_SERVICE_ROLE_KEY: project.keys.secretKey,
  })

  it('(sign-up.ts, which the README shows) signs somebody up in a browser’s way and waits until the tenant is ready', async () => {
    const email = `${crypto.randomUUID()}@example.com`
    const { code, stdout, stderr } = await run('sign-up', email, {
      VITE_SUPABASE_URL: project.services.url,
      VITE_SUPABASE_ANON_KEY: project.keys.publishableKey,
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/\nready\n$/)
    const rows =
      await project.sql`select from public.profiles p join public.organizations o on o.id = p.organization_id
      where p.email = ${email} and o.provisioning_status ->> 'overall' = 'ready'`
    expect(rows).toHaveLength(1)
    const [readme, example] = await Promise.all(
      ['README.md', 'examples/sign-up.ts'].map((name) =>
        readFile(new URL(`../../${name}`, import.meta.url), 'utf8'),
      ),
    )
    const shown = /```ts\n([\s\S]+?)```/.exec(readme ?? '')?.[1]
    expect(example?.endsWith(`\n${shown}`)).toBe(true)
  })

  it('(verify-user.ts) verifies a user by GraphQL, in thirty lines', async () => {
    const { code, stdout, stderr } = await run('verify-user', ada.email, backend())
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(JSON.parse(stdout)).toMatchObject({
      tenant: { slug: 'analytical-engines', status: 'READY', provisioning: { percent: 100 } },
      tenantVerification: { verdict: { ready: true } },
    })
    const vite = {
      VITE_SUPABASE_URL: project.services.url,
      VITE_SUPABASE_ANON_KEY: project.keys.publishableKey,
    }
    const { SUPABASE_SERVICE_ROLE_KEY } = backend()
    const nobody = await run('verify-user', 'nobody@example.com', { ...vite, SUPABASE_SERVICE_ROLE_KEY })
    expect(nobody.code).toBe(3)
    expect(JSON.parse(nobody.stdout).tenant).toBeNull()
    const text = await readFile(new URL('../../examples/verify-user.ts', import.meta.url), 'utf8')
    expect(text.trimEnd().split('\n').length).toBeLessThanOrEqual(30)
  })

  it('(tenant-database.ts) writes into a tenant’s database as an application’s server', async () => {
    const { code, stdout, stderr } = await run('tenant-database', ada.organizationId, backend())
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toContain("last_name: 'Lovelace'")
    expect(stdout).not.toContain(await revealedPassword(ada))
  })

  it('(tenant-graphql.ts) writes and reads through the tenant’s endpoint with a key', async () => {
    const call = { organization_id: ada.organizationId, name: 'Example', scope: 'write' as const }
    const { data } = await ada.client.rpc('create_api_key', call)
    const { code, stdout, stderr } = await run('tenant-graphql', '', {
      TENANT_GRAPHQL_URL: `${project.services.url}/functions/v1/tenant-graphql`,
      TENANT_API_KEY: Object(data).key,
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^made [0-9a-f-]{36}\n[\s\S]*^Lovelace –$/m)
  })

  it('reveal no password where a browser could run them', async () => {
    const folder = new URL('../../examples/', import.meta.url)
    for (const name of await readdir(folder)) {
      const text = await readFile(new URL(name, folder), 'utf8')
      const isServer = text.includes('SUPABASE_SERVICE_ROLE_KEY')
      expect({ name, reveals: /reveal_?password/i.test(text) && !isServer }).toEqual({ name, reveals: false })
      if (isServer) expect(text).toMatch(/^.*\n?.*never in a browser/im)
    }
  })
})

describe('the tenant database', () => {
  it('opens with what database_connection reveals, and holds the tenant schema', async () => {
    const { host, port, database, role, password } = await connectionOf(ada.client, ada.organizationId, true)
    const tenant = postgres({
      host,
      port,
      database,
      username: role,
      password: password ?? '',
      max: 1,
      onnotice: () => undefined,
    })
    try {
      const tables = await tenant<{ name: string }[]>`
        select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind = 'r' order by 1`
      expect(tables).toHaveLength(21)
      const [contact] =
        await tenant`insert into contacts (last_name) values ('Babbage') returning organization_id as of`
      expect(contact).toEqual({ of: ada.organizationId })
      expect(await tenant`select o.name, u.email, u.role from organizations o, users u`).toEqual([
        { name: 'Analytical Engines', email: ada.email, role: 'owner' },
      ])
    } finally {
      await tenant.end({ timeout: 1 })
    }
  })

  it('gives the password only to who asks for it, and audits that', async () => {
    const revealed = async () =>
      (
        await project.sql`select actor_type, actor_id from public.audit_logs
          where organization_id = ${ben.organizationId} and action = 'credentials.revealed'`
      ).map((row) => ({ ...row }))
    expect(await connectionOf(ben.client, ben.organizationId, false)).toMatchObject({
      host: '127.0.0.1',
      password: null,
    })
    expect(await revealed()).toEqual([])
    await revealedPassword(ben)
    expect(await revealed()).toEqual([{ actor_type: 'user', actor_id: ben.userId }])
  })

  it('is refused to visitors, to other tenants and to mere members', async () => {
    const visitor = supabaseClient(project.services.url, project.keys.publishableKey)
    const anonymous = await visitor.rpc('database_connection', { organization_id: ada.organizationId })
    expect(anonymous.error?.code).toBe('42501')
    const stranger = await ben.client.rpc('database_connection', { organization_id: ada.organizationId })
    expect(stranger.error?.code).toBe('42501')
    await project.sql`insert into public.organization_members (organization_id, user_id, role)
      values (${ada.organizationId}, ${ben.userId}, 'member')`
    const member = await ben.client.rpc('database_connection', {
      organization_id: ada.organizationId,
      reveal_password: true,
    })
    await project.sql`delete from public.organization_members
      where organization_id = ${ada.organizationId} and user_id = ${ben.userId}`
    expect(member.error?.code).toBe('42501')
    expect(member.data).toBeNull()
  })

  it('does not open with the password of another tenant', async () => {
    const { host, port, database, role } = await connectionOf(ada.client, ada.organizationId, false)
    const tenant = postgres({
      host,
      port,
      database,
      username: role,
      password: await revealedPassword(ben),
      max: 1,
    })
    await expect(tenant`select 1`).rejects.toMatchObject({ code: '28P01' })
    await tenant.end({ timeout: 1 })
  })
})

describe('at the providers', () => {
  it('there is one Stripe customer, with the organization’s id and the owner’s address', async () => {
    const { customers } = await project.resources(ada.organizationId)
    expect(customers).toHaveLength(1)
    const [customer] = customers
    expect(customer).toMatchObject({
      email: ada.email,
      name: 'Analytical Engines',
      metadata: { organization_id: ada.organizationId },
    })
    const { data } = await ada.client.from('organizations').select('stripe_customer_id').single()
    expect(data?.stripe_customer_id).toBe(customer?.id)
  })

  it('there is one Neon project, with the limits of the size and the plan and in the region', async () => {
    const { projects } = await project.resources(ada.organizationId)
    expect(projects).toHaveLength(1)
    const id = projects[0]?.id ?? ''
    const [wanted] = await project.sql`
      select z.min_compute_units::float8 as min, z.max_compute_units::float8 as max, z.suspend_timeout_seconds as suspend,
        p.history_retention_seconds as history, p.quota_logical_size_bytes::float8 as size,
        p.quota_compute_time_seconds::float8 as compute
      from provisioning.plans p join provisioning.database_sizes z on z.size = p.default_size where p.plan = 'free'`
    const { data } = await project.neon.getProject(id)
    expect(data.project).toMatchObject({
      name: `org-${ada.organizationId}`,
      region_id: 'aws-eu-central-1',
      pg_version: 17,
      history_retention_seconds: wanted?.history,
      settings: { quota: { logical_size_bytes: wanted?.size, compute_time_seconds: wanted?.compute } },
    })
    const { endpoints } = (await project.neon.listProjectEndpoints(id)).data
    expect(endpoints).toMatchObject([
      {
        autoscaling_limit_min_cu: wanted?.min,
        autoscaling_limit_max_cu: wanted?.max,
        suspend_timeout_seconds: wanted?.suspend,
      },
    ])
  })
})

describe('the password of a tenant database', () => {
  it('is in Vault under the organization’s name', async () => {
    const [secret] = await project.sql`
      select decrypted_secret from vault.decrypted_secrets
      where name = ${`tenant_database_password/${ada.organizationId}/app_1`}`
    expect(secret?.decrypted_secret).toBe(await revealedPassword(ada))
  })

  it('is in no table of the project, as text or as bytes', async () => {
    const searched = await allTables(project)
    expect(searched).toEqual(
      expect.arrayContaining(['vault.secrets', 'net._http_response', 'public.provisioning_steps']),
    )
    const [known] = await project.sql`
      select neon_project_id as id from public.organization_databases where organization_id = ${ada.organizationId}`
    expect(await tablesWith(project, searched, known?.id)).toContain('public.organization_databases')
    expect(await tablesWith(project, searched, await revealedPassword(ada))).toEqual([])
  })

  it('is in no log, not even when Postgres logs every statement with its parameters', async () => {
    const password = await revealedPassword(ada)
    const written = await readFile(inject('postgresLog'), 'utf8')
    expect(written.includes('provisioning.store_credentials')).toBe(true)
    expect(written.includes(ada.jobId)).toBe(true)
    expect(written.includes(password)).toBe(false)
    expect(JSON.stringify(project.log)).not.toContain(password)
  })
})

async function allTables({ superuser }: TestProject): Promise<string[]> {
  const rows = await superuser<{ name: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not in ('pg_catalog', 'information_schema') order by 1`
  return rows.map(({ name }) => name)
}

/** The tables that hold a text in any column. */
async function tablesWith(
  { superuser }: TestProject,
  tables: readonly string[],
  text: string,
): Promise<string[]> {
  const hex = Buffer.from(text).toString('hex')
  return superuser.begin(async (tx) => {
    // What is searched for must not get into the log by the search.
    await tx`set local log_statement = 'none'`
    const found: string[] = []
    for (const name of tables) {
      const rows = await tx`
        select from ${tx.unsafe(name)} t where strpos(t::text, ${text}) > 0 or strpos(t::text, ${hex}) > 0 limit 1`
      if (rows.length > 0) found.push(name)
    }
    return found
  })
}

describe('many and unusual sign-ups', () => {
  it('all get ready when ten come at once', async () => {
    const people = await Promise.all(Array.from({ length: 10 }, () => project.signUp()))
    await Promise.all(people.map(({ organizationId }) => project.waitFor(organizationId)))
    const ids = new Set(people.map(({ organizationId }) => organizationId))
    expect(ids.size).toBe(10)
    for (const id of ids) {
      const { projects, customers } = await project.resources(id)
      expect([projects.length, customers.length]).toEqual([1, 1])
    }
  })

  it('wait for a confirmed address when the settings say so', async () => {
    await project.sql`update provisioning.settings set provision_on = 'email_confirmed'`
    const email = `${crypto.randomUUID()}@example.com`
    const password = 'correct horse battery staple'
    const { data } = await project.admin.auth.admin.createUser({ email, password, email_confirm: false })
    const id = data.user?.id ?? ''
    const organizations = () => project.sql`select id from public.organizations where owner_id = ${id}`
    expect(await organizations()).toHaveLength(0)
    await project.admin.auth.admin.updateUserById(id, { email_confirm: true })
    const [organization] = await organizations()
    await project.waitFor(organization?.id)
    await project.sql`update provisioning.settings set provision_on = 'sign_up'`
  })

  it('of anonymous visitors make a tenant when they become permanent users', async () => {
    const client = supabaseClient(project.services.url, project.keys.publishableKey)
    const { data } = await client.auth.signInAnonymously()
    const userId = data.user?.id ?? ''
    const [before] = await project.sql`select count(*)::int as n from public.profiles where id = ${userId}`
    expect(before?.n).toBe(0)
    const email = `${crypto.randomUUID()}@example.com`
    const { error } = await client.auth.updateUser({ email, password: 'correct horse battery staple' })
    expect(error).toBeNull()
    const { organizationId } = await project.describeUser(client)
    await project.waitFor(organizationId)
    const { customers } = await project.resources(organizationId)
    expect(customers.map((customer) => customer.email)).toEqual([email])
  })

  it('rang the function, which accepted every doorbell', async () => {
    const statuses = await until('answered doorbell', async () => {
      const rows = await project.sql<{ status: number | null }[]>`
        select distinct status_code as status from net._http_response`
      return rows.length > 0 ? rows : undefined
    })
    expect(statuses.map(({ status }) => status)).toEqual([202])
  })
})

/** Every way in which Auth makes and changes users. Where AUTH_SERVER names one, a real Auth server does. */
describe('somebody who', () => {
  const newEmail = () => `${crypto.randomUUID()}@example.com`
  const password = 'correct horse battery staple'
  const visitor = () => supabaseClient(project.services.url, project.keys.publishableKey)
  const admin = () => project.admin.auth.admin

  interface Rows {
    readonly email: string | null
    readonly name: string | null
    readonly billingEmail: string | null
    readonly job: string
  }

  /** Of the user's own tenant; undefined for somebody who has none. */
  async function rowsOf(userId: string): Promise<Rows | undefined> {
    const [row] = await project.sql<Rows[]>`
      select p.email, p.full_name as name, o.billing_email as "billingEmail", j.kind as job from public.profiles p
      join public.organization_members m on m.user_id = p.id and m.role = 'owner'
      join public.organizations o on o.id = m.organization_id and o.id = p.organization_id and o.owner_id = p.id
      join public.wallets w on w.user_id = p.id
      join public.provisioning_jobs j on j.organization_id = o.id where p.id = ${userId}`
    return row
  }

  async function mailTo(email: string) {
    const mail = (await project.services.gateway.mailbox.list()).find(({ to }) => to === email)
    if (!mail) throw new Error(`there is no mail to ${email}`)
    return mail
  }

  const wholeRows = (email: string, name: string | null) => ({
    email,
    name,
    billingEmail: email,
    job: 'provision',
  })

  it('has to confirm an address has a tenant once the link was opened', async () => {
    await project.sql`update provisioning.settings set provision_on = 'email_confirmed'`
    const email = newEmail()
    const options = { data: { full_name: 'Ann Archer' } }
    const { data } = await admin().generateLink({ type: 'signup', email, password, options })
    const id = data.user?.id ?? ''
    const before = await rowsOf(id)
    const opened = await fetch(data.properties?.action_link ?? '', { redirect: 'manual' })
    await project.sql`update provisioning.settings set provision_on = 'sign_up'`
    expect(before).toBeUndefined()
    expect(opened.headers.get('location')).toContain('#access_token=')
    expect(await rowsOf(id)).toEqual(wholeRows(email, 'Ann Archer'))
  })

  it.each([
    { provisionOn: 'sign_up', atOnce: true },
    { provisionOn: 'email_confirmed', atOnce: false },
  ])('is invited has a tenant with provision_on = $provisionOn', async ({ provisionOn, atOnce }) => {
    await project.sql`update provisioning.settings set provision_on = ${provisionOn}`
    const email = newEmail()
    const { data } = await admin().inviteUserByEmail(email, { data: { full_name: 'Ivy' } })
    const id = data.user?.id ?? ''
    const invited = await rowsOf(id)
    const { tokenHash: token_hash } = await mailTo(email)
    const accepted = await visitor().auth.verifyOtp({ token_hash, type: 'invite' })
    await project.sql`update provisioning.settings set provision_on = 'sign_up'`
    expect(accepted.error).toBeNull()
    expect(invited !== undefined).toBe(atOnce)
    expect(await rowsOf(id)).toEqual(wholeRows(email, 'Ivy'))
  })

  it('is invited as an expected colleague joins by their own answer, and has no tenant of their own', async () => {
    const boss = await project.signUp({ organization_name: 'Team' })
    const email = newEmail()
    const expected = await boss.client.rpc('expect_member', { email, organization_id: boss.organizationId })
    expect(expected.error).toBeNull()
    const { data } = await admin().inviteUserByEmail(email, { data: { full_name: 'Cora' } })
    const { tokenHash: token_hash } = await mailTo(email)
    const colleague = visitor()
    await colleague.auth.verifyOtp({ token_hash, type: 'invite' })
    const { data: waiting } = await colleague.rpc('my_expected_memberships')
    expect(waiting).toMatchObject([
      { organization_id: boss.organizationId, organization_name: 'Team', role: 'member' },
    ])
    expect((await colleague.from('organizations').select('id')).data).toEqual([])
    const joined = await colleague.rpc('accept_membership', { organization_id: boss.organizationId })
    expect(joined).toMatchObject({ error: null, data: boss.organizationId })
    expect((await colleague.from('organizations').select('id')).data).toEqual([{ id: boss.organizationId }])
    expect(await rowsOf(data.user?.id ?? '')).toBeUndefined()
  })

  it.each([{ provisionOn: 'sign_up' }, { provisionOn: 'email_confirmed' }])(
    'of whom the backend says "provision": false has a profile only with provision_on = $provisionOn',
    async ({ provisionOn }) => {
      // Auth writes the user first, the app metadata after it, and confirms the address then.
      await project.sql`update provisioning.settings set provision_on = ${provisionOn}`
      const { data } = await admin().createUser({
        email: newEmail(),
        email_confirm: true,
        app_metadata: { provision: false },
        user_metadata: { full_name: 'Sue', provision: true },
      })
      await project.sql`update provisioning.settings set provision_on = 'sign_up'`
      const id = data.user?.id ?? ''
      expect(data.user?.app_metadata).toEqual({ provider: 'email', providers: ['email'], provision: false })
      expect(await rowsOf(id)).toBeUndefined()
      const profiles =
        await project.sql`select full_name, organization_id from public.profiles where id = ${id}`
      expect([...profiles]).toEqual([{ full_name: 'Sue', organization_id: null }])
      expect([
        ...(await project.sql`select from public.provisioning_jobs where requested_by = ${id}`),
      ]).toEqual([])
      await admin().updateUserById(id, { app_metadata: { provision: null } })
      expect(await rowsOf(id)).toMatchObject({ name: 'Sue' })
      await admin().updateUserById(id, { app_metadata: { provision: false } })
      expect(await rowsOf(id)).toMatchObject({ name: 'Sue' })
    },
  )

  it('follows a magic link without ever having signed up has a tenant', async () => {
    const email = newEmail()
    await visitor().auth.signInWithOtp({ email })
    const { tokenHash: token_hash } = await mailTo(email)
    const { data } = await visitor().auth.verifyOtp({ token_hash, type: 'email' })
    expect(await rowsOf(data.user?.id ?? '')).toEqual(wholeRows(email, null))
  })

  it('was anonymous has a tenant with the name and the address', async () => {
    const client = visitor()
    const { data } = await client.auth.signInAnonymously()
    const id = data.user?.id ?? ''
    expect(await rowsOf(id)).toBeUndefined()
    const email = newEmail()
    expect(
      (await client.auth.updateUser({ email, password, data: { full_name: 'Noname' } })).error,
    ).toBeNull()
    expect(await rowsOf(id)).toEqual(wholeRows(email, 'Noname'))
  })

  it.each([
    ['Google', { name: 'Gus Guest', picture: 'https://example.com/g.png' }, 'Gus Guest'],
    ['GitHub', { full_name: 'Hub', user_name: 'hub', avatar_url: 'https://example.com/h.png' }, 'Hub'],
  ])('comes with what %s tells has it in the profile', async (_provider, user_metadata, name) => {
    const email = newEmail()
    const { data } = await admin().createUser({ email, email_confirm: true, user_metadata })
    expect(await rowsOf(data.user?.id ?? '')).toEqual(wholeRows(email, name))
    const [profile] =
      await project.sql`select avatar_url from public.profiles where id = ${data.user?.id ?? ''}`
    expect(profile?.avatar_url).toMatch(/^https:\/\/example\.com\/[gh]\.png$/)
  })

  it('changes name and address has both changed in the profile, and the address in the organization', async () => {
    const { client, userId } = await project.signUp({ full_name: 'Before' })
    const email = newEmail()
    expect((await client.auth.updateUser({ email, data: { full_name: 'After' } })).error).toBeNull()
    const { tokenHash: token_hash } = await mailTo(email)
    expect((await visitor().auth.verifyOtp({ token_hash, type: 'email_change' })).error).toBeNull()
    expect(await rowsOf(userId)).toEqual(wholeRows(email, 'After'))
  })

  it.each([{ soft: true }, { soft: false }])(
    'is deleted (softly: $soft) leaves a removal, and may come again',
    async ({ soft }) => {
      const { userId, email, organizationId } = await project.signUp()
      expect((await admin().deleteUser(userId, soft)).error).toBeNull()
      expect(await rowsOf(userId)).toBeUndefined()
      expect(await project.sql`select from public.profiles where id = ${userId}`).toHaveLength(0)
      expect(await project.sql`select from auth.users where id = ${userId}`).toHaveLength(soft ? 1 : 0)
      const left = await project.sql`select kind from public.provisioning_jobs
      where organization_id = ${organizationId} and kind = 'deprovision'`
      expect(left).toHaveLength(1)
      const again = await visitor().auth.signUp({ email, password })
      expect(again.error).toBeNull()
      expect(again.data.user?.id).not.toBe(userId)
      expect(await rowsOf(again.data.user?.id ?? '')).toEqual(wholeRows(email, null))
    },
  )
})

describe.each(AUTH_SERVER === undefined ? [] : [AUTH_SERVER])('with GitHub, through %s,', () => {
  let github: Server
  let own: TestProject
  /** What GitHub knows of the person who signs in. */
  let person: Readonly<Record<string, unknown>> = {}

  beforeAll(async () => {
    const answers: Readonly<Record<string, () => unknown>> = {
      '/login/oauth/access_token': () => ({ access_token: 'at-github', token_type: 'bearer' }),
      '/api/v3/user': () => person,
      '/api/v3/user/emails': () => [{ email: person.email, primary: true, verified: true }],
    }
    github = createServer((request, response) => {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(answers[request.url ?? '']?.() ?? {}))
    }).listen(0, '127.0.0.1')
    await once(github, 'listening')
    const address = github.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    const settings = {
      ENABLED: 'true',
      CLIENT_ID: 'app',
      SECRET: 'secret',
      URL: url,
      REDIRECT_URI: `${url}/unused`,
    }
    for (const [name, value] of Object.entries(settings))
      process.env[`GOTRUE_EXTERNAL_GITHUB_${name}`] = value
    own = await startTestProject()
  })
  afterAll(async () => {
    for (const name of Object.keys(process.env))
      if (name.startsWith('GOTRUE_EXTERNAL_GITHUB_')) delete process.env[name]
    github.close()
    await own?.stop()
  })

  /** Opens what a browser would, up to the site that it comes from. */
  async function signIn(who: Readonly<Record<string, unknown>>): Promise<string> {
    person = who
    const auth = `${own.services.url}/auth/v1`
    const sent = await fetch(`${auth}/authorize?provider=github`, { redirect: 'manual' })
    const state = new URL(sent.headers.get('location') ?? '').searchParams.get('state') ?? ''
    const back = await fetch(`${auth}/callback?${new URLSearchParams({ code: 'c', state })}`, {
      redirect: 'manual',
    })
    return back.headers.get('location') ?? ''
  }

  it('somebody signs up with the name and picture that GitHub tells, and signs in to the same tenant', async () => {
    const email = `${crypto.randomUUID()}@example.com`
    const who = { id: 7, login: 'octo', name: 'Octo Cat', email, avatar_url: 'https://example.com/o.png' }
    expect(await signIn(who)).toContain('#access_token=')
    const rows = () => own.sql`
      select p.full_name as name, p.avatar_url as picture, o.billing_email as billing, u.raw_app_meta_data ->> 'provider' as by
      from auth.users u join public.profiles p on p.id = u.id join public.organizations o on o.owner_id = u.id
      where u.email = ${email}`
    const expected = [{ name: 'Octo Cat', picture: who.avatar_url, billing: email, by: 'github' }]
    expect(await rows()).toEqual(expected)
    expect(await signIn(who)).toContain('#access_token=')
    expect(await rows()).toEqual(expected)
  })

  it('somebody without a name there has a tenant all the same', async () => {
    const email = `${crypto.randomUUID()}@example.com`
    expect(await signIn({ id: 8, login: 'nameless', email, avatar_url: null })).toContain('#access_token=')
    const rows = await own.sql`
      select o.id from public.organizations o join public.profiles p on p.organization_id = o.id where p.email = ${email}`
    expect(rows).toHaveLength(1)
  })
})
