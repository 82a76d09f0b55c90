import { readFile } from 'node:fs/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { readSeal } from '../../shared/kernel/seal.ts'
import { createOnlyJob, Engine, type Lease } from './engine.ts'
import { createTenant, only, openProject, type Project, refusal } from './project.ts'

const PASSWORD = `npg_${crypto.randomUUID()}_ü'"\\$`

let project: Project
let organizationId: string
let lease: Lease
/** Logs every statement, with its bound parameters. */
let logged: postgres.Sql
/** Logs nothing, so that looking for a secret does not put it into the log. */
let unlogged: postgres.Sql

beforeAll(async () => {
  project = await openProject()
  ;({ organizationId } = await createOnlyJob(project))
  lease = only(await new Engine(project.sql).claim())
  await project.superuser.unsafe(`alter database ${project.name} set log_statement = 'all'`)
  logged = postgres(project.url(), { max: 1, onnotice: () => undefined })
  unlogged = postgres(project.url('supabase_admin'), { max: 1, connection: { log_statement: 'none' } })
})

afterAll(async () => {
  await Promise.all([logged.end(), unlogged.end()])
  await project.close()
})

async function store(password: string): Promise<void> {
  const sealed = await (await readSeal(logged))(JSON.stringify({ app_1: password }))
  await logged`select provisioning.store_credentials(${lease.jobId}, ${lease.token}, 'app_1', ${sealed})`
}

const secretId = async () =>
  only(
    await project.sql<{ id: string | null }[]>`
      select credentials_secret_id as id from public.organization_databases where organization_id = ${organizationId}`,
  ).id

const decrypted = async () =>
  only(
    await project.sql<{ secret: string }[]>`
      select decrypted_secret as secret from vault.decrypted_secrets where id = ${await secretId()}`,
  ).secret

/** Tables outside vault and the catalogue in which a text shows up, as text or as bytes. */
async function tablesThatHold(text: string): Promise<string[]> {
  const tables = await unlogged<{ name: string }[]>`
    select format('%I.%I', relnamespace::regnamespace, relname) as name from pg_class
    where relkind in ('r', 'p', 'm')
      and relnamespace::regnamespace::text not in ('vault', 'pg_catalog', 'information_schema', 'pg_toast')`
  const found: string[] = []
  for (const { name } of tables) {
    const { count } = await unlogged`
      select from ${unlogged(name.replaceAll('"', ''))} t
      where position(${text} in t::text) > 0 or position(encode(convert_to(${text}, 'utf8'), 'hex') in t::text) > 0
      limit 1`
    if (count > 0) found.push(name)
  }
  return found
}

describe('the password of a tenant database', () => {
  it('travels sealed: a log of every statement does not show it', async () => {
    await store(PASSWORD)
    const log = await readFile(inject('postgresLog'), 'utf8')
    expect(log, 'statements and their parameters are logged').toContain(lease.token)
    expect(log).toContain('provisioning.store_credentials')
    expect(log).not.toContain(PASSWORD)
    expect(log).not.toContain(PASSWORD.slice(0, 20))
  })

  it('does not show up in the log when the statement fails, either', async () => {
    const sealed = await (await readSeal(logged))(JSON.stringify({ app_1: PASSWORD }))
    const stale = crypto.randomUUID()
    expect(
      await refusal(
        logged`select provisioning.store_credentials(${lease.jobId}, ${stale}, 'app_1', ${sealed})`,
      ),
    ).toBe('TP001')
    await createTenant(project)
    const other = only(await new Engine(project.sql).claim())
    await project.superuser`alter table public.organization_databases add constraint broken
      check (credentials_secret_id is null) not valid`
    expect(
      await refusal(
        logged`select provisioning.store_credentials(${other.jobId}, ${other.token}, 'app_1', ${sealed})`,
      ),
    ).toBe('23514')
    await project.superuser`alter table public.organization_databases drop constraint broken`
    const log = await readFile(inject('postgresLog'), 'utf8')
    expect(log).toContain('broken')
    expect(log).not.toContain(PASSWORD.slice(0, 20))
  })

  it('comes out of Vault as it went in, and lies in no table of ours', async () => {
    expect(await decrypted()).toBe(PASSWORD)
    expect(await tablesThatHold(PASSWORD)).toEqual([])
    expect(await tablesThatHold(organizationId), 'the search does find what is there').toContain(
      'public.organization_databases',
    )
  })

  it('is replaced when it is stored again, also when Vault cannot decrypt the old one', async () => {
    await store('first')
    const id = await secretId()
    await project.superuser`update vault.secrets set secret = 'bm9uc2Vuc2U=' where id = ${id}`
    await store('second')
    expect(await decrypted()).toBe('second')
    expect(
      await project.sql`select from vault.secrets where name = ${`tenant_database_password/${organizationId}/app_1`}`,
    ).toHaveLength(1)
  })

  it.each(['', 'ü', 'x'.repeat(15), 'x'.repeat(16), 'x'.repeat(17), '☃'.repeat(500)])(
    'may be any text (%#)',
    async (password) => {
      await store(password)
      expect(await decrypted()).toBe(password)
    },
  )

  it('is sealed differently each time', async () => {
    expect(await (await readSeal(project.sql))('same')).not.toBe(await (await readSeal(project.sql))('same'))
  })

  it('that was sealed under another key, or tampered with, is refused and replaces nothing', async () => {
    await store('kept')
    const sealed = Buffer.from(
      await (await readSeal(project.sql))(JSON.stringify({ app_1: 'x'.repeat(40) })),
      'base64',
    )
    const forged = sealed.subarray(0, sealed.length - 5).toString('base64')
    expect(
      await refusal(
        logged`select provisioning.store_credentials(${lease.jobId}, ${lease.token}, 'app_1', ${forged})`,
      ),
    ).toBeDefined()
    expect(await decrypted()).toBe('kept')
  })
})

describe('the keys of the project', () => {
  it('are different in each and readable by no API role through ours', async () => {
    const keys = await project.sql<{ name: string; key: string }[]>`
      select name, decrypted_secret as key from vault.decrypted_secrets where name like 'provisioning\\_%' order by 1`
    expect(keys.map(({ name }) => name)).toEqual(['provisioning_doorbell_key', 'provisioning_sealing_key'])
    expect(keys[0]?.key).not.toBe(keys[1]?.key)
    for (const { key } of keys) expect(await tablesThatHold(key)).toEqual([])
  })
})
