import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  startVercelEmulator,
  type VercelEmulator,
  type VercelEmulatorOptions,
} from '../../local/emulators/vercel/emulator.ts'

const TOKEN = 'vcp_localemulator'
const REPO = 'local-clients/client-acme'
const REPO_ID = 4711

let emulator: VercelEmulator
let now: number

beforeEach(async () => {
  now = Date.UTC(2026, 8, 1)
  await restart({})
})

afterEach(() => emulator.stop())

async function restart(options: Partial<VercelEmulatorOptions>): Promise<void> {
  await emulator?.stop()
  emulator = await startVercelEmulator({
    apiKey: TOKEN,
    clock: () => now,
    repositoryId: (name) => (name === REPO ? REPO_ID : undefined),
    ...options,
  })
}

async function send(method: string, address: string, body?: unknown, token = TOKEN, team = emulator.team) {
  const url = new URL(address, emulator.url)
  if (team !== '') url.searchParams.set('teamId', team)
  const reply = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await reply.text()
  return { status: reply.status, headers: reply.headers, body: text === '' ? undefined : JSON.parse(text) }
}

const createProject = (name = 'client-acme', repo = REPO) =>
  send('POST', '/v11/projects', { name, gitRepository: { type: 'github', repo } })
const deploy = (more: object = {}) =>
  send('POST', '/v13/deployments', {
    name: 'client-acme',
    project: 'client-acme',
    target: 'production',
    gitSource: { type: 'github', repoId: REPO_ID, ref: 'main' },
    meta: { by: 'us' },
    ...more,
  })
const setVariables = (variables: object[], upsert = true) =>
  send('POST', `/v10/projects/client-acme/env?upsert=${upsert}`, variables)

