import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { signUp } from '../support/sign-up.ts'
import { createOnlyJob, Engine } from './engine.ts'
import { fingerprint } from './fingerprint.ts'
import { createTenant, only, openProject, type Project } from './project.ts'
import { BEGUN, NOTHING, ONE_OF_EACH, signUpsOf } from './sign-up-rows.ts'

let project: Project
let signUps: ReturnType<typeof signUpsOf>

beforeAll(async () => {
  project = await openProject()
  signUps = signUpsOf(project)
})

afterAll(async () => {
  await project.close()
})

describe('a sign-up', () => {
  it('makes a profile, an organization that the user owns and a wallet', async () => {
    const { id, email } = await signUp(project.auth, { metadata: { full_name: 'Ann Lee' } })
    expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
    const organization = only(await signUps.organizationsOf(id))
    expect(organization).toMatchObject({
      name: "Ann Lee's organization",
      plan: 'free',
      billing_email: email,
      data_region: 'us-east-1',
      hosting_region: 'us-east-1',
      stripe_customer_id: null,
      provisioned_at: null,
      provisioning_status: {
        stripe: 'pending',
        neon: 'pending',
        graphql: 'pending',
        overall: 'pending',
        changed_at: expect.any(String),
      },
    })
    expect(only(await project.sql`select * from public.profiles where id = ${id}`)).toMatchObject({
      email,
      full_name: 'Ann Lee',
      organization_id: organization.id,
    })
    expect(
      only(await project.sql`select * from public.organization_members where user_id = ${id}`),
    ).toMatchObject({ organization_id: organization.id, role: 'owner' })
    expect(only(await project.sql`select * from public.wallets where user_id = ${id}`)).toMatchObject({
      currency: 'usd',
      available_balance: '0',
      pending_balance: '0',
    })
  })

  it('writes the job, due now', async () => {
    const { user, jobId } = await createTenant(project)
    expect(
      only(
        await project.sql`
          select kind, tier, lane, status, attempts, requested_by, next_attempt_at <= now() as due
          from public.provisioning_jobs where id = ${jobId}`,
      ),
    ).toEqual({
      kind: 'provision',
      tier: 'database',
      lane: 'sign_up',
      status: 'queued',
      attempts: 0,
      requested_by: user.id,
      due: true,
    })
  })

  it('gets its five steps, its database row and its event when a worker begins, and only once', async () => {
    const tenant = await createOnlyJob(project, { metadata: { full_name: 'Ann Lee' } })
    const engine = new Engine(project.sql)
    const lease = only(await engine.claim())
    expect(await signUps.rowsOf(tenant.user.id)).toEqual(BEGUN)
    expect([
      ...(await project.sql`
        select step, service, depends_on, status, attempts from public.provisioning_steps
        where job_id = ${tenant.jobId} order by position`),
    ]).toEqual(
      [
        { step: 'stripe_customer', service: 'stripe', depends_on: [] },
        { step: 'neon_project', service: 'neon', depends_on: [] },
        { step: 'credentials', service: 'neon', depends_on: ['neon_project'] },
        { step: 'tenant_schema', service: 'neon', depends_on: ['credentials'] },
        { step: 'verify_connection', service: 'neon', depends_on: ['tenant_schema'] },
        { step: 'graphql_endpoint', service: 'graphql', depends_on: ['tenant_schema'] },
      ].map((step) => ({ ...step, status: 'pending', attempts: 0 })),
    )
    expect(
      only(
        await project.sql`select * from public.organization_databases where organization_id = ${tenant.organizationId}`,
      ),
    ).toMatchObject({ region: 'aws-us-east-1', size: 'small', status: 'pending', host: null })
    const { created_at } = only(
      await project.sql`select created_at from public.provisioning_jobs where id = ${tenant.jobId}`,
    )
    expect(
      only(
        await project.sql`select * from public.provisioning_events where organization_id = ${tenant.organizationId}`,
      ),
    ).toMatchObject({
      event_type: 'sign_up',
      job_id: tenant.jobId,
      resource_id: tenant.user.id,
      status: 'succeeded',
      metadata: {},
      started_at: created_at,
      completed_at: created_at,
    })
    await project.sql`select provisioning.prepare_job(${lease.jobId}, ${lease.token})`
    expect(await signUps.rowsOf(tenant.user.id)).toEqual(BEGUN)
    expect(await engine.run(lease)).toBe('succeeded')
  })

  it('is in the search index from then on', async () => {
    const tenant = await createOnlyJob(project)
    const indexed = async () =>
      only(await project.sql`select in_search_index as now from public.profiles where id = ${tenant.user.id}`)
        .now
    expect(await indexed()).toBe(false)
    await new Engine(project.sql).claim()
    expect(await indexed()).toBe(true)
  })

  it('that is rolled back leaves nothing', async () => {
    const before = await fingerprint(project.sql)
    await project.auth
      .begin(async (tx) => {
        await signUp(tx)
        throw new Error('rolled back')
      })
      .catch(() => undefined)
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('of several users in one statement makes a tenant for each', async () => {
    const ids = Array.from({ length: 5 }, () => crypto.randomUUID())
    await project.auth`
      insert into users (id, email, raw_user_meta_data, email_confirmed_at)
      select id, id || '@example.com', '{"organization_name": "Batch"}', now() from unnest(${ids}::uuid[]) id`
    for (const id of ids) expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
    await signUps.expectNoTrouble()
  })

  it('with a phone number and no e-mail address gets its tenant too', async () => {
    const { id } = await signUp(project.auth, { email: null })
    expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
    expect(only(await signUps.organizationsOf(id))).toMatchObject({
      name: 'Organization',
      billing_email: null,
    })
  })
})

describe('the regions', () => {
  const begin = (organizationId: string) => project.sql`
    select provisioning.begin_provisioning(id) from public.provisioning_jobs where organization_id = ${organizationId}`
  const eventMetadata = async (organizationId: string) =>
    only(
      await project.sql<{ metadata: Record<string, unknown> }[]>`
        select metadata from public.provisioning_events where organization_id = ${organizationId}`,
    ).metadata

  it.each([
    [{ data_region: 'eu-central-1' }, 'eu-central-1', 'eu-central-1'],
    [{ data_region: 'EU' }, 'eu-central-1', 'eu-central-1'],
    [{ data_region: ' uk ' }, 'eu-west-2', 'eu-west-2'],
    [{ data_region: 'aws-us-west-2' }, 'us-west-2', 'us-west-2'],
    [{ data_region: 'apac', hosting_region: 'us' }, 'ap-southeast-1', 'us-east-1'],
    [{ hosting_region: 'sa' }, 'us-east-1', 'sa-east-1'],
    [{ data_region: '' }, 'us-east-1', 'us-east-1'],
  ])('follow the metadata %j', async (metadata, dataRegion, hostingRegion) => {
    const organization = await signUps.signUpOrganization({ metadata })
    expect(organization).toMatchObject({ data_region: dataRegion, hosting_region: hostingRegion })
    await begin(organization.id)
    expect(await eventMetadata(organization.id)).toEqual({})
    expect(
      only(
        await project.sql`select region from public.organization_databases where organization_id = ${organization.id}`,
      ),
    ).toEqual({ region: `aws-${dataRegion}` })
  })

  it('that are unknown give the default, and the event says what was asked for', async () => {
    const organization = await signUps.signUpOrganization({
      metadata: { data_region: 'Moon', hosting_region: 'Mars' },
    })
    expect(organization).toMatchObject({ data_region: 'us-east-1', hosting_region: 'us-east-1' })
    await begin(organization.id)
    expect(await eventMetadata(organization.id)).toEqual({
      unknown_data_region: 'moon',
      unknown_hosting_region: 'mars',
    })
  })

  it.each([[['eu']], [{ eu: true }], [42], [null], ['x'.repeat(100_000)]])(
    'may be anything and fail nothing (%#)',
    async (region) => {
      const { id } = await signUp(project.auth, { metadata: { data_region: region, hosting_region: region } })
      expect(only(await signUps.organizationsOf(id)).data_region).toBe('us-east-1')
      await signUps.expectNoTrouble()
    },
  )

  it('default to what the settings say', async () => {
    await project.sql`update provisioning.settings set default_data_region = 'sa-east-1'`
    const organization = await signUps.signUpOrganization({})
    await project.sql`update provisioning.settings set default_data_region = 'us-east-1'`
    expect(organization).toMatchObject({ data_region: 'sa-east-1', hosting_region: 'sa-east-1' })
  })
})

describe('what sign-ups read in one row', () => {
  const defaults = async () => only(await project.sql`select * from provisioning.sign_up_defaults`)

  it('follows the settings, the tiers and the regions', async () => {
    const before = await defaults()
    const rollBack = new Error('rolled back')
    await project.sql
      .begin(async (tx) => {
        await tx`insert into provisioning.tiers (tier, label, services) values ('bare', 'Nearly nothing', '{stripe}')`
        await tx`insert into provisioning.regions (data_region, label, aliases, neon_region, hosting_region)
          values ('mars-1', 'Mars', '{red,eu}', 'aws-mars-1', 'mars-2')`
        await tx`update provisioning.settings set default_tier = 'bare', default_data_region = 'mars-1', default_currency = 'chf',
          default_plan = 'pro', mapping = '{}'`
        expect(only(await tx`select * from provisioning.sign_up_defaults`)).toMatchObject({
          plan: 'pro',
          currency: 'chf',
          tier: 'bare',
          kind: 'provision',
          initial_status: { overall: 'pending', stripe: 'not_requested' },
          data_region: 'mars-1',
          regions: {
            red: ['mars-1', 'mars-2'],
            'mars-1': ['mars-1', 'mars-2'],
            'aws-mars-1': ['mars-1', 'mars-2'],
            eu: ['eu-central-1', 'eu-central-1'],
          },
          mapping: {},
        })
        await tx`update provisioning.settings set default_data_region = 'us-east-1'`
        await tx`delete from provisioning.regions where data_region = 'mars-1'`
        await tx`update provisioning.regions set aliases = '{}' where data_region = 'eu-central-1'`
        const { regions } = only(await tx`select regions from provisioning.sign_up_defaults`)
        expect(regions).not.toHaveProperty('eu')
        throw rollBack
      })
      .catch((error: unknown) => {
        if (error !== rollBack) throw error
      })
    expect(await defaults()).toEqual(before)
  })

  it('sees both of two changes at once', async () => {
    const change = await project.sql.reserve()
    try {
      await change`begin`
      await change`update provisioning.settings set default_currency = 'chf'`
      const other = project.sql`update provisioning.regions set aliases = array_append(aliases, 'old-europe') where data_region = 'eu-central-1'`
      other.execute()
      await expect
        .poll(async () => (await project.superuser`select from pg_locks where not granted`).count)
        .toBeGreaterThan(0)
      await change`commit`
      await other
      const { currency, regions } = await defaults()
      expect([currency, regions['old-europe']]).toEqual(['chf', ['eu-central-1', 'eu-central-1']])
    } finally {
      await change`rollback`
      change.release()
      await project.sql`update provisioning.settings set default_currency = default`
      await project.sql`update provisioning.regions set aliases = array_remove(aliases, 'old-europe')`
    }
  })

  it('goes into tables whose triggers have no condition', async () => {
    // Its text would be copied for each row that a sign-up inserts.
    expect([
      ...(await project.sql`
        select t.tgrelid::regclass::text as on, t.tgname from pg_trigger t
        where t.tgqual is not null and t.tgrelid in ('public.organizations'::regclass, 'public.organization_members'::regclass,
          'public.profiles'::regclass, 'public.wallets'::regclass, 'public.provisioning_jobs'::regclass)`),
    ]).toEqual([])
  })
})

describe('who is provisioned when', () => {
  it('an anonymous user gets nothing until they stop being anonymous', async () => {
    const { id } = await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false })
    expect(await signUps.rowsOf(id)).toEqual(NOTHING)
    await project.auth`update users set raw_user_meta_data = '{"theme": "dark"}' where id = ${id}`
    expect(await signUps.rowsOf(id)).toEqual(NOTHING)
    await project.auth`update users set is_anonymous = false, email = ${`${id}@example.com`} where id = ${id}`
    expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
    expect(only(await signUps.organizationsOf(id)).billing_email).toBe(`${id}@example.com`)
  })

  it.each([
    ['with the metadata', { full_name: 'Ann Lee' }, "Ann Lee's organization"],
    ['without any', {}, undefined],
  ])(
    'a converted user is named as any sign-up is, though Auth writes the address last: %s',
    async (_, metadata, name) => {
      const { id } = await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false })
      const email = `ann.${id}@example.com`
      await project.auth.begin(async (sql) => {
        await sql`update users set raw_user_meta_data = ${JSON.stringify(metadata)}::text::jsonb where id = ${id}`
        await sql`update users set is_anonymous = false where id = ${id}`
        await sql`update users set email = ${email} where id = ${id}`
        await sql`update users set email_confirmed_at = now() where id = ${id}`
      })
      expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
      const organization = only(await signUps.organizationsOf(id))
      expect(organization).toMatchObject({ name: name ?? `ann.${id}`, billing_email: email })
      expect(organization.slug).toMatch(name ? /^ann-lees-organization/ : /^ann-/)
      expect(await project.sql`select from provisioning.converted_users`).toHaveLength(0)
    },
  )

  it('a converted user without an address has a tenant too, and trouble with it does not fail the conversion', async () => {
    const [one, other] = [
      await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false }),
      await signUp(project.auth, { anonymous: true, email: null, emailConfirmed: false }),
    ]
    await project.auth`update users set is_anonymous = false where id = ${one.id}`
    expect(await signUps.rowsOf(one.id)).toEqual(ONE_OF_EACH)
    await project.sql`alter table public.wallets add constraint trouble check (user_id <> ${project.sql.unsafe(`'${other.id}'`)})`
    try {
      await project.auth`update users set is_anonymous = false where id = ${other.id}`
    } finally {
      await project.sql`alter table public.wallets drop constraint trouble`
    }
    expect(await signUps.rowsOf(other.id)).toEqual(NOTHING)
    await project.sql`select provisioning.repair_sign_ups(10)`
    expect(await signUps.rowsOf(other.id)).toEqual(ONE_OF_EACH)
    await signUps.expectNoTrouble()
  })

  it("waits for the confirmation when settings.provision_on is 'email_confirmed'", async () => {
    await project.sql`update provisioning.settings set provision_on = 'email_confirmed'`
    try {
      const { id } = await signUp(project.auth, { emailConfirmed: false })
      await project.auth`update users set raw_user_meta_data = '{"name": "Cy"}' where id = ${id}`
      expect(await signUps.rowsOf(id)).toEqual(NOTHING)
      await project.auth`update users set email_confirmed_at = now() where id = ${id}`
      expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
      const { id: byPhone } = await signUp(project.auth, { email: null, emailConfirmed: false })
      expect(await signUps.rowsOf(byPhone)).toEqual(NOTHING)
      await project.auth`update users set phone_confirmed_at = now() where id = ${byPhone}`
      expect(await signUps.rowsOf(byPhone)).toEqual(ONE_OF_EACH)
    } finally {
      await project.sql`update provisioning.settings set provision_on = 'sign_up'`
    }
  })

  it('does not wait for it otherwise', async () => {
    const { id } = await signUp(project.auth, { emailConfirmed: false })
    expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
  })
})

