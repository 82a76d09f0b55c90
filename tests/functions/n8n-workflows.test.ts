import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FaultRule } from '../../local/emulators/http/faults.ts'
import { startN8nEmulator } from '../../local/emulators/n8n/emulator.ts'
import { type Job, JobStore } from '../../shared/engine/jobs.ts'
import type { StepContext, StepOutcome } from '../../shared/engine/step.ts'
import { n8n } from '../../shared/services/n8n/index.ts'
import { organizationOfTag, tagName } from '../../shared/services/n8n/names.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { dumpTables, findSecrets } from '../end-to-end/secret-search.ts'
import { N8N_KEY, type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'

const PROJECT_URL = 'https://abcdefghijklmnopqrst.supabase.co'
const TEMPLATES = ['new-contact', 'weekly-report']

let project: TestProject

beforeAll(async () => {
  project = await startTestProject()
  const { sql } = project
  // The tier without the services that make a project: here the project is a row, and its key is in Vault.
  await sql`update provisioning.step_definitions set depends_on = '{}' where step = 'n8n_workflows'`
  await sql`delete from provisioning.step_definitions where tier = 'project' and service <> 'n8n'`
  await sql`update provisioning.tiers set services = '{n8n}' where tier = 'project'`
  await sql`insert into provisioning.services (service, label) values ('supabase', 'Supabase') on conflict do nothing`
  await sql`
    insert into provisioning.resource_kinds (kind, service, label) values ('supabase_project', 'supabase', 'project')
    on conflict do nothing`
})

afterAll(() => project?.stop())

afterEach(async () => {
  project.n8nEmulator.faults.clear()
  project.n8nEmulator.giveKey(N8N_KEY, 'owner')
  project.n8nEmulator.setLimits({ activeWorkflows: Number.POSITIVE_INFINITY })
  await project.sql`delete from provisioning.token_buckets`
})

/** Signs up in the tier project, with a Supabase project that is ready; nobody works on the job until `held` has ended. */
function signUp(held?: (person: SignedUp) => Promise<void>, metadata: Record<string, string> = {}) {
  return project.whileHeld(async () => {
    const person = await project.signUp(metadata)
    await project.sql`update public.provisioning_jobs set tier = 'project' where id = ${person.jobId}`
    await giveProject(person)
    await held?.(person)
    return person
  })
}

const keyOf = (organizationId: string) => `sb_secret_${organizationId.replaceAll('-', '')}`

async function giveProject({ organizationId }: SignedUp): Promise<void> {
  await project.sql`
    select provisioning.record_resource(${organizationId}, 'supabase_project', ${`client-${organizationId}-prod`},
      ${organizationId}, ${PROJECT_URL}, '{}')`
  await project.superuser`
    select provisioning.keep_secret(provisioning.project_secret(${organizationId}),
      ${JSON.stringify({ secretKey: keyOf(organizationId) })}, 'test')`
}

/** What the instance has of an organization, whatever it is called or tagged as. */
function contentsOf({ organizationId }: Pick<SignedUp, 'organizationId'>) {
  const { workflows, tags, credentials } = project.n8nEmulator.contents
  const ours = ({ name }: { name: string }) => name.startsWith(`client-${organizationId} `)
  return {
    workflows: workflows.filter(ours),
    credentials: credentials.filter(ours),
    tags: tags.filter(({ name }) => organizationOfTag(name) === organizationId),
  }
}

function expectOneOfEach(person: Pick<SignedUp, 'organizationId'>, what = ''): void {
  const { workflows, credentials, tags } = contentsOf(person)
  const own = `client-${person.organizationId} `
  expect(workflows.map(({ name }) => name).sort(), what).toEqual(TEMPLATES.map((each) => own + each))
  expect(credentials.map(({ name }) => name).sort(), what).toEqual([`${own}project`, `${own}webhook`])
  expect(tags, what).toHaveLength(1)
  for (const { active, tagIds } of workflows)
    expect({ active, tagIds }, what).toEqual({ active: true, tagIds: [tags[0]?.id] })
}

const nothing = { workflows: [], credentials: [], tags: [] }

async function resourceOf({ organizationId }: SignedUp) {
  const [row] = await project.sql`
    select name, external_id as id, url, details, state, requests from public.tenant_resources
    where organization_id = ${organizationId} and kind = 'n8n_workflows' order by created_at desc limit 1`
  return row
}

const errorOf = async ({ organizationId }: SignedUp) =>
  (await project.provisioning(organizationId)).steps.n8n_workflows?.error

const fault = (match: FaultRule['match'], action: FaultRule['action'], times?: number) =>
  project.n8nEmulator.faults.add({ match, action, ...(times ? { times } : {}) })

const retry = ({ organizationId }: SignedUp) =>
  project.request({ organizationId, services: ['n8n'], wait: true })

describe('the workflows of a client', () => {
  it('are made from the templates with its tag, activated, and recorded with their addresses', async () => {
    const person = await signUp(undefined, { organization_name: 'Archer "Ltd" {{ 1 }}' })
    await project.waitFor(person.organizationId)
    expectOneOfEach(person)
    const { workflows, credentials, tags } = contentsOf(person)
    const row = await resourceOf(person)
    expect(row).toMatchObject({
      name: `client-${person.organizationId}`,
      id: tags[0]?.id,
      url: `${project.n8nEmulator.url}/home/workflows`,
      state: 'active',
      requests: 0,
    })
    expect(row?.details.workflows).toEqual(
      TEMPLATES.map((template) => {
        const made = workflows.find(({ name }) => name.endsWith(template))
        return {
          template,
          id: made?.id,
          name: made?.name,
          url: `${project.n8nEmulator.url}/workflow/${made?.id}`,
        }
      }),
    )
    const data = Object.fromEntries(credentials.map(({ name, data }) => [name.split(' ')[1], data]))
    expect(data).toEqual({
      project: { host: PROJECT_URL, serviceRole: keyOf(person.organizationId) },
      webhook: { name: 'X-Webhook-Key', value: expect.stringMatching(/^[\w-]{43}$/) },
    })
    // Nodes refer to what was made for this client.
    const used = workflows.flatMap(({ nodes }) =>
      nodes.flatMap((node) => Object.values(node.credentials ?? {}).map(({ id }) => id)),
    )
    expect(new Set(used)).toEqual(new Set(credentials.map(({ id }) => id)))
    const texts = JSON.stringify(workflows)
    expect(texts).toContain('Archer \\"Ltd\\" { { 1 } }')
    expect(texts).not.toContain(keyOf(person.organizationId))
  })

  it('take ten calls when nothing is there, and a retry makes nothing', async () => {
    const person = await signUp()
    const before = { ...project.n8nEmulator.stats.calls }
    await project.request({ organizationId: person.organizationId, wait: true })
    await project.waitFor(person.organizationId)
    const calls = (name: string, since: Record<string, number>) =>
      (project.n8nEmulator.stats.calls[name] ?? 0) - (since[name] ?? 0)
    const names = ['createTag', 'getWorkflows', 'createCredential', 'createWorkflow', 'updateWorkflowTags']
    expect(names.map((name) => calls(name, before))).toEqual([1, 2, 2, 2, 2])
    expect([calls('activateWorkflow', before), calls('getCredentials', before)]).toEqual([2, 0])
    const first = await resourceOf(person)
    const done = { ...project.n8nEmulator.stats.calls }
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    for (const name of names.filter((each) => each !== 'getWorkflows'))
      expect(calls(name, done), name).toBe(0)
    expect(await resourceOf(person)).toEqual(first)
  })

  it('that are there already are taken over, and what people have changed in one stays', async () => {
    const person = await signUp()
    await project.waitFor(person.organizationId)
    const [renamed] = contentsOf(person).workflows
    await editor('PUT', `/workflows/${renamed?.id}`, {
      name: 'My own report',
      nodes: renamed?.nodes,
      connections: {},
      settings: { executionOrder: 'v1' },
    })
    await editor('POST', `/workflows/${renamed?.id}/deactivate`)
    // As a restored database would: nothing is recorded.
    const other = contentsOf(person).workflows.map(({ id }) => id)
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    const { workflows } = project.n8nEmulator.contents
    expect(workflows.find(({ id }) => id === renamed?.id)).toMatchObject({
      name: 'My own report',
      active: true,
    })
    expect(contentsOf(person).workflows.map(({ id }) => id)).toEqual(other)
    await project.sql`update public.tenant_resources set state = 'removed', removed_at = now()
      where organization_id = ${person.organizationId} and kind = 'n8n_workflows'`
    await editor('PUT', `/workflows/${renamed?.id}`, { ...renamed, ...workflowOf(renamed?.name ?? '') })
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    expectOneOfEach(person)
  })

  it('that somebody has archived are left to that person, and those that were deleted are made again', async () => {
    const person = await signUp()
    await project.waitFor(person.organizationId)
    const [first] = contentsOf(person).workflows
    project.n8nEmulator.archive(first?.id ?? '')
    expect((await retry(person)).body).toMatchObject({
      status: 'failed',
      error: { code: 'n8n_workflow_archived', message: expect.stringContaining(first?.name ?? '-') },
    })
    await editor('DELETE', `/workflows/${first?.id}`)
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    expectOneOfEach(person)
    await editor('DELETE', `/tags/${contentsOf(person).tags[0]?.id}`)
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    expectOneOfEach(person)
  })

  it('of another client that begins alike are no business of this one', async () => {
    const person = await signUp(async ({ organizationId }) => {
      for (const name of [
        `copy of client-${organizationId} weekly-report`,
        `client-${organizationId}x report`,
      ])
        await editor('POST', '/workflows', workflowOf(name))
    })
    await project.waitFor(person.organizationId)
    expectOneOfEach(person)
  })
})

const workflowOf = (name: string) => ({
  name,
  nodes: [{ name: 'Start', type: 'n8n-nodes-base.scheduleTrigger', parameters: {} }],
  connections: {},
  settings: { executionOrder: 'v1' },
})

/** What a person does at n8n. */
async function editor(method: string, address: string, body?: unknown): Promise<void> {
  const { id: _id, active: _active, ...rest } = Object(body)
  const allowed = ['name', 'nodes', 'connections', 'settings']
  const sent = Object.fromEntries(Object.entries(rest).filter(([name]) => allowed.includes(name)))
  const reply = await fetch(`${project.n8nEmulator.url}/api/v1${address}`, {
    method,
    headers: { 'x-n8n-api-key': N8N_KEY, ...(body ? { 'content-type': 'application/json' } : {}) },
    ...(body ? { body: JSON.stringify(sent) } : {}),
  })
  expect(reply.status, await reply.text()).toBeLessThan(300)
}

describe('a refusal', () => {
  const REFUSALS: readonly (readonly [string, FaultRule['match'], FaultRule['action'], RegExp])[] = [
    [
      'n8n_key_rejected',
      {},
      { type: 'status', status: 401, body: { message: 'unauthorized' } },
      /Settings, n8n API/,
    ],
    ['n8n_permission_missing', {}, { type: 'status', status: 403 }, /owner or an admin/],
    [
      'n8n_plan_limit_reached',
      { operation: 'activateWorkflow' },
      { type: 'status', status: 402 },
      /larger plan/,
    ],
    ['n8n_address_wrong', { operation: 'getWorkflows' }, { type: 'status', status: 404 }, /N8N_URL/],
    [
      'n8n_workflow_refused',
      { operation: 'createWorkflow' },
      {
        type: 'status',
        status: 400,
        body: { message: 'request/body/nodes/0 must NOT have additional properties' },
      },
      /additional properties/,
    ],
    [
      'n8n_activation_refused',
      { operation: 'activateWorkflow' },
      { type: 'status', status: 400, body: { message: 'There is a conflict with one of the webhooks.' } },
      /conflict with one of the webhooks/,
    ],
  ]

  it.each(REFUSALS)(
    '%s says what to do, and after it nothing is made twice',
    async (code, match, action, says) => {
      fault(match, action)
      const person = await signUp()
      await project.waitFor(person.organizationId, 'failed')
      expect(await errorOf(person)).toMatchObject({ code, message: expect.stringMatching(says) })
      project.n8nEmulator.faults.clear()
      expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
      expectOneOfEach(person)
    },
  )

  it('of the very first request leaves no plan behind', async () => {
    fault({}, { type: 'status', status: 401 })
    const person = await signUp()
    await project.waitFor(person.organizationId, 'failed')
    expect(await resourceOf(person)).toBeUndefined()
  })

  it('by the plan of the n8n names the plan', async () => {
    const active = project.n8nEmulator.contents.workflows.filter((each) => each.active).length
    project.n8nEmulator.setLimits({ activeWorkflows: active })
    const person = await signUp()
    await project.waitFor(person.organizationId, 'failed')
    expect(await errorOf(person)).toMatchObject({ code: 'n8n_plan_limit_reached' })
  })

  it('to let a member list credentials is told once they have to be looked for', async () => {
    fault({ operation: 'createCredential' }, { type: 'act_then_reset' }, 1)
    project.n8nEmulator.giveKey(N8N_KEY, 'member')
    const person = await signUp()
    await project.waitForStep(person.organizationId, 'n8n_workflows', 'failed')
    expect(await errorOf(person)).toMatchObject({ code: 'n8n_permission_missing' })
    project.n8nEmulator.giveKey(N8N_KEY, 'owner')
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    expectOneOfEach(person)
  })

  it.each([{ N8N_URL: undefined }, { N8N_API_KEY: undefined }])(
    'without %j says where to get both, and the removal has nothing to do',
    async (variables) => {
      const person = await signUp(async ({ organizationId }) => {
        const gateway = await project.startSecondGateway(variables)
        const { body } = await project.call({
          gateway,
          headers: { apikey: project.keys.secretKey },
          body: { organizationId, wait: true },
        })
        expect(body).toMatchObject({ status: 'failed', error: { code: 'n8n_key_missing' } })
        await gateway.stop()
      })
      expect((await errorOf(person))?.message).toContain('N8N_URL, the address of your n8n, and N8N_API_KEY')
      expect(contentsOf(person)).toEqual(nothing)
      const calls = JSON.stringify(project.n8nEmulator.stats.calls)
      await cancel(person)
      await undone(person)
      expect(JSON.stringify(project.n8nEmulator.stats.calls)).toBe(calls)
    },
  )

  it.each([
    ['n8n_rate_limited', { type: 'status', status: 429, retryAfterSeconds: 1 }],
    ['n8n_unavailable', { type: 'status', status: 503 }],
  ] as const)('%s is not waited for: the step is put off, and goes on by itself', async (code, action) => {
    fault({}, action)
    const person = await signUp()
    const putOff = await until('step that is put off', async () => {
      const [step] = await project.sql<{ attempts: number; status: string; code: string | null }[]>`
        select attempts, status, error ->> 'code' as code from public.provisioning_steps
        where organization_id = ${person.organizationId} and step = 'n8n_workflows'`
      return step?.code ? step : undefined
    })
    expect(putOff).toMatchObject({ code, status: 'retrying' })
    project.n8nEmulator.faults.clear()
    await project.whileTimePasses(
      'ready organization',
      async () => (await project.provisioning(person.organizationId)).overall === 'ready' || undefined,
    )
    expectOneOfEach(person)
  })
})

describe('the address of an n8n', () => {
  const connect = (N8N_URL: string) =>
    n8n.connect({ variables: { N8N_URL, N8N_API_KEY: 'key' }, sql: project.sql })

  it.each(['https://n8n.example.com', 'https://n8n.example.com:5678/team/', 'http://127.0.0.1:5678'])(
    'may be %s',
    (address) => {
      expect(() => connect(address)).not.toThrow()
    },
  )

  it.each([
    'n8n.example.com',
    'http://n8n.example.com',
    'https://u:p@n8n.example.com',
    'https://x.test?a=1',
    'ftp://x',
  ])('may not be %s, which is told without what may be a secret', (address) => {
    expect(() => connect(address)).toThrow('N8N_URL: is not https://HOST')
    expect(() => connect(address)).not.toThrow('u:p')
  })

  it('is not left: an answer that leads elsewhere takes no key along', async () => {
    const elsewhere = await startN8nEmulator({ apiKey: N8N_KEY })
    const { createServer } = await import('node:http')
    const server = createServer((_request, response) => {
      response.writeHead(307, { location: `${elsewhere.url}/api/v1/tags` }).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as { port: number }
    try {
      const { inventories } = n8n.connect({
        variables: { N8N_URL: `http://127.0.0.1:${port}`, N8N_API_KEY: N8N_KEY },
        sql: project.sql,
      })
      expect(await inventories.n8n_workflows?.page(null)).toMatchObject({
        ok: false,
        failure: { code: 'n8n_address_wrong', message: expect.stringContaining('leads elsewhere') },
      })
      expect(elsewhere.stats.calls).toEqual({})
    } finally {
      server.closeAllConnections()
      server.close()
      await elsewhere.stop()
    }
  })
})

async function cancel({ organizationId }: SignedUp): Promise<void> {
  const { status } = await project.request({ organizationId, cancel: true })
  expect(status).toBe(200)
}

async function undone({ organizationId }: SignedUp): Promise<void> {
  const isDone = async () => {
    const [open] = await project.sql`select from public.provisioning_jobs
      where organization_id = ${organizationId} and status in ('queued', 'running')`
    return open ? undefined : true
  }
  await project.whileTimePasses('end of the removal', isDone, organizationId)
  const [job] = await project.sql`
    select j.status, (select jsonb_object_agg(s.step, s.error) from public.provisioning_steps s where s.job_id = j.id) as steps
    from public.provisioning_jobs j where j.organization_id = ${organizationId} order by j.created_at desc limit 1`
  expect(job, JSON.stringify(job)).toMatchObject({ status: 'succeeded' })
}

describe('the undo', () => {
  it('takes back what a provisioning has made that failed in the middle', async () => {
    fault({ operation: 'activateWorkflow' }, { type: 'status', status: 400 })
    const person = await signUp()
    await project.waitFor(person.organizationId, 'failed')
    project.n8nEmulator.faults.clear()
    expect(contentsOf(person).workflows).toHaveLength(1)
    await cancel(person)
    await undone(person)
    expect(contentsOf(person)).toEqual(nothing)
    expect(await resourceOf(person)).toMatchObject({ state: 'removed' })
  })

  it('of a deleted organization deactivates and deletes all of it, and leaves others alone', async () => {
    const [person, other] = [await signUp(), await signUp()]
    for (const { organizationId } of [person, other]) await project.waitFor(organizationId)
    const before = { ...project.n8nEmulator.stats.calls }
    await project.sql`delete from public.organizations where id = ${person.organizationId}`
    await undone(person)
    const { calls } = project.n8nEmulator.stats
    const made = (call: string) => (calls[call] ?? 0) - (before[call] ?? 0)
    expect([made('deactivateWorkflow'), made('deleteWorkflow')]).toEqual([TEMPLATES.length, TEMPLATES.length])
    expect(contentsOf(person)).toEqual(nothing)
    expectOneOfEach(other)
    expect(await resourceOf(person)).toMatchObject({ state: 'removed' })
  })
})

describe('the reconciliation', () => {
  it('knows tags of exactly our kind, and removes with one all that a stranger has', async () => {
    const stranger = crypto.randomUUID()
    await editor('POST', '/tags', { name: tagName(stranger) })
    for (const name of ['client-tag', 'c-AAAAAAAAAAAAAAAAAAAAA', `c-${'A'.repeat(21)}B`])
      await editor('POST', '/tags', { name })
    await editor('POST', '/workflows', workflowOf(`client-${stranger} weekly-report`))
    const { inventories } = n8n.connect({
      variables: emulatorVariables(n8n, project.n8nEmulator.url),
      sql: project.sql,
    })
    const inventory = inventories.n8n_workflows
    const page = await inventory?.page(null)
    if (!page?.ok) throw new Error(JSON.stringify(page))
    const ours = page.value.resources.filter(({ organizationId }) => organizationId === stranger)
    expect(ours).toHaveLength(1)
    const names = new Map(project.n8nEmulator.contents.tags.map(({ id, name }) => [id, name]))
    for (const { resourceId, organizationId } of page.value.resources)
      if (organizationId === null) expect(names.get(resourceId)).toMatch(/^client-tag$|^c-A/)
    expect(page.value.resources.filter(({ organizationId }) => organizationId === null)).toHaveLength(3)
    let asked = 0
    const before = async () => void asked++
    expect(await inventory?.remove(ours[0]?.resourceId ?? '', before)).toMatchObject({ ok: true })
    expect(contentsOf({ organizationId: stranger })).toEqual(nothing)
    expect(asked).toBe(2)
    const [foreign] = project.n8nEmulator.contents.tags.filter(({ name }) => name === 'client-tag')
    expect(await inventory?.remove(foreign?.id ?? '', before)).toMatchObject({ ok: false })
    expect(await inventory?.remove('gone', before)).toMatchObject({ ok: true })
  })

  it('finds what is missing, and a stranger', async () => {
    const person = await signUp()
    await project.waitFor(person.organizationId)
    const [tag] = contentsOf(person).tags
    await editor('DELETE', `/tags/${tag?.id}`)
    const stranger = crypto.randomUUID()
    await editor('POST', '/tags', { name: tagName(stranger) })
    const reply = await fetch(`${project.services.url}/functions/v1/reconcile-tenants`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', apikey: project.keys.secretKey },
      body: JSON.stringify({ wait: true }),
    })
    const { findings } = await reply.json()
    const found = (findings as { resourceKind: string; kind: string; organizationId: string }[])
      .filter(({ resourceKind }) => resourceKind === 'n8n_workflows')
      .map(({ kind, organizationId }) => [kind, organizationId])
    expect(found).toEqual(
      expect.arrayContaining([
        ['missing', person.organizationId],
        ['stranger', stranger],
      ]),
    )
  })
})

describe('names', () => {
  it('of tags fit into the 24 characters that n8n has for them, and lead back to the organization', () => {
    for (const id of [
      '00000000-0000-0000-0000-000000000000',
      'ffffffff-ffff-ffff-ffff-ffffffffffff',
      ...Array.from({ length: 50 }, () => crypto.randomUUID()),
    ]) {
      expect(tagName(id)).toHaveLength(24)
      expect(organizationOfTag(tagName(id))).toBe(id)
    }
    for (const tag of ['', 'c-', 'c-too-short', `c-${'~'.repeat(22)}`, `C-${'A'.repeat(22)}`])
      expect(organizationOfTag(tag)).toBeNull()
  })
})

/** Ends an attempt as the end of its process would. */
class Killed extends Error {}

type StepName = 'n8n_workflows' | 'delete_n8n_workflows'

describe('a worker that dies at any line', () => {
  let person: SignedUp
  let job: Job
  let jobs: JobStore

  beforeAll(async () => {
    jobs = new JobStore(project.sql)
    person = await signUp(async ({ jobId }) => {
      const [claimed] = await jobs.claim(['provision'], 1, {})
      if (claimed?.id !== jobId) throw new Error('another job was claimed')
      job = claimed
      await jobs.prepare(job)
    })
    await project.sql`update provisioning.job_leases set expires_at = now() + interval '1 hour'`
  })

  /** One attempt, which ends where the n-th thing begins that the step does with the database. Infinity: nowhere. */
  async function attempt(name: StepName, diesAt: number): Promise<{ lines: number; outcome?: StepOutcome }> {
    let lines = 0
    const line =
      <Args extends unknown[], T>(work: (...args: Args) => Promise<T>) =>
      async (...args: Args): Promise<T> => {
        if (lines++ === diesAt) throw new Killed()
        const done = await work(...args)
        if (lines++ === diesAt) throw new Killed()
        return done
      }
    const [row] = await project.sql`select provisioning.tenant(${person.organizationId}) as tenant`
    const context: StepContext = {
      job,
      tenant: row?.tenant,
      attempt: 1,
      output: {},
      sql: project.sql,
      signal: new AbortController().signal,
      secrets: new Map(),
      saveOutput: line((output) => jobs.saveOutput(job, name, output)),
      saveRecord: line((record) => jobs.saveRecord(job, record)),
      planResource: line((kind, resource, details = {}) => jobs.planResource(job, kind, resource, details)),
      unplanResource: line((kind, details = {}) => jobs.unplanResource(job, kind, details)),
      assertLease: line(() => jobs.extendLease(job)),
    }
    const { steps } = n8n.connect({
      variables: emulatorVariables(n8n, project.n8nEmulator.url),
      sql: project.sql,
    })
    const outcome = await steps[name]?.(context).catch((error: unknown) => {
      if (!(error instanceof Killed)) throw error
      return undefined
    })
    if (outcome?.type === 'succeeded' && outcome.record) await jobs.saveRecord(job, outcome.record)
    return { lines, ...(outcome ? { outcome } : {}) }
  }

  async function complete(name: StepName): Promise<number> {
    const { lines, outcome } = await attempt(name, Number.POSITIVE_INFINITY)
    expect(outcome, JSON.stringify(outcome)).toMatchObject({ type: 'succeeded' })
    return lines
  }

  it('makes one of each, and removes all', async () => {
    const lines = await complete('n8n_workflows')
    expect(lines).toBeGreaterThan(15)
    const linesOfUndo = await complete('delete_n8n_workflows')
    expect(linesOfUndo).toBeGreaterThan(10)
    for (let line = 0; line < Math.max(lines, linesOfUndo); line++) {
      // Without the key of the webhooks, which an earlier turn has left in Vault.
      await giveProject(person)
      const begun = await attempt('n8n_workflows', line)
      expect(begun.outcome === undefined).toBe(line < lines)
      await complete('n8n_workflows')
      expectOneOfEach(person, `killed at ${line}`)
      await attempt('delete_n8n_workflows', line)
      await complete('delete_n8n_workflows')
      expect(contentsOf(person), `killed at ${line}`).toEqual(nothing)
    }
  })

  it('and a reply that is lost at any call', async () => {
    for (const name of ['n8n_workflows', 'delete_n8n_workflows'] as const) {
      for (let call = 0; ; call++) {
        if (name === 'delete_n8n_workflows') await complete('n8n_workflows')
        project.n8nEmulator.faults.add({ action: { type: 'act_then_reset' }, skip: call, times: 1 })
        const { outcome } = await attempt(name, Number.POSITIVE_INFINITY)
        project.n8nEmulator.faults.clear()
        if (outcome?.type === 'failed')
          expect(outcome.failure).toMatchObject({ code: 'n8n_unreachable', retryable: true })
        await complete(name)
        if (name === 'n8n_workflows') expectOneOfEach(person, `lost reply ${call}`)
        if (name === 'n8n_workflows') await complete('delete_n8n_workflows')
        expect(contentsOf(person), `lost reply ${call}`).toEqual(nothing)
        if (outcome?.type === 'succeeded') break
        expect(call).toBeLessThan(30)
      }
    }
  })

  it('waits with the next attempt until what a lost request has made can be found', async () => {
    fault({ operation: 'createWorkflow' }, { type: 'act_then_reset' }, 1)
    const { outcome } = await attempt('n8n_workflows', Number.POSITIVE_INFINITY)
    expect(outcome).toMatchObject({ type: 'failed', failure: { settleSeconds: 5 } })
    await complete('n8n_workflows')
    await complete('delete_n8n_workflows')
  })
})

it('no secret of a client is in a table, an output, an event, or the functions’ log', async () => {
  const person = await signUp()
  await project.waitFor(person.organizationId)
  const { credentials } = contentsOf(person)
  const webhookKey = credentials.find(({ type }) => type === 'httpHeaderAuth')?.data.value ?? ''
  const secrets = [
    { kind: 'secret key', value: keyOf(person.organizationId) },
    { kind: 'webhook key', value: webhookKey },
    { kind: 'n8n key', value: N8N_KEY },
  ]
  const places = [
    ...(await dumpTables(project.superuser)),
    { name: 'log', text: project.log.map(({ text }) => text).join('\n') },
    { name: 'workflows', text: JSON.stringify(contentsOf(person).workflows) },
  ]
  // The statement above that puts the key into Vault is the test's own.
  expect(findSecrets(secrets, places).filter((found) => !found.endsWith('pg_stat_activity'))).toEqual([])
  const [kept] = await project.superuser`
    select provisioning.project_secrets(${person.organizationId}) ->> 'n8nWebhookKey' as key`
  expect(kept?.key).toBe(webhookKey)
})

describe('a rotation', () => {
  async function rotate({ organizationId }: SignedUp): Promise<string> {
    await project.superuser`
      select provisioning.keep_secret(provisioning.project_secret(${organizationId}),
        ${JSON.stringify({ secretKey: 'sb_secret_of_the_rotation' })}, 'test')`
    await project.sql`
      select provisioning.enqueue(${organizationId}, 'rotate_credentials', '{}', null, 'request', 'project')`
    const ended = async () => {
      const [job] = await project.sql<{ status: string }[]>`
        select status from public.provisioning_jobs where organization_id = ${organizationId} and kind = 'rotate_credentials'`
      return ['succeeded', 'failed'].includes(job?.status ?? '') ? job?.status : undefined
    }
    return project.whileTimePasses('end of the rotation', ended, organizationId)
  }
  const credentialsOf = ({ organizationId }: SignedUp) =>
    project.n8nEmulator.contents.credentials.filter(({ name }) => name.includes(organizationId))

  it('gives the credential of the workflows the new key; the workflows stay as they are', async () => {
    const person = await signUp()
    await project.waitFor(person.organizationId)
    const [before, workflows] = [credentialsOf(person), project.n8nEmulator.contents.workflows]
    expect(await rotate(person)).toBe('succeeded')
    const after = credentialsOf(person)
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id))
    expect(after.find(({ type }) => type === 'supabaseApi')?.data).toEqual({
      host: PROJECT_URL,
      serviceRole: 'sb_secret_of_the_rotation',
    })
    expect(after.find(({ type }) => type !== 'supabaseApi')).toEqual(
      before.find(({ type }) => type !== 'supabaseApi'),
    )
    expect(project.n8nEmulator.contents.workflows).toEqual(workflows)
  })

  it('says that an n8n is too old which cannot give a credential other data', async () => {
    const person = await signUp()
    await project.waitFor(person.organizationId)
    project.n8nEmulator.faults.add({
      match: { operation: 'updateCredential' },
      action: { type: 'status', status: 405 },
    })
    expect(await rotate(person)).toBe('failed')
    const [step] = await project.sql<{ code: string }[]>`
      select error ->> 'code' as code from public.provisioning_steps
      where organization_id = ${person.organizationId} and step = 'hand_on_to_workflows'`
    expect(step?.code).toBe('n8n_version_too_old')
  })
})
