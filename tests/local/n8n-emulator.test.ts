import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type N8nEmulator,
  type N8nEmulatorOptions,
  startN8nEmulator,
} from '../../local/emulators/n8n/emulator.ts'

const KEY = 'n8n_api_owner'
const MEMBER = 'n8n_api_member'

let emulator: N8nEmulator
let now: number

beforeEach(async () => {
  now = Date.UTC(2026, 8, 1)
  await restart()
})

afterEach(async () => {
  await emulator.stop()
})

async function restart(options: Partial<N8nEmulatorOptions> = {}): Promise<void> {
  await emulator?.stop()
  emulator = await startN8nEmulator({ apiKey: KEY, clock: () => now, ...options })
  emulator.giveKey(MEMBER, 'member')
}

interface Sent {
  readonly key?: string | null
  readonly type?: string
}

/** A request to the public API, and what came back. The body is a text as it is, or anything as JSON. */
async function send(
  method: string,
  address: string,
  body?: unknown,
  { key = KEY, type = 'application/json' }: Sent = {},
) {
  const reply = await fetch(`${emulator.url}/api/v1${address}`, {
    method,
    headers: {
      ...(key === null ? {} : { 'x-n8n-api-key': key }),
      ...(body === undefined ? {} : { 'content-type': type }),
    },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  })
  return { status: reply.status, headers: reply.headers, body: await reply.json() }
}

const refusal = (status: number, message: string) => ({ status, body: { message } })

const SCHEDULE = { id: 'a', name: 'Every Monday', type: 'n8n-nodes-base.scheduleTrigger', parameters: {} }
const webhook = (place: string) => ({
  name: 'Call',
  type: 'n8n-nodes-base.webhook',
  parameters: { httpMethod: 'POST', path: place },
})
const workflow = (name: string, nodes: readonly unknown[] = [SCHEDULE]) => ({
  name,
  nodes,
  connections: {},
  settings: { executionOrder: 'v1' },
})

async function create(name: string, nodes?: readonly unknown[]): Promise<string> {
  const { status, body } = await send('POST', '/workflows', workflow(name, nodes))
  expect(status, JSON.stringify(body)).toBe(200)
  return body.id
}

async function createTag(name: string): Promise<string> {
  return (await send('POST', '/tags', { name })).body.id
}

describe('addresses and keys', () => {
  test('are refused as n8n refuses them, the address first and the key last', async () => {
    expect(await send('GET', '/nothing', undefined, { key: null })).toMatchObject(refusal(404, 'not found'))
    expect(await send('PATCH', '/tags', {}, { key: null })).toMatchObject(
      refusal(405, 'PATCH method not allowed'),
    )
    expect(await send('GET', '/tags', undefined, { key: null })).toMatchObject(
      refusal(401, "'X-N8N-API-KEY' header required"),
    )
    expect(await send('GET', '/tags', undefined, { key: 'wrong' })).toMatchObject(
      refusal(401, 'unauthorized'),
    )
    const elsewhere = await fetch(`${emulator.url}/workflows`)
    expect(elsewhere.status).toBe(404)
  })

  test('of a member open no list of credentials and delete no tag', async () => {
    const id = await createTag('mine')
    const member = { key: MEMBER }
    expect(await send('GET', '/credentials', undefined, member)).toMatchObject(refusal(403, 'Forbidden'))
    expect(await send('DELETE', `/tags/${id}`, undefined, member)).toMatchObject(refusal(403, 'Forbidden'))
    expect((await send('GET', '/tags', undefined, member)).body.data).toHaveLength(1)
    expect((await send('POST', '/tags', { name: 'theirs' }, member)).status).toBe(201)
  })

  test('meet the limit that is set, with the time to wait', async () => {
    emulator.setLimits({ requestsPerSecond: 1 })
    expect((await send('GET', '/tags')).status).toBe(200)
    const refused = await send('GET', '/tags')
    expect(refused).toMatchObject(refusal(429, 'Too many requests'))
    expect(refused.headers.get('retry-after')).toBe('1')
    now += 1000
    expect((await send('GET', '/tags')).status).toBe(200)
  })
})

