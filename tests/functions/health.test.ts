import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'

let project: TestProject
let person: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  person = await project.signUp()
  await project.waitFor(person.organizationId)
})

afterAll(() => project?.stop())

async function check(body: object, token?: string) {
  const reply = await fetch(`${project.services.url}/functions/v1/check-tenant-health`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(token ? { authorization: `Bearer ${token}` } : { apikey: project.keys.secretKey }),
    },
    body: JSON.stringify(body),
  })
  return { status: reply.status, body: await reply.json() }
}

describe('a check that is asked for', () => {
  it('measures a database that is awake', async () => {
    const { status, body } = await check({ organizationId: person.organizationId })
    console.log(JSON.stringify(body, null, 1))
    console.log(project.log)
    expect(status).toBe(200)
    expect(body).toMatchObject({ status: 'healthy', reasons: [] })
  })
  it('tick', async () => {
    await project.sql`update public.tenant_health set next_check_at = now()`
    const [{ rung } = { rung: 0 }] = await project.sql<{ rung: number }[]>`select provisioning.health_tick() as rung`
    expect(rung).toBe(1)
    await until('check', async () => {
      const rows = await project.sql`select * from public.tenant_health_checks`
      return rows.length > 1 || undefined
    })
    console.log(await project.sql`select * from public.tenant_health_checks`, await project.sql`select * from public.tenant_health`, project.log, project.neonEmulator.stats)
  })
})