describe('a project', () => {
  test('is made with its repository, and found by name, by id and in the list', async () => {
    const { status, body } = await createProject()
    expect(status).toBe(200)
    expect(body).toMatchObject({
      name: 'client-acme',
      link: { type: 'github', org: 'local-clients', repo: 'client-acme', repoId: REPO_ID },
    })
    expect((await send('GET', '/v9/projects/client-acme')).body.id).toBe(body.id)
    expect((await send('GET', `/v9/projects/${body.id}`)).body.name).toBe('client-acme')
    now += 1
    await send('POST', '/v11/projects', { name: 'other' })
    const first = await send('GET', '/v10/projects?limit=1')
    expect(first.body.projects.map(({ name }: { name: string }) => name)).toEqual(['other'])
    const second = await send('GET', `/v10/projects?limit=1&from=${first.body.pagination.next}`)
    expect(second.body).toMatchObject({ projects: [{ name: 'client-acme' }], pagination: { next: null } })
  })

  test.each([
    ['whose name is taken', 'client-acme', REPO, 409, 'conflict'],
    ['with a name that Vercel does not allow', 'Client', REPO, 400, 'bad_request'],
    ['of a repository that Vercel’s GitHub App does not see', 'another', 'a/b', 400, 'bad_request'],
  ])('%s is refused', async (_what, name, repo, status, code) => {
    await createProject()
    expect(await createProject(name, repo)).toMatchObject({ status, body: { error: { code } } })
  })

  test('that is one more than the plan has asks for payment', async () => {
    emulator.setLimits({ maxProjects: 0 })
    expect(await createProject()).toMatchObject({
      status: 402,
      body: { error: { code: 'payment_required' } },
    })
  })

  test('that is deleted is gone with its deployments', async () => {
    await createProject()
    const { body } = await deploy()
    expect((await send('DELETE', '/v9/projects/client-acme')).status).toBe(204)
    expect((await send('DELETE', '/v9/projects/client-acme')).status).toBe(404)
    expect((await send('GET', `/v13/deployments/${body.id}`)).status).toBe(404)
  })

  test('survives a restart', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'vercel-emulator-'))
    try {
      const stateFile = path.join(directory, 'vercel.jsonl')
      await restart({ stateFile })
      await createProject()
      const { body } = await deploy()
      await restart({ stateFile })
      expect((await send('GET', '/v9/projects/client-acme')).status).toBe(200)
      expect((await send('GET', `/v13/deployments/${body.id}`)).body.readyState).toBe('READY')
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

describe('an environment variable', () => {
  const secret = { key: 'KEY', value: 'one', type: 'sensitive', target: ['production', 'preview'] }
  beforeEach(() => createProject())

  test('is changed when it is there, and a sensitive one never shown', async () => {
    expect((await setVariables([secret])).status).toBe(201)
    expect(await setVariables([secret], false)).toMatchObject({
      status: 400,
      body: { error: { code: 'ENV_CONFLICT' } },
    })
    await setVariables([{ ...secret, value: 'two' }])
    const { body } = await send('GET', '/v10/projects/client-acme/env')
    expect(body.envs).toMatchObject([{ key: 'KEY', value: '', type: 'sensitive' }])
    expect(emulator.projects[0]?.variables).toMatchObject([{ value: 'two' }])
  })

  test('of development cannot be sensitive, but stands beside the others of its name', async () => {
    const development = { ...secret, target: ['development'] }
    expect((await setVariables([development])).status).toBe(400)
    await setVariables([secret, { ...development, type: 'encrypted' }])
    expect(emulator.projects[0]?.variables.map(({ type, target }) => [type, ...target])).toEqual([
      ['sensitive', 'production', 'preview'],
      ['encrypted', 'development'],
    ])
  })
})

describe('a deployment', () => {
  beforeEach(async () => {
    await createProject()
    emulator.setTimings({ queueMs: 1_000, buildMs: 2_000 })
  })
  const state = async (id: string) => (await send('GET', `/v13/deployments/${id}`)).body

  test('waits, builds, is ready and then has the project’s domain', async () => {
    const { body } = await deploy()
    expect(body).toMatchObject({ readyState: 'QUEUED', meta: { by: 'us' }, alias: [] })
    now += 1_000
    expect((await state(body.id)).readyState).toBe('BUILDING')
    now += 2_000
    expect(await state(body.id)).toMatchObject({ readyState: 'READY', alias: ['client-acme.vercel.app'] })
    const listed = await send('GET', '/v7/deployments?projectId=client-acme')
    expect(listed.body.deployments).toMatchObject([{ uid: body.id, state: 'READY', meta: { by: 'us' } }])
  })

  test('whose build fails says why, and one that somebody has ended says that', async () => {
    emulator.failNextBuild({ code: 'BUILD_FAILED', message: 'Command "npm run build" exited with 1' })
    const failing = (await deploy()).body.id
    const ended = (await deploy()).body.id
    emulator.cancelDeployment(ended)
    now += 3_000
    expect(await state(failing)).toMatchObject({
      readyState: 'ERROR',
      errorMessage: 'Command "npm run build" exited with 1',
    })
    expect((await state(ended)).readyState).toBe('CANCELED')
  })

  test('of another repository than the project’s, or of no project, is refused', async () => {
    const gitSource = { type: 'github', repoId: 1, ref: 'main' }
    expect((await deploy({ gitSource })).status).toBe(400)
    expect((await deploy({ project: 'unknown' })).status).toBe(404)
  })
})

test('a token that nobody has, and another team, are refused with 403', async () => {
  expect(await send('GET', '/v10/projects', undefined, 'wrong')).toMatchObject({
    status: 403,
    body: { error: { code: 'forbidden', message: 'Not authorized', invalidToken: true } },
  })
  for (const team of ['team_other', ''])
    expect(await send('GET', '/v10/projects', undefined, TOKEN, team)).toMatchObject({
      status: 403,
      body: { error: { code: 'forbidden' } },
    })
})

test('the rate limit is told in each reply, and answered with the time of its end', async () => {
  await restart({ limits: { requestsPerMinute: 1 } })
  const first = await send('GET', '/v10/projects')
  expect(first.headers.get('x-ratelimit-remaining')).toBe('0')
  const refused = await send('GET', '/v10/projects')
  expect(refused).toMatchObject({
    status: 429,
    body: { error: { code: 'rate_limited', limit: { remaining: 0, reset: now / 1000 + 60 } } },
  })
  expect(refused.headers.get('x-ratelimit-reset')).toBe(String(now / 1000 + 60))
  now += 60_000
  expect((await send('GET', '/v10/projects')).status).toBe(200)
})