describe('a workflow', () => {
  test('is made inactive, shown, changed and deleted', async () => {
    const id = await create('Report')
    const shown = await send('GET', `/workflows/${id}`)
    expect(shown.body).toMatchObject({ id, name: 'Report', active: false, isArchived: false, tags: [] })
    expect(shown.body.nodes).toEqual([SCHEDULE])
    const changed = await send('PUT', `/workflows/${id}`, workflow('Weekly report'))
    expect(changed.body).toMatchObject({ id, name: 'Weekly report', nodes: [SCHEDULE] })
    expect((await send('DELETE', `/workflows/${id}`)).body).toMatchObject({ id, name: 'Weekly report' })
    for (const method of ['GET', 'DELETE'])
      expect(await send(method, `/workflows/${id}`)).toMatchObject(refusal(404, 'Not Found'))
    expect(await send('POST', `/workflows/${id}/activate`)).toMatchObject(refusal(404, 'Not Found'))
  })

  test.each([
    ['a field that n8n alone writes', { ...workflow('x'), active: true }, 'request/body/active is read-only'],
    [
      'one that it does not know',
      { ...workflow('x'), color: 'red' },
      'request/body must NOT have additional properties',
    ],
    [
      'a missing one',
      { name: 'x', nodes: [], connections: {} },
      "request/body must have required property 'settings'",
    ],
    ['a text that is none', { ...workflow('x'), name: 7 }, 'request/body/name must be string'],
    [
      'a node with a field of its own',
      workflow('x', [{ ...SCHEDULE, secret: 'x' }]),
      'request/body/nodes/0 must NOT have additional properties',
    ],
    [
      'a setting that is not offered',
      { ...workflow('x'), settings: { callerPolicy: 'everybody' } },
      'request/body/settings/callerPolicy must be equal to one of the allowed values: any, none, workflowsFromAList, workflowsFromSameOwner',
    ],
    ['tags', { ...workflow('x'), tags: [{ id: 'a' }] }, 'request/body/tags is read-only'],
    ['a name that is too long', workflow('x'.repeat(129)), 'Workflow name must be 1 to 128 characters long.'],
    ['no JSON', '{', 'Invalid JSON in request body'],
  ])('is refused with %s', async (_what, body, message) => {
    expect(await send('POST', '/workflows', body)).toMatchObject(refusal(400, message))
    expect(emulator.contents.workflows).toEqual([])
  })

  test('is refused in another type of content', async () => {
    const sent = await send('POST', '/workflows', '{}', { type: 'text/plain' })
    expect(sent).toMatchObject(refusal(415, 'unsupported media type text/plain'))
  })

  test('is activated only with a trigger that starts by itself', async () => {
    const without = 'Workflow cannot be activated because it has no trigger node.'
    const manual = { ...SCHEDULE, type: 'n8n-nodes-base.manualTrigger' }
    for (const nodes of [[], [manual], [{ ...SCHEDULE, disabled: true }]]) {
      const id = await create('No trigger', nodes)
      const refused = await send('POST', `/workflows/${id}/activate`)
      expect(refused.status).toBe(400)
      expect(refused.body.message).toContain(without)
    }
    const id = await create('Report')
    expect((await send('POST', `/workflows/${id}/activate`)).body).toMatchObject({
      active: true,
      triggerCount: 1,
    })
    expect((await send('POST', `/workflows/${id}/activate`)).body).toMatchObject({ active: true })
    // With new content it goes on, unless that has nothing to start it.
    expect((await send('PUT', `/workflows/${id}`, workflow('x', []))).body.message).toContain(without)
    expect((await send('POST', `/workflows/${id}/deactivate`)).body).toMatchObject({ active: false })
  })

  test('shares no address of a webhook with another one that is active', async () => {
    const first = await create('One', [webhook('contacts')])
    const second = await create('Two', [webhook('contacts')])
    expect((await send('POST', `/workflows/${first}/activate`)).status).toBe(200)
    expect(await send('POST', `/workflows/${second}/activate`)).toMatchObject(
      refusal(400, 'There is a conflict with one of the webhooks.'),
    )
    await send('POST', `/workflows/${first}/deactivate`)
    expect((await send('POST', `/workflows/${second}/activate`)).status).toBe(200)
  })

  test('that a person has archived is shown as such, and not activated', async () => {
    const id = await create('Report')
    emulator.archive(id)
    expect((await send('GET', `/workflows/${id}`)).body).toMatchObject({ isArchived: true, active: false })
    expect(await send('POST', `/workflows/${id}/activate`)).toMatchObject(
      refusal(400, 'Cannot activate an archived workflow.'),
    )
  })

  test('beyond the number of active ones that a plan allows stays inactive', async () => {
    emulator.setLimits({ activeWorkflows: 1 })
    const [first, second] = [await create('One'), await create('Two')]
    expect((await send('POST', `/workflows/${first}/activate`)).status).toBe(200)
    expect((await send('POST', `/workflows/${second}/activate`)).status).toBe(400)
    expect((await send('POST', `/workflows/${first}/activate`)).status).toBe(200)
  })
})

