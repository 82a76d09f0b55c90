import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let sql: postgres.Sql
let admin: postgres.Sql

const connect = (role?: string) => postgres(database.url(role), { max: 1, onnotice: () => undefined })

beforeAll(async () => {
  database = await createTestDatabase('platform')
  sql = connect()
  admin = connect('supabase_admin')
})

afterAll(async () => {
  await Promise.all([sql.end(), admin.end()])
  await database.drop()
})

async function createSecret(plaintext: string, name: string | null = null): Promise<string> {
  const [row] = await sql<{ id: string }[]>`select vault.create_secret(${plaintext}, ${name}) as id`
  if (!row) throw new Error('vault.create_secret returned no row')
  return row.id
}

async function decrypted(id: string): Promise<string | undefined> {
  const [row] = await sql<{ decrypted_secret: string }[]>`
    select decrypted_secret from vault.decrypted_secrets where id = ${id}`
  return row?.decrypted_secret
}

describe('supabase_vault', () => {
  it.each([
    ['empty', ''],
    ['short', 'short'],
    ['non-ASCII', 'ünïcode ✓'],
    ['long', 'long '.repeat(2000)],
  ])('gives back a secret that is %s', async (_, plaintext) => {
    expect(await decrypted(await createSecret(plaintext))).toBe(plaintext)
  })

  it('updates what is given and keeps what is null', async () => {
    const id = await createSecret('old', 'to be updated')
    await sql`select vault.update_secret(${id}, new_description => 'why')`
    expect(await decrypted(id)).toBe('old')
    await sql`select vault.update_secret(${id}, 'new')`
    const [row] =
      await sql`select name, description, decrypted_secret from vault.decrypted_secrets where id = ${id}`
    expect(row).toEqual({ name: 'to be updated', description: 'why', decrypted_secret: 'new' })
  })

  it('accepts a name once, and any number of secrets without one', async () => {
    await createSecret('one', 'taken')
    await expect(createSecret('two', 'taken')).rejects.toMatchObject({ code: '23505' })
    await createSecret('three')
    await createSecret('four')
  })

  it('writes no plaintext and no key to the tables on disk', async () => {
    const plaintext = `plaintext-${crypto.randomUUID()}`
    const id = await createSecret(plaintext)
    await sql`select vault.update_secret(${id}, ${`${plaintext}-again`})`
    await admin`checkpoint`
    const [{ directory, files } = { directory: '', files: [] }] = await admin<
      { directory: string; files: string[] }[]
    >`
      select current_setting('data_directory') as directory, array_agg(pg_relation_filepath(c.oid)) as files
      from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where n.nspname = 'vault' and c.relkind in ('r', 'i')`
    const key = (await readFile(path.join(directory, 'vault_root.key'))).subarray(25, 89)
    expect(key).toHaveLength(64)
    expect(files.length).toBeGreaterThan(0)
    for (const file of files) {
      const content = await readFile(path.join(directory, file))
      expect(content.includes(plaintext)).toBe(false)
      expect(content.includes(key)).toBe(false)
    }
  })

  it('puts neither a bound secret nor its name into the server log', async () => {
    const plaintext = `logged-${crypto.randomUUID()}`
    const id = await createSecret(plaintext, `${plaintext}-name`)
    await expect(createSecret(plaintext, `${plaintext}-name`)).rejects.toThrow('duplicate key')
    await decrypted(id)
    expect(await readFile(inject('postgresLog'), 'utf8')).not.toContain(`${plaintext}'`)
  })

  it.each([
    [
      'a changed ciphertext',
      `secret = 'A' || case when secret like 'A%' then 'B' else 'A' end || substr(secret, 3)`,
    ],
    ['a shortened ciphertext', `secret = ''`],
    ['another nonce', `nonce = extensions.gen_random_bytes(16)`],
  ])('refuses %s', async (_, change) => {
    const id = await createSecret('untouched')
    await admin.unsafe(`update vault.secrets set ${change} where id = '${id}'`)
    await expect(decrypted(id)).rejects.toMatchObject({ code: 'XX001' })
    // So does the real one, which reads the old value before it writes the new.
    await expect(sql`select vault.update_secret(${id}, 'new')`).rejects.toMatchObject({ code: 'XX001' })
    await sql`delete from vault.secrets where id = ${id}`
  })

  it("refuses a ciphertext that was copied from another secret's row", async () => {
    const from = await createSecret('more rights')
    const to = await createSecret('fewer rights')
    await admin`
      update vault.secrets t set secret = f.secret, nonce = f.nonce
      from vault.secrets f where t.id = ${to} and f.id = ${from}`
    await expect(decrypted(to)).rejects.toThrow('invalid ciphertext')
    await sql`delete from vault.secrets where id = ${to}`
  })

  it('shares its root key with every database of the server, and keeps it from other users of the machine', async () => {
    const id = await createSecret('copied')
    const [row] = await admin`select secret, nonce from vault.secrets where id = ${id}`
    await using other = await createTestDatabase('platform')
    const otherAdmin = postgres(other.url('supabase_admin'), { max: 1 })
    await otherAdmin`insert into vault.secrets (id, secret, nonce) values (${id}, ${row?.secret}, ${row?.nonce})`
    const [copy] = await otherAdmin`select decrypted_secret from vault.decrypted_secrets`
    await otherAdmin.end()
    expect(copy?.decrypted_secret).toBe('copied')
    const [setting] = await admin<
      { directory: string }[]
    >`select current_setting('data_directory') as directory`
    expect((await stat(setting?.directory ?? '')).mode & 0o007).toBe(0)
  })
})

describe('rights on supabase_vault', () => {
  const denied = { code: '42501' }

  it('lets postgres and service_role read and delete', async () => {
    for (const role of ['postgres', 'service_role']) {
      const id = await createSecret(`for ${role}`)
      const read = await sql.begin(async (tx) => {
        await tx`select set_config('role', ${role}, true)`
        const rows = await tx`select decrypted_secret from vault.decrypted_secrets where id = ${id}`
        const { count } = await tx`delete from vault.secrets where id = ${id}`
        return { secret: rows[0]?.decrypted_secret, count }
      })
      expect(read).toEqual({ secret: `for ${role}`, count: 1 })
    }
  })

  it('refuses direct writes by postgres, and reading the root key', async () => {
    const id = await createSecret('mine')
    await expect(sql`insert into vault.secrets (secret) values ('x')`).rejects.toMatchObject(denied)
    await expect(sql`update vault.secrets set secret = 'x' where id = ${id}`).rejects.toMatchObject(denied)
    await expect(sql`select vault._encrypt('x', ${id}, '\\x00')`).rejects.toMatchObject(denied)
    await expect(sql`select pg_read_binary_file('vault_root.key')`).rejects.toMatchObject(denied)
    expect(await decrypted(id)).toBe('mine')
  })

  it.each(['anon', 'authenticated'])('gives %s nothing', async (role) => {
    for (const statement of [
      'select * from vault.decrypted_secrets',
      'select * from vault.secrets',
      'delete from vault.secrets',
      `select vault.create_secret('x')`,
    ]) {
      const attempt = sql.begin(async (tx) => {
        await tx`select set_config('role', ${role}, true)`
        await tx.unsafe(statement)
      })
      await expect(attempt).rejects.toMatchObject(denied)
    }
  })
})
