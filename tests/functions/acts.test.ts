import { importJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { ask, bearer } from './graphql-client.ts'

let project: TestProject
let person: SignedUp

beforeAll(async () => {
  project = await startTestProject({ settings: { organization_acts_per_minute: 2 } })
  person = await project.signUp()
  await project.waitFor(person.organizationId)
})

afterAll(() => project?.stop())

const request = (more: object = {}) =>
  project.call({
    headers: bearer(person.accessToken),
    body: { organizationId: person.organizationId, ...more },
  })

it('an owner who asks too often is told by HTTP and GraphQL when to come again, and nothing is done', async () => {
  await project.sql`delete from provisioning.counted_calls`
  expect((await request()).status).toBe(202)
  expect((await request()).status).toBe(202)
  const calls = { ...project.neonEmulator.stats.calls }
  for (const more of [{ services: ['neon'] }, { cancel: true }, { wait: true }]) {
    const refused = await request(more)
    expect(refused).toMatchObject({ status: 429, body: { code: 'too_many_attempts' } })
    const seconds = Number(refused.headers.get('retry-after'))
    expect(seconds).toBeGreaterThan(30)
    expect(refused.body?.detail).toContain(`Try again in ${seconds} s.`)
  }
  const mutations = [
    'retryTenantProvisioning(organizationId: $id, services: ["neon"]) { jobId }',
    'provisionTenant(organizationId: $id) { jobId }',
    'cancelProvisioning(organizationId: $id) { jobId }',
  ]
  for (const mutation of mutations) {
    const { errors } = await ask(project, bearer(person.accessToken), `mutation ($id: ID!) { ${mutation} }`, {
      id: person.organizationId,
    })
    expect(errors, mutation).toMatchObject([
      { extensions: { code: 'too_many_attempts', retryAfterSeconds: expect.any(Number) } },
    ])
  }
  expect(project.neonEmulator.stats.calls).toEqual(calls)
  expect((await project.request({ organizationId: person.organizationId })).status).toBe(202)
})

it('an owner who was refused is refused by the process itself until the time is over, and slowly; nobody else is', async () => {
  await project.sql`update provisioning.settings set organization_acts_per_minute = 1`
  const [looping, other] = [await project.signUp(), await project.signUp()]
  const ask = ({ accessToken, organizationId }: SignedUp) =>
    project.call({ headers: bearer(accessToken), body: { organizationId } })
  expect((await ask(looping)).status).toBe(202)
  expect((await ask(looping)).status).toBe(429)
  await project.sql`delete from provisioning.counted_calls`
  const startedAt = performance.now()
  const again = await ask(looping)
  expect(performance.now() - startedAt).toBeGreaterThan(990)
  expect(again).toMatchObject({ status: 429, body: { code: 'too_many_attempts' } })
  const seconds = Number(again.headers.get('retry-after'))
  expect(seconds).toBeLessThan(60)
  expect(again.body?.detail).toContain(`Try again in ${seconds} s.`)
  expect((await ask(other)).status).toBe(202)
  expect((await project.request({ organizationId: looping.organizationId })).status).toBe(202)
})

it('an owner who has changed the name too often today may still ask for everything else', async () => {
  await project.sql`update provisioning.settings
    set organization_acts_per_minute = 1000, organization_changes_per_day = 1`
  person = await project.signUp()
  const rename = (clientName: string) => request({ clientName })
  expect((await rename('One')).status).toBe(202)
  expect((await rename('Two')).status).toBe(429)
  await project.sql`delete from provisioning.counted_calls`
  expect((await rename('Three')).status, 'from memory').toBe(429)
  expect((await request()).status).toBe(202)
  await project.sql`update provisioning.settings set organization_changes_per_day = default`
})

it('an owner whose service was done again just now is refused that one from memory, and another one is done', async () => {
  await project.sql`update provisioning.settings set organization_acts_per_minute = 1000, user_acts_per_minute = 1000`
  person = await project.signUp()
  await project.waitFor(person.organizationId)
  const redo = (service: string) => request({ services: [service], wait: true })
  expect((await redo('neon')).status).toBe(200)
  expect(await redo('neon')).toMatchObject({ status: 429, body: { code: 'service_just_redone' } })
  await project.sql`delete from provisioning.counted_calls`
  expect(await redo('neon')).toMatchObject({ status: 429, body: { code: 'service_just_redone' } })
  expect((await redo('stripe')).status).toBe(200)
})

it('an owner who asks for a size that the plan does not have is told which it has', async () => {
  person = await project.signUp()
  expect(await request({ databaseSize: 'large' })).toMatchObject({
    status: 403,
    body: { code: 'size_not_in_plan', detail: expect.stringContaining('It has: small.') },
  })
})

/** Of another gateway, which is the issuer of its tokens. */
const tokenOf = async ({ userId }: SignedUp, gatewayUrl: string) =>
  new SignJWT({ sub: userId, role: 'authenticated', aud: 'authenticated' })
    .setProtectedHeader({ alg: 'ES256', kid: project.keys.signingKey.kid ?? '' })
    .setIssuer(`${gatewayUrl}/auth/v1`)
    .setExpirationTime('5m')
    .sign(await importJWK(project.keys.signingKey, 'ES256'))

it('so many may wait for an outcome at once: one more is refused before anything is done, and a client that goes makes room', async () => {
  await project.sql`update provisioning.settings set organization_acts_per_minute = 1000, user_acts_per_minute = 1000`
  await project.sql`select provisioning.pause('everything', '', 'for the test of those who wait')`
  person = await project.signUp()
  const gateway = await project.startSecondGateway({ WAITING_PER_USER: '1' })
  const token = await tokenOf(person, gateway.url)
  const stop = new AbortController()
  const wait = (signal: AbortSignal) =>
    fetch(`${gateway.url}/functions/v1/provision-tenant-resources`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...bearer(token) },
      body: JSON.stringify({ organizationId: person.organizationId, wait: true }),
      signal,
    })
  const requested = async () => {
    const [row] = await project.sql<{ count: number }[]>`
      select count(*)::int as count from public.audit_logs
      where organization_id = ${person.organizationId} and action = 'provisioning.requested'`
    return row?.count ?? 0
  }
  try {
    const before = await requested()
    const both = [wait(stop.signal), wait(stop.signal)]
    for (const each of both) each.catch(() => undefined)
    const refused = await Promise.race(both)
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('5')
    expect(await refused.json()).toMatchObject({
      code: 'too_many_waiting',
      detail: expect.stringContaining('Ask without waiting, or try again in 5 s.'),
    })
    await until('act', async () => ((await requested()) > before ? true : undefined))
    expect(await requested()).toBe(before + 1)
    stop.abort()
    // Whoever has a place is not answered, because all work is paused.
    await until('place', async () => {
      const again = await wait(AbortSignal.timeout(1_000)).catch(() => undefined)
      await again?.body?.cancel()
      return again === undefined ? true : undefined
    })
  } finally {
    stop.abort()
    await project.sql`select provisioning.resume('everything', '')`
    await gateway.stop()
  }
})
