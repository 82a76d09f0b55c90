import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOGINS, type Login } from '../../shared/tenant-database/roles.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { apiConnection, loginConnection } from '../support/tenant-logins.ts'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject()
})

afterAll(() => project?.stop())

async function readyTenant(): Promise<SignedUp> {
  const person = await project.signUp()
  await project.waitFor(person.organizationId)
  return person
}

async function retry({ organizationId }: SignedUp): Promise<void> {
  const reply = await project.request({ organizationId, services: ['neon'], wait: true })
  expect(reply.body).toMatchObject({ status: 'succeeded', error: null })
}

async function passwordsOf({ organizationId }: SignedUp): Promise<Readonly<Record<string, string>>> {
  const rows = await project.sql<{ login: string; password: string }[]>`
    select split_part(name, '/', 3) as login, decrypted_secret as password from vault.decrypted_secrets
    where name like provisioning.login_secret(${organizationId}, '%')`
  return Object.fromEntries(rows.map(({ login, password }) => [login, password]))
}

async function expectOpen({ organizationId }: SignedUp): Promise<void> {
  for (const login of LOGINS) {
    const sql = await loginConnection(project, organizationId, login)
    expect(await sql`select 1 as open`.finally(() => sql.end({ timeout: 1 }))).toEqual([{ open: 1 }])
  }
}

/** As the role of the API, with the name of one of the tenant's roles for `ROLE`. */
async function meddle({ organizationId }: SignedUp, login: Login, statement: string): Promise<void> {
  const sql = await apiConnection(project, organizationId)
  const [row] = await sql<{ name: string }[]>`select current_database() as name`
  await sql
    .unsafe(statement.replaceAll('ROLE', `${row?.name}_${login}`))
    .finally(() => sql.end({ timeout: 1 }))
}

describe('the logins of a tenant’s database', () => {
  it('are in Vault, and people are shown the one that cannot change the schema', async () => {
    const person = await readyTenant()
    const passwords = await passwordsOf(person)
    expect(Object.keys(passwords).sort()).toEqual([...LOGINS].sort())
    await expectOpen(person)
    const { data } = await person.client.rpc('database_connection', {
      organization_id: person.organizationId,
      reveal_password: true,
    })
    expect(data).toMatchObject({
      role: `tenant_${person.organizationId.replaceAll('-', '')}_app_1`,
      password: passwords.app_1,
    })
  })

  it('keep their passwords when somebody asks again', async () => {
    const person = await readyTenant()
    const before = await passwordsOf(person)
    await retry(person)
    expect(await passwordsOf(person)).toEqual(before)
  })

  it.each<[string, (person: SignedUp) => Promise<unknown>]>([
    ['whose password its holder has changed', changeOwnPassword],
    ['that may not log in any more', (person) => meddle(person, 'app_1', 'alter role ROLE nologin')],
    ['that somebody has dropped', (person) => meddle(person, 'app_1', 'drop role ROLE')],
    ['whose password was deleted from Vault', (person) => forget(person, 'app_1')],
  ])('(one %s) get another password by a retry, and the others keep theirs', async (_what, trouble) => {
    const person = await readyTenant()
    const before = await passwordsOf(person)
    await trouble(person)
    await retry(person)
    const after = await passwordsOf(person)
    expect(after.app_1).not.toBe(before.app_1)
    expect({ ...after, app_1: '' }).toEqual({ ...before, app_1: '' })
    await expectOpen(person)
  })

  it('all get other passwords by a retry when Vault cannot decrypt theirs, as after a dump was restored elsewhere', async () => {
    const person = await readyTenant()
    const before = await passwordsOf(person)
    await project.superuser`update vault.secrets set secret = 'bm9uc2Vuc2U='
      where name like provisioning.login_secret(${person.organizationId}, '%')`
    const asked = { organization_id: person.organizationId, reveal_password: true }
    expect(await person.client.rpc('database_connection', asked)).toMatchObject({
      error: null,
      data: { password: null },
    })
    await retry(person)
    const after = await passwordsOf(person)
    for (const login of LOGINS) expect(after[login]).not.toBe(before[login])
    await expectOpen(person)
  })

  it('are made anew when a worker dies between making them and writing their passwords down', async () => {
    await project.sql`alter table public.organization_databases
      add constraint trouble check (role_name is null) not valid`
    const person = await project.signUp()
    await until('crash', () => project.log.some(({ text }) => text.includes('trouble')) || undefined)
    expect(await passwordsOf(person)).toEqual({})
    await project.sql`alter table public.organization_databases drop constraint trouble`
    await project.whileTimePasses(
      'ready tenant',
      async () => (await project.provisioning(person.organizationId)).overall === 'ready' || undefined,
    )
    await expectOpen(person)
  })
})

describe('a worker that has lost its job while it makes passwords', () => {
  it('leaves those valid that its successor knows', async () => {
    const person = await readyTenant()
    const { app_1: known = '' } = await passwordsOf(person)
    await forget(person, 'app_1')
    const holder = await apiConnection(project, person.organizationId)
    await holder.unsafe(`begin; do $$ begin
      execute format('alter role %I connection limit -1', current_database() || '_app_1');
    end $$`)
    const [{ pid: holderPid } = { pid: 0 }] = await holder<{ pid: number }[]>`select pg_backend_pid() as pid`
    const asked = project.request({ organizationId: person.organizationId, services: ['neon'], wait: true })
    const others = await apiConnection(project, person.organizationId)
    const sessions = () => others<{ waits: boolean }[]>`
      select wait_event_type is not distinct from 'Lock' as waits from pg_stat_activity
      where datname = current_database() and usename = current_user and pid not in (pg_backend_pid(), ${holderPid})`
    await until('a worker that waits for the role', async () => (await sessions()).find(({ waits }) => waits))
    await project.sql`update provisioning.job_leases set token = gen_random_uuid()`
    await holder`rollback`
    await until('the end of its session', async () => (await sessions()).length === 0 || undefined)
    await Promise.all([holder, others].map((sql) => sql.end({ timeout: 1 })))
    expect(await passwordsOf(person)).not.toHaveProperty('app_1')
    await project.sql`select vault.create_secret(${known}, provisioning.login_secret(${person.organizationId}, 'app_1'))`
    await expectOpen(person)
    await project.expireLeases()
    expect((await asked).body).toMatchObject({ status: 'succeeded' })
    await expectOpen(person)
  })
})

async function changeOwnPassword({ organizationId }: SignedUp): Promise<void> {
  const sql = await loginConnection(project, organizationId)
  await sql`alter role current_user password 'my own'`.finally(() => sql.end({ timeout: 1 }))
}

async function forget({ organizationId }: SignedUp, login: Login): Promise<void> {
  await project.sql`delete from vault.secrets where name = provisioning.login_secret(${organizationId}, ${login})`
}
