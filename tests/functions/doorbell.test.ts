import { createHmac } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDoorbellVerifier, doorbellSchema } from '../../shared/kernel/doorbell.ts'
import { queuedDoorbells } from '../database/doorbells.ts'
import { createTenant, only, openProject, type Project } from '../database/project.ts'

let project: Project

beforeAll(async () => {
  project = await openProject()
})

afterAll(() => project?.close())

const NAME = 'provisioning_doorbell_key'

async function key(): Promise<string> {
  const rows = await project.sql<{ key: string }[]>`select provisioning.vault_secret(${NAME}) as key`
  return only(rows).key
}

const setKey = (value: string) =>
  project.sql`select vault.update_secret(id, ${value}) from vault.secrets where name = ${NAME}`

function sign(secret: string, ringId = crypto.randomUUID(), expiresAt = Date.now() + 600_000) {
  const signature = createHmac('sha256', secret).update(`${ringId}.${expiresAt}`).digest('hex')
  return { ringId, expiresAt, signature }
}

describe('a doorbell', () => {
  it('that the database rings has the form and the signature that the function checks', async () => {
    await createTenant(project)
    const { body } = only(await queuedDoorbells(project.sql))
    const doorbell = doorbellSchema.parse(body)
    expect(await createDoorbellVerifier(project.sql)(doorbell)).toBe(true)
  })

  it('ends when the settings say', async () => {
    const isGenuine = createDoorbellVerifier(project.sql, () => now)
    const doorbell = sign(await key())
    let now = doorbell.expiresAt
    expect(await isGenuine(doorbell)).toBe(true)
    now += 1
    expect(await isGenuine(doorbell)).toBe(false)
  })

  it('is checked with the new key within half a minute after a change of the key', async () => {
    let now = Date.now()
    const isGenuine = createDoorbellVerifier(project.sql, () => now)
    const old = await key()
    const fresh = 'ab'.repeat(32)
    expect(await isGenuine(sign(old))).toBe(true)
    await setKey(fresh)
    expect(await isGenuine(sign(fresh))).toBe(false)
    now += 31_000
    expect(await isGenuine(sign(fresh))).toBe(true)
    expect(await isGenuine(sign(old))).toBe(false)
    await setKey(old)
  })

  it('that is forged does not cost a query each', async () => {
    const isGenuine = createDoorbellVerifier(project.sql)
    await isGenuine(sign('x'))
    const reads = await indexReads()
    for (let times = 0; times < 50; times++) expect(await isGenuine(sign('x'))).toBe(false)
    // Statistics of a session reach the others after a moment.
    await project.sql`select pg_stat_force_next_flush()`
    await sleep(50)
    expect((await indexReads()) - reads).toBeLessThan(5)
  })

  /** Rows of Vault that were looked at, however. */
  async function indexReads(): Promise<number> {
    await project.sql`select pg_stat_force_next_flush()`
    const rows = await project.superuser<{ reads: number }[]>`
      select (seq_scan + coalesce(idx_scan, 0))::int as reads from pg_stat_user_tables
      where schemaname = 'vault' and relname = 'secrets'`
    return only(rows).reads
  }

  it('is accepted again as soon as the database is, after its key could not be read', async () => {
    const good = sign(await key())
    const isGenuine = createDoorbellVerifier(project.sql)
    await project.superuser`alter view vault.decrypted_secrets rename to hidden_secrets`
    await expect(isGenuine(good)).rejects.toThrow()
    await project.superuser`alter view vault.hidden_secrets rename to decrypted_secrets`
    expect(await isGenuine(good)).toBe(true)
  })
})
