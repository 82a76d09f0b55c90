import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fingerprint } from '../database/fingerprint.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject()
})

afterAll(() => project?.stop())

const newEmail = () => `${crypto.randomUUID()}@example.com`

/** Somebody whose rows were never made: the sign-up came while there was no trigger. */
async function userWithoutTenant(createdMinutesAgo = 0): Promise<{ id: string; email: string }> {
  const email = newEmail()
  await project.superuser`alter table auth.users disable trigger user`
  const { data, error } = await project.admin.auth.admin.createUser({ email, email_confirm: true })
  await project.superuser`update auth.users set created_at = now() - make_interval(mins => ${createdMinutesAgo}) where email = ${email}`
  await project.superuser`alter table auth.users enable trigger user`
  if (error) throw error
  return { id: data.user.id, email }
}

describe('a call by e-mail address', () => {
  it('makes the tenant of a new user who has no rows, with the metadata of the call, and waits for it', async () => {
    const { id, email } = await userWithoutTenant()
    const reply = await project.request({
      email: email.toUpperCase(),
      metadata: { organization_name: 'Named by the backend', data_region: 'eu' },
      wait: true,
    })
    expect(reply.status).toBe(200)
    const [organization] = await project.sql<Record<string, unknown>[]>`
      select o.*, d.neon_project_id from public.organizations o join public.organization_databases d on d.organization_id = o.id
      where o.owner_id = ${id}`
    expect(organization).toMatchObject({ name: 'Named by the backend', data_region: 'eu-central-1' })
    expect(reply.body).toMatchObject({
      status: 'succeeded',
      organizationId: organization?.id,
      resources: expect.arrayContaining([
        expect.objectContaining({
          kind: 'stripe_customer',
          state: 'active',
          externalId: organization?.stripe_customer_id,
        }),
        expect.objectContaining({
          kind: 'neon_project',
          state: 'active',
          externalId: organization?.neon_project_id,
        }),
      ]),
    })
  })

  it('waits for a worker that begins the job, and holds nothing meanwhile that the worker needs', async () => {
    const worker = await project.sql.reserve()
    const person = await project.whileHeld(async () => {
      const person = await project.signUp()
      await worker`begin`
      await worker`set local lock_timeout = '2s'`
      await worker`select from public.provisioning_jobs where id = ${person.jobId} for update`
      return person
    })
    const call = project.sql`select outcome from provisioning.provision_user(${person.email})`.execute()
    await until('a call that waits', async () => {
      const [row] = await project.superuser<{ count: number }[]>`
        select count(*)::int as count from pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0`
      return row?.count === 1 || undefined
    })
    await worker`select provisioning.begin_provisioning(${person.jobId})`
    await worker`commit`
    worker.release()
    expect(await call).toEqual([{ outcome: 'accepted' }])
    await project.sweep()
    await project.waitFor(person.organizationId)
  })

  it('for a user whose tenant is ready answers with that and makes nothing', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const neon = { ...project.neonEmulator.stats.calls }
    const reply = await project.request({
      email: person.email,
      metadata: { organization_name: 'Another' },
      wait: true,
    })
    expect(reply.body).toMatchObject({ status: 'succeeded', jobId: person.jobId })
    expect(project.neonEmulator.stats.calls).toEqual(neon)
  })

  it('is refused for an address that nobody has, without a trace', async () => {
    const before = await fingerprint(project.sql)
    const reply = await project.request({ email: newEmail() })
    expect([reply.status, reply.body?.code]).toEqual([404, 'user_not_found'])
    expect(omitCalls(await fingerprint(project.sql))).toEqual(omitCalls(before))
  })

  it('is refused for users older than settings allow, and allowed for those that are not', async () => {
    const old = await userWithoutTenant(11)
    expect((await project.request({ email: old.email })).body?.code).toBe('user_too_old')
    await project.sql`update provisioning.settings set user_calls_max_age_minutes = 20`
    expect((await project.request({ email: old.email })).status).toBe(202)
    await project.sql`update provisioning.settings set user_calls_max_age_minutes = 10`
  })

  it('is refused for users who have still to confirm their address', async () => {
    const email = newEmail()
    await project.sql`update provisioning.settings set provision_on = 'email_confirmed'`
    await project.admin.auth.admin.createUser({ email })
    await project.superuser`update auth.users set email_confirmed_at = null where email = ${email}`
    expect((await project.request({ email })).body?.code).toBe('user_not_eligible')
    await project.sql`update provisioning.settings set provision_on = 'sign_up'`
  })

  it('is for the backend alone', async () => {
    const person = await project.signUp()
    const reply = await project.call({
      headers: { authorization: `Bearer ${person.accessToken}` },
      body: { email: person.email },
    })
    expect([reply.status, reply.body?.code]).toEqual([403, 'forbidden'])
  })

  it.each<[string, object, string]>([
    ['both an organization and an address', { organizationId: crypto.randomUUID() }, 'organizationId'],
    ['services', { services: ['neon'] }, 'services'],
    ['a cancellation', { cancel: true }, 'cancel'],
    ['metadata that is no object', { metadata: 'x' }, 'metadata'],
    ['metadata that is large', { metadata: { name: 'x'.repeat(20_000) } }, 'metadata'],
  ])('is refused with %s', async (_, more, path) => {
    const reply = await project.request({ email: newEmail(), ...more })
    expect(reply.body).toMatchObject({ code: 'invalid_body', issues: [{ path }] })
  })
})

