import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { operatorOf, tenants, tenantsJson } from '../cli/cli.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'

let project: TestProject
let person: SignedUp
let key: string
let slug: string

beforeAll(async () => {
  project = await startTestProject({
    settings: { project_look_seconds: 0.2, tenant_requests_per_minute: 1_000_000 },
  })
  person = await project.signUp()
  await project.waitFor(person.organizationId)
  const made = await person.client.rpc('create_api_key', {
    organization_id: person.organizationId,
    name: 'A key',
    scope: 'write',
  })
  key = Object(made.data).key
  const [row] = await project.sql<{ slug: string }[]>`
    select slug from public.organizations where id = ${person.organizationId}`
  slug = row?.slug ?? ''
})

afterAll(() => project?.stop())

/** Through the tenant's GraphQL endpoint, with its key. */
async function ask(query: string, variables: object = {}) {
  const reply = await fetch(`${project.services.url}/functions/v1/tenant-graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
    body: JSON.stringify({ query, variables }),
  })
  const { data, errors, code } = JSON.parse(await reply.text())
  return {
    status: reply.status,
    retryAfter: reply.headers.get('retry-after'),
    data,
    code: (errors?.[0]?.extensions?.code ?? code) as string | undefined,
  }
}

const CREATE =
  'mutation ($contact: ContactInput!) { createContact(input: { contact: $contact }) { contact { id } } }'
const create = (firstName: string) =>
  ask(CREATE, { contact: { organizationId: person.organizationId, firstName } })
const count = async () =>
  Number((await ask('{ contacts(first: 1) { totalCount } }')).data?.contacts.totalCount)

it('an operator moves a tenant with the command, and its endpoint answers before, says so during, and answers afterwards', {
  timeout: 180_000,
}, async () => {
  const environment = operatorOf(project)
  expect((await create('Before')).code).toBeUndefined()

  const look = await tenantsJson(environment, 'move', slug, '--dry-run')
  expect(look).toMatchObject({ code: 0, document: { dry_run: true, blocked: false, extra: [], differ: [] } })
  expect(await count()).toBe(1)

  // The moment in which the last rows are copied, held.
  await project.sql`
    insert into provisioning.tenant_moves (organization_id, job_id, from_tier, to_tier, with_data, leave_extra_tables, coming,
      closed_until)
    values (${person.organizationId}, gen_random_uuid(), 'database', 'project', true, false, '{}', now() + interval '1 hour')`
  const closed = await answered('tenant_moving')
  expect(closed).toMatchObject({ status: 503, retryAfter: '5' })
  await project.sql`delete from provisioning.tenant_moves`
  await answered(undefined)

  let confirmed = 1
  const refused: string[] = []
  let moving = true
  const writing = (async () => {
    for (let n = 0; moving; n++) {
      const { code } = await create(`Writer ${n}`)
      if (code === undefined) confirmed += 1
      else refused.push(code)
      // As somebody writes, not as fast as can be: the move has the same two cores.
      await sleep(50)
    }
  })()
  // Nobody sweeps here; what is put off is due at once.
  const hurrying = (async () => {
    while (moving) await project.passTime().then(() => sleep(300))
  })()
  const moved = await tenants(environment, 'move', slug, '--yes', '--timeout', '150')
  moving = false
  await Promise.all([writing, hurrying])
  expect(moved).toMatchObject({ code: 0, stdout: expect.stringContaining('has moved') })

  expect(refused.filter((code) => !/^tenant_(moving|database_unavailable)$/.test(code))).toEqual([])
  // Of those whose connection was lost in the end, some may have been made.
  expect(await count()).toBeGreaterThanOrEqual(confirmed)
  expect(await count()).toBeLessThanOrEqual(confirmed + refused.length)
  expect(confirmed).toBeGreaterThan(5)
  expect((await create('Afterwards')).code).toBeUndefined()

  const status = await project.provisioning(person.organizationId)
  expect(status.services).toMatchObject({
    ...{ stripe: 'ready', supabase: 'ready', database: 'ready', graphql: 'ready' },
    ...{ github: 'ready', vercel: 'ready', n8n: 'ready' },
  })
  const again = await tenants(environment, 'move', slug, '--yes')
  expect(again.code).toBe(1)
  expect(again.stderr).toContain('already')
})

/** The endpoint remembers for a moment who may come in. @throws Error when it never answers with this code */
async function answered(code: string | undefined) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const reply = await ask('{ __typename }')
    if (reply.code === code) return reply
  }
  throw new Error(`the endpoint does not answer ${code}`)
}