describe('a change of the user', () => {
  const profileOf = async (id: string) =>
    only(await project.sql`select * from public.profiles where id = ${id}`)

  it('of the e-mail address reaches the profile and the billing address', async () => {
    const { id } = await signUp(project.auth)
    const email = `new.${id}@example.com`
    await project.auth`update users set email = ${email} where id = ${id}`
    expect(await profileOf(id)).toMatchObject({ email })
    expect(only(await signUps.organizationsOf(id)).billing_email).toBe(email)
  })

  it('of the e-mail address leaves a billing address alone that somebody chose', async () => {
    const { id } = await signUp(project.auth)
    await project.sql`update public.organizations set billing_email = 'books@example.com' where owner_id = ${id}`
    await project.auth`update users set email = ${`new.${id}@example.com`} where id = ${id}`
    expect(only(await signUps.organizationsOf(id)).billing_email).toBe('books@example.com')
  })

  it('of the metadata reaches the profile, and what it does not mention stays', async () => {
    const { id } = await signUp(project.auth, { metadata: { full_name: 'Old', avatar_url: 'https://a/1' } })
    await project.auth`update users set raw_user_meta_data = '{"name": "New"}' where id = ${id}`
    expect(await profileOf(id)).toMatchObject({ full_name: 'New', avatar_url: 'https://a/1' })
  })

  it.each([
    ['', null],
    ['  ', null],
    [' ann@example.com ', 'ann@example.com'],
  ])('and a sign-up with the address %j have the billing address %j', async (email, stored) => {
    const { id } = await signUp(project.auth, { email })
    expect(only(await signUps.organizationsOf(id)).billing_email).toBe(stored)
    expect((await profileOf(id)).email).toBe(stored)
    await project.auth`update users set email = ${`${id}@example.com`} where id = ${id}`
    await project.auth`update users set email = ${email} where id = ${id}`
    expect(only(await signUps.organizationsOf(id)).billing_email).toBe(stored)
    expect((await profileOf(id)).email).toBe(stored)
    await project.auth`delete from users where id = ${id}`
  })

  it.each([
    [{ avatar_url: '', picture: 'https://a/1' }, 'https://a/1'],
    [{ avatar_url: ['https://a/2'], picture: 'https://a/1' }, 'https://a/1'],
    [{ avatar_url: 'data:image/png;base64,AA', picture: 'https://a/1' }, 'https://a/1'],
    [{ avatar_url: 'https://a/1', picture: 'https://a/2' }, 'https://a/1'],
    [{ avatar_url: 7 }, null],
  ])('of the picture, and a sign-up, take the first that is one: %j', async (metadata, url) => {
    const { id } = await signUp(project.auth, { metadata })
    expect((await profileOf(id)).avatar_url).toBe(url)
    const { id: later } = await signUp(project.auth)
    await project.auth`update users set raw_user_meta_data = ${JSON.stringify(metadata)}::text::jsonb where id = ${later}`
    expect((await profileOf(later)).avatar_url).toBe(url)
  })

  it('that is only a sign-in touches nothing of ours', async () => {
    const { id } = await signUp(project.auth)
    const before = await fingerprint(project.sql)
    await project.auth`update users set last_sign_in_at = now(), updated_at = now() where id = ${id}`
    const { 'auth.users': usersAfter, ...after } = await fingerprint(project.sql)
    const { 'auth.users': usersBefore, ...ours } = before
    expect(after).toEqual(ours)
    expect(usersAfter).not.toBe(usersBefore)
  })
})

