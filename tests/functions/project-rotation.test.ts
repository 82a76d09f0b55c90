import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connectSupabase } from '../../shared/services/supabase/client.ts'
import { supabaseEnvironment } from '../../shared/services/supabase/environment.ts'
import { placesApart } from './mortal-worker.ts'
import { ProjectTier } from './project-tier.ts'

let tier: ProjectTier

beforeAll(async () => {
  tier = await ProjectTier.open()
})

afterAll(() => tier?.[Symbol.asyncDispose]())

afterEach(() => {
  tier.emulator.faults.clear()
  tier.emulator.setLimits({ hasLegacyKeysOnly: 0 })
})

async function readyTenant(): Promise<{ id: string; ref: string; url: string }> {
  const id = await tier.tenant()
  expect(await tier.workToEnd(id)).toBe('succeeded')
  const resource = await tier.resource(id)
  return { id, ref: resource?.ref ?? '', url: resource?.url ?? '' }
}

const provider = () => connectSupabase(supabaseEnvironment.parse(tier.variables), tier.database)()

async function keysOf(ref: string) {
  const keys = await provider().apiKeys(ref)
  if (!keys.ok) throw new Error(keys.failure.message)
  return keys.value.filter(({ type }) => type === 'secret')
}

/** Whether the project itself takes it. */
async function works(url: string, key: string | undefined): Promise<boolean> {
  const reply = await fetch(`${url}/rest/v1/`, { headers: { apikey: key ?? '' } })
  return reply.ok
}

async function opens(url: string | undefined): Promise<boolean> {
  const sql = postgres(url ?? '', { max: 1, prepare: false, onnotice: () => undefined })
  try {
    await sql`select 1`
    return true
  } catch {
    return false
  } finally {
    await sql.end({ timeout: 1 })
  }
}

const withPassword = (url: string | undefined, password: string | undefined) => {
  const address = new URL(url ?? '')
  address.password = password ?? ''
  return address.href
}

async function rotated(
  id: string,
  request: Readonly<Record<string, boolean | number>> = {},
): Promise<string> {
  await tier.rotate(id, request)
  return tier.workToEnd(id)
}

/** Keys whose end has come are ended, as a sweep has it. */
async function endKeys(id: string): Promise<void> {
  await tier.sql`update provisioning.former_project_keys set look_at = now() - interval '1 second'
    where organization_id = ${id} and ends_at <= now()`
  await tier.sql`select provisioning.enqueue_key_ends(100)`
  await tier.workToEnd(id)
}

const formerKeys = (id: string) => tier.sql<{ endsInHours: number | null }[]>`
  select extract(epoch from ends_at - now())::float8 / 3600 as "endsInHours" from provisioning.former_project_keys
  where organization_id = ${id}`