describe('the list of workflows', () => {
  const names = (reply: { body: { data: { name: string }[] } }) => reply.body.data.map(({ name }) => name)

  test('comes in pages, by a cursor that holds where the next one begins', async () => {
    for (const name of ['a', 'b', 'c']) await create(name)
    const first = await send('GET', '/workflows?limit=2')
    expect(names(first)).toEqual(['a', 'b'])
    const rest = await send('GET', `/workflows?cursor=${encodeURIComponent(first.body.nextCursor)}`)
    expect(names(rest)).toEqual(['c'])
    expect(rest.body.nextCursor).toBeNull()
    expect(await send('GET', '/workflows?cursor=x')).toMatchObject(
      refusal(400, 'An invalid cursor was provided'),
    )
    expect(await send('GET', '/workflows?limit=251')).toMatchObject(
      refusal(400, 'request/query/limit must be <= 250'),
    )
    expect(await send('GET', '/workflows?tag=x')).toMatchObject(refusal(400, "Unknown query parameter 'tag'"))
  })

  test('is filtered by tags, by part of the name, and by whether they are active', async () => {
    const [one, two] = [
      await create('client-1 report'),
      await create('client-1 contacts'),
      await create('else'),
    ]
    const tag = await createTag('client 1')
    await send('PUT', `/workflows/${one}/tags`, [{ id: tag }])
    await send('POST', `/workflows/${two}/activate`)
    expect(names(await send('GET', `/workflows?tags=${encodeURIComponent('client 1')}`))).toEqual([
      'client-1 report',
    ])
    expect(names(await send('GET', '/workflows?tags=nobody'))).toEqual([])
    expect(names(await send('GET', '/workflows?name=client-1'))).toEqual([
      'client-1 report',
      'client-1 contacts',
    ])
    expect(names(await send('GET', '/workflows?active=true'))).toEqual(['client-1 contacts'])
  })
})