describe('the rate limit of calls by e-mail address', () => {
  it('allows five a minute for one address, says when the next may come, and lets other addresses pass', async () => {
    const email = newEmail()
    const codes = []
    for (let call = 0; call < 5; call++) codes.push((await project.request({ email })).body?.code)
    expect(codes).toEqual(Array(5).fill('user_not_found'))
    const sixth = await project.request({ email: ` ${email.toUpperCase()}`.trim() })
    expect([sixth.status, sixth.body?.code]).toEqual([429, 'too_many_attempts'])
    const seconds = Number(sixth.headers.get('retry-after'))
    expect(seconds).toBeGreaterThan(50)
    expect(seconds).toBeLessThanOrEqual(60)
    expect((await project.request({ email: newEmail() })).body?.code).toBe('user_not_found')
  })

  it('slides: a call is free again a minute after the first of five, and no sooner', async () => {
    const email = newEmail()
    const call = async () => (await project.request({ email })).body?.code
    const age = (seconds: number) =>
      project.sql`update provisioning.counted_calls set called_at = array(
        select t - make_interval(secs => ${seconds}) from unnest(called_at) t) where subject = provisioning.address_hash(${email})`
    await call()
    await age(30)
    for (let more = 0; more < 4; more++) await call()
    await age(25)
    expect(await call()).toBe('too_many_attempts')
    await age(6)
    expect(await call()).toBe('user_not_found')
    expect(await call()).toBe('too_many_attempts')
  })

  it('counts calls while an undo is at work too', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const person = await project.signUp()
    await project.waitFor(person.organizationId, 'failed')
    project.neonEmulator.faults.clear()
    await project.request({ organizationId: person.organizationId, cancel: true })
    const replies = []
    for (let call = 0; call < 6; call++) replies.push(await project.request({ email: person.email }))
    expect(replies.map(({ body }) => body?.code)).toEqual([
      ...Array(5).fill('undo_in_progress'),
      'too_many_attempts',
    ])
    expect(replies[0]?.headers.get('retry-after')).toBe('60')
  })

  it('holds when calls come at once', async () => {
    const email = newEmail()
    const replies = await Promise.all(Array.from({ length: 12 }, () => project.request({ email })))
    expect(replies.filter(({ body }) => body?.code === 'user_not_found')).toHaveLength(5)
  })
})

/** The count of calls is kept in any case. */
function omitCalls(state: Awaited<ReturnType<typeof fingerprint>>) {
  return Object.fromEntries(Object.entries(state).filter(([table]) => !table.includes('counted_calls')))
}