describe('a rotation', () => {
  test('gives the database another password, which sessions outlast, and the project another key beside the present one', async () => {
    const { id, ref, url } = await readyTenant()
    const before = await tier.secrets(id)
    const session = postgres(before.databaseUrl ?? '', { max: 1, prepare: false })
    await session`select 1`
    expect(await rotated(id)).toBe('succeeded')
    const after = await tier.secrets(id)
    await session`select 1`
    await session.end()
    expect(after.databasePassword).toMatch(/^[A-Za-z2-9]{32}$/)
    expect(after.databasePassword).not.toBe(before.databasePassword)
    expect(after).not.toHaveProperty('nextDatabasePassword')
    expect(await opens(after.databaseUrl)).toBe(true)
    expect(await opens(after.pooledDatabaseUrl)).toBe(true)
    expect(await opens(before.databaseUrl)).toBe(false)
    expect(after.secretKey).toMatch(/^sb_secret_/)
    expect(after.secretKey).not.toBe(before.secretKey)
    expect(await works(url, after.secretKey)).toBe(true)
    expect(await works(url, before.secretKey)).toBe(true)
    expect(await keysOf(ref)).toHaveLength(2)
    const shown = await tier.everythingShown()
    for (const secret of Object.values({ ...before, ...after })) expect(shown).not.toContain(secret)
  })

  test('ends the former key when its time of grace is over, and not before', async () => {
    const { id, ref, url } = await readyTenant()
    const before = await tier.secrets(id)
    await rotated(id, { grace_hours: 5 })
    expect(await formerKeys(id)).toEqual([{ endsInHours: expect.closeTo(5, 1) }])
    await endKeys(id)
    expect(await works(url, before.secretKey)).toBe(true)
    await tier.sql`update provisioning.former_project_keys set ends_at = now() where organization_id = ${id}`
    await endKeys(id)
    expect(await works(url, before.secretKey)).toBe(false)
    expect(await works(url, (await tier.secrets(id)).secretKey)).toBe(true)
    expect(await keysOf(ref)).toHaveLength(1)
    expect(await formerKeys(id)).toEqual([])
  })

  test('is kept by a later provisioning, which goes on with the key that Vault has', async () => {
    const { id } = await readyTenant()
    await rotated(id)
    const { secretKey } = await tier.secrets(id)
    await tier.retry(id)
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect((await tier.secrets(id)).secretKey).toBe(secretKey)
  })

  test('never ends the key that Vault has, whatever the rows say', async () => {
    const { id, ref, url } = await readyTenant()
    const [key] = await keysOf(ref)
    await tier.sql`insert into provisioning.former_project_keys (organization_id, key_id, ends_at, look_at)
      values (${id}, ${key?.id ?? ''}, now(), now())`
    await endKeys(id)
    expect(await works(url, (await tier.secrets(id)).secretKey)).toBe(true)
  })

  test('leaves what people have made: their keys stay', async () => {
    const { id, ref } = await readyTenant()
    await provider().createSecretKey(ref, 'of_somebody', async () => undefined)
    await rotated(id, { grace_hours: 0 })
    await endKeys(id)
    const names = (await keysOf(ref)).map(({ name }) => name)
    expect(names).toEqual(['of_somebody', expect.stringMatching(/^rotated_/)])
  })

  test('that comes by itself leaves a paused project alone', async () => {
    const { id, ref } = await readyTenant()
    const before = await tier.secrets(id)
    tier.emulator.changeProject(ref, { status: 'INACTIVE' })
    const { calls } = tier.emulator.stats
    expect(await rotated(id, { scheduled: true })).toBe('succeeded')
    expect(await tier.secrets(id)).toEqual(before)
    expect(await tier.step(id, 'new_secret_key')).toMatchObject({ output: { left: 'asleep' } })
    for (const name of ['v1RestoreAProject', 'v1UpdateDatabasePassword', 'v1CreateProjectApiKey'])
      expect(tier.emulator.stats.calls[name]).toBe(calls[name])
  })

  test('is made by the sweep when passwords are older than the setting says', async () => {
    const { id } = await readyTenant()
    const { secretKey } = await tier.secrets(id)
    await tier.sql`update provisioning.settings set rotation_interval_days = 30`
    await tier.sql`update public.organization_databases set rotation_look_at = now(),
      password_changed_at = now() - interval '31 days' where organization_id = ${id}`
    await tier.sql`select provisioning.enqueue_rotations(100)`
    await tier.sql`update provisioning.settings set rotation_interval_days = default`
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect((await tier.secrets(id)).secretKey).not.toBe(secretKey)
  })
})

describe('a project with keys of the old kind alone', () => {
  test('says in words that they cannot be exchanged, after its password was', async () => {
    tier.emulator.setLimits({ hasLegacyKeysOnly: 1 })
    const { id } = await readyTenant()
    const before = await tier.secrets(id)
    expect(await rotated(id)).toBe('failed')
    expect(await tier.step(id, 'new_secret_key')).toMatchObject({
      error: { code: 'supabase_legacy_keys', message: expect.stringContaining('anon and service_role') },
    })
    const after = await tier.secrets(id)
    expect(after.secretKey).toBe(before.secretKey)
    expect(after.databasePassword).not.toBe(before.databasePassword)
  })

  test('keeps them without a word when the rotation comes by itself', async () => {
    tier.emulator.setLimits({ hasLegacyKeysOnly: 1 })
    const { id } = await readyTenant()
    expect(await rotated(id, { scheduled: true })).toBe('succeeded')
    expect(await tier.step(id, 'new_secret_key')).toMatchObject({ output: { left: 'legacy' } })
  })
})

