import { afterAll, beforeAll, expect, it } from 'vitest'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
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

it('an owner who asks for a size that the plan does not have is told which it has', async () => {
  await project.sql`delete from provisioning.counted_calls`
  expect(await request({ databaseSize: 'large' })).toMatchObject({
    status: 403,
    body: { code: 'size_not_in_plan', detail: expect.stringContaining('It has: small.') },
  })
})