describe('a tag', () => {
  test('has a name of its own, of at most 24 characters, and n8n gives one reason for both', async () => {
    const { status, body } = await send('POST', '/tags', { name: ' x '.padStart(20) })
    expect({ status, name: body.name }).toEqual({ status: 201, name: 'x' })
    for (const name of ['x', 'x'.repeat(25), ' '])
      expect(await send('POST', '/tags', { name })).toMatchObject(refusal(409, 'Tag already exists'))
    expect(await send('POST', '/tags', {})).toMatchObject(
      refusal(400, "request/body must have required property 'name'"),
    )
    expect(emulator.contents.tags).toHaveLength(1)
  })

  test('is put on workflows in the place of those before, and goes from them when it is deleted', async () => {
    const id = await create('Report')
    const [one, two] = [await createTag('one'), await createTag('two')]
    const tagged = async (tags: readonly string[]) =>
      send(
        'PUT',
        `/workflows/${id}/tags`,
        tags.map((tag) => ({ id: tag })),
      )
    expect((await tagged([one])).body).toMatchObject([{ id: one, name: 'one' }])
    expect((await tagged([two])).body).toMatchObject([{ id: two }])
    expect(await tagged(['nobody'])).toMatchObject(refusal(404, 'Some tags not found'))
    expect((await send('GET', `/workflows/${id}/tags`)).body).toMatchObject([{ id: two }])
    expect((await send('DELETE', `/tags/${two}`)).body).toMatchObject({ name: 'two' })
    expect((await send('GET', `/workflows/${id}`)).body.tags).toEqual([])
    expect(await send('GET', `/tags/${two}`)).toMatchObject(refusal(404, 'Not Found'))
  })
})

describe('a credential', () => {
  const credential = {
    name: 'Project',
    type: 'supabaseApi',
    data: { host: 'https://x.test', serviceRole: 's3cret' },
  }

  test('is never shown again with its data, and may have the name of another', async () => {
    const made = [
      await send('POST', '/credentials', credential),
      await send('POST', '/credentials', credential),
    ]
    expect(made.map(({ status }) => status)).toEqual([200, 200])
    const listed = await send('GET', '/credentials')
    expect(listed.body.data).toHaveLength(2)
    expect(JSON.stringify([made, listed])).not.toContain('s3cret')
    const id = made[0]?.body.id
    expect((await send('DELETE', `/credentials/${id}`)).status).toBe(200)
    expect(await send('DELETE', `/credentials/${id}`)).toMatchObject(refusal(404, 'Not Found'))
    expect(emulator.contents.credentials).toMatchObject([{ data: { serviceRole: 's3cret' } }])
  })

  test.each([
    ['a type that is not known', { ...credential, type: 'nothingApi' }, 'req.body.type is not a known type'],
    [
      'data that is not of the type',
      { ...credential, data: { host: 'x', color: 'red' } },
      'request.body.data is not allowed to have the additional property "color"',
    ],
    [
      'data that is no text',
      { ...credential, data: { host: 7 } },
      'request.body.data is not of a type(s) string',
    ],
    [
      'a name that is too short',
      { ...credential, name: 'x' },
      'Credential name must be 3 to 128 characters long.',
    ],
  ])('is refused with %s', async (_what, body, message) => {
    expect(await send('POST', '/credentials', body)).toMatchObject(refusal(400, message))
    expect(emulator.contents.credentials).toEqual([])
  })

  test('has a description of its data by type', async () => {
    const { body } = await send('GET', '/credentials/schema/supabaseApi')
    expect(Object.keys(body.properties)).toEqual(['host', 'serviceRole'])
    expect(await send('GET', '/credentials/schema/nothing')).toMatchObject(refusal(404, 'Not Found'))
  })
})

test('everything survives a restart, and a request that was cut off has taken effect', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'n8n-'))
  try {
    const stateFile = path.join(directory, 'n8n.jsonl')
    await restart({ stateFile })
    emulator.faults.add({
      match: { operation: 'createWorkflow' },
      action: { type: 'act_then_reset' },
      times: 1,
    })
    await expect(
      fetch(`${emulator.url}/api/v1/workflows`, {
        method: 'POST',
        headers: { 'x-n8n-api-key': KEY, 'content-type': 'application/json' },
        body: JSON.stringify(workflow('Lost')),
      }),
    ).rejects.toThrow()
    await createTag('kept')
    await restart({ stateFile })
    expect(emulator.contents.workflows.map(({ name }) => name)).toEqual(['Lost'])
    expect(emulator.contents.tags.map(({ name }) => name)).toEqual(['kept'])
    expect(emulator.stats.calls).toEqual({})
  } finally {
    await emulator.stop()
    await rm(directory, { recursive: true })
  }
})