describe('whatever happens', () => {
  test('to a worker, at any of its lines, a password and a key work, and no second key is left', async () => {
    const { id, ref, url } = await readyTenant()
    let place = 1
    let died = true
    for (; died; place += placesApart(3)) {
      await tier.rotate(id, { grace_hours: 0 })
      died = await tier.workUntilDeath(id, place)
      const { databasePassword, nextDatabasePassword, databaseUrl, secretKey } = await tier.secrets(id)
      const opened = await Promise.all(
        [databasePassword, nextDatabasePassword]
          .filter((password) => password !== undefined)
          .map((password) => opens(withPassword(databaseUrl, password))),
      )
      expect(opened, `place ${place}`).toContain(true)
      expect(await works(url, secretKey), `place ${place}`).toBe(true)
      expect(await tier.workToEnd(id), `place ${place}`).toBe('succeeded')
      await tier.sql`update provisioning.tenant_logins set ended_at = now() where organization_id = ${id} and ended_at is null`
      await endKeys(id)
      const keys = await keysOf(ref)
      expect(
        keys.map(({ api_key: key }) => key),
        `place ${place}`,
      ).toEqual([(await tier.secrets(id)).secretKey])
      expect(await opens((await tier.secrets(id)).databaseUrl), `place ${place}`).toBe(true)
    }
    expect(place).toBeGreaterThan(20)
  }, 300_000)

  test.each(['v1UpdateDatabasePassword', 'v1CreateProjectApiKey', 'v1DeleteProjectApiKey'])(
    'to the reply of %s, what was made is found',
    async (operation) => {
      const { id, ref, url } = await readyTenant()
      tier.emulator.faults.add({ match: { operation }, action: { type: 'act_then_reset' }, times: 1 })
      await rotated(id, { grace_hours: 0 })
      await endKeys(id)
      await tier.sql`select provisioning.enqueue(${id}, 'end_project_keys')`
      await tier.workToEnd(id)
      const { databaseUrl, secretKey } = await tier.secrets(id)
      expect(await opens(databaseUrl)).toBe(true)
      expect(await works(url, secretKey)).toBe(true)
      expect(await keysOf(ref)).toHaveLength(1)
    },
  )

  test('a key that the project does not take yet is not used', async () => {
    const { id } = await readyTenant()
    const { secretKey } = await tier.secrets(id)
    tier.emulator.faults.add({
      match: { path: '/projects/*/rest/v1/' },
      action: { type: 'status', status: 401 },
    })
    await tier.rotate(id)
    for (let round = 0; round < 3; round++) await tier.work([id])
    expect(await tier.step(id, 'new_secret_key')).toMatchObject({
      status: 'retrying',
      error: { code: 'supabase_new_key_refused' },
    })
    expect((await tier.secrets(id)).secretKey).toBe(secretKey)
    tier.emulator.faults.clear()
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect((await tier.secrets(id)).secretKey).not.toBe(secretKey)
  })

  test('in the midst of a change of the password, other steps get in with the one that is valid', async () => {
    const { id } = await readyTenant()
    const { databasePassword = '' } = await tier.secrets(id)
    await tier.sql`
      select provisioning.keep_secret(provisioning.project_secret(${id}), ${JSON.stringify({
        ...(await tier.secrets(id)),
        databasePassword: 'not valid any more',
        nextDatabasePassword: databasePassword,
      })}, 'a test''s')`
    await tier.sql`select provisioning.enqueue(${id}, 'renew_own_logins', '{}', null, 'request', 'project')`
    expect(await tier.workToEnd(id)).toBe('succeeded')
    expect(await rotated(id)).toBe('succeeded')
    expect(await opens((await tier.secrets(id)).databaseUrl)).toBe(true)
  })
})