describe('ensure_user_provisioned', () => {
  const ensure = (id: string) =>
    project.sql<{ id: string | null }[]>`select provisioning.ensure_user_provisioned(${id}) as id`

  it('creates nothing twice', async () => {
    const { user, organizationId } = await createTenant(project)
    const before = await fingerprint(project.sql)
    expect(only(await ensure(user.id)).id).toBe(organizationId)
    expect(await fingerprint(project.sql)).toEqual(before)
  })

  it('creates nothing twice when eight callers run at once for a user who has nothing yet', async () => {
    const { id } = await signUp(project.auth, { anonymous: true })
    await project.superuser.begin(async (tx) => {
      await tx`set local session_replication_role = replica`
      await tx`update auth.users set is_anonymous = false where id = ${id}`
    })
    expect(await signUps.rowsOf(id)).toEqual(NOTHING)
    const results = await Promise.all(Array.from({ length: 8 }, () => ensure(id)))
    expect(new Set(results.map((rows) => only(rows).id)).size).toBe(1)
    expect(await signUps.rowsOf(id)).toEqual(ONE_OF_EACH)
  })

  it.each(['wallets', 'profiles', 'organization_members', 'provisioning_jobs'])(
    'brings back what is missing in %s, and only that',
    async (table) => {
      const { user, organizationId } = await createTenant(project)
      const key =
        table === 'profiles' ? 'id' : ['wallets', 'organization_members'].includes(table) ? 'user_id' : ''
      await project.sql`delete from ${project.sql(table)} where ${
        key ? project.sql`${project.sql(key)} = ${user.id}` : project.sql`organization_id = ${organizationId}`
      }`
      expect(only(await ensure(user.id)).id).toBe(organizationId)
      expect(await signUps.rowsOf(user.id)).toEqual(ONE_OF_EACH)
    },
  )

  it('brings back a database row that a worker had made, and none before', async () => {
    const { user, organizationId } = await createOnlyJob(project)
    await ensure(user.id)
    expect(await signUps.rowsOf(user.id)).toEqual(ONE_OF_EACH)
    await new Engine(project.sql).claim()
    await project.sql`delete from public.organization_databases where organization_id = ${organizationId}`
    await ensure(user.id)
    expect(await signUps.rowsOf(user.id)).toEqual(BEGUN)
  })

  it('answers null for a user who does not exist', async () => {
    expect(only(await ensure(crypto.randomUUID())).id).toBeNull()
  })
})
