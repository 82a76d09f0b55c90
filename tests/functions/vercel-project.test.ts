import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { FaultRule } from '../../local/emulators/http/faults.ts'
import { startVercelEmulator, type VercelEmulator } from '../../local/emulators/vercel/emulator.ts'
import { vercel } from '../../shared/services/vercel/index.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { PROJECT_URL, PUBLISHABLE_KEY, SECRET_KEY, ServiceProject } from './project-service.ts'

const TOKEN = 'vcp_localemulator'
const UNLIMITED = { requestsPerMinute: Number.POSITIVE_INFINITY, maxProjects: Number.POSITIVE_INFINITY }

let tier: ServiceProject
let emulator: VercelEmulator
/** GitHub's numbers of the repositories that Vercel sees, by OWNER/NAME. */
const repositories = new Map<string, number>()
let count = 0

beforeAll(async () => {
  emulator = await startVercelEmulator({
    apiKey: TOKEN,
    limits: UNLIMITED,
    repositoryId: (name) => repositories.get(name),
  })
  tier = await ServiceProject.open([vercel], emulatorVariables(vercel, emulator.url))
})
afterAll(async () => {
  await tier?.close()
  await emulator?.stop()
})

let organizationId: string
let name: string
beforeEach(async () => {
  name = `client-acme-${++count}`
  organizationId = await tenantWith(name)
})
afterEach(() => {
  emulator.faults.clear()
  emulator.setTimings({ createMs: 0, queueMs: 0, buildMs: 0 })
  emulator.setLimits(UNLIMITED)
})

/** An organization with a repository of this name. */
async function tenantWith(repository: string): Promise<string> {
  const id = await tier.tenant(repository)
  const number = 1000 + repositories.size
  repositories.set(`local-clients/${repository}`, number)
  const details = { fullName: `local-clients/${repository}`, defaultBranch: 'main' }
  await tier.sql`
    insert into public.tenant_resources (organization_id, service, kind, name, external_id, url, details, state)
    values (${id}, 'github', 'github_repository', ${repository}, ${String(number)}, 'https://github.com/x',
      ${tier.sql.json(details)}, 'active')`
  return id
}

const fault = (operation: string, action: FaultRule['action'], times = 1) =>
  emulator.faults.add({ match: { operation }, action, times })
const projects = (wanted = name) => emulator.projects.filter((each) => each.name === wanted)
const deployments = (wanted = name) =>
  emulator.deployments.filter(({ projectId }) => projects(wanted).some(({ id }) => id === projectId))
const recorded = () => tier.resource(organizationId, 'vercel_project')
const failureOf = async (step = 'vercel_project') => (await tier.steps(organizationId))[step]?.error

async function send(method: string, path: string, body?: object) {
  const reply = await fetch(`${emulator.url}${path}?teamId=${emulator.team}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status}`)
}

describe('a project', () => {
  it('is made once, linked to the repository, with its variables for each target, and deployed', async () => {
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    const [made, ...others] = projects()
    expect(others).toEqual([])
    expect(made?.link).toEqual({
      org: 'local-clients',
      repo: name,
      repoId: repositories.get(`local-clients/${name}`),
    })
    const everywhere = ['production', 'preview', 'development']
    expect(made?.variables.map(({ key, value, type, target }) => [key, value, type, target])).toEqual([
      ['NEXT_PUBLIC_SUPABASE_URL', PROJECT_URL, 'plain', everywhere],
      ['NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY', PUBLISHABLE_KEY, 'plain', everywhere],
      ['SUPABASE_SECRET_KEY', SECRET_KEY, 'sensitive', ['production', 'preview']],
      ['SUPABASE_SECRET_KEY', SECRET_KEY, 'encrypted', ['development']],
    ])
    const [deployment, ...more] = deployments()
    expect(more).toEqual([])
    expect(await recorded()).toEqual({
      name,
      externalId: made?.id,
      url: `https://${name}.vercel.app`,
      state: 'active',
      details: {
        deploymentId: deployment?.id,
        parts: [{ id: deployment?.id, name: 'deployment', url: `https://${deployment?.url}` }],
      },
    })
  })

  it('is found again after a reply that was lost', async () => {
    fault('createProject', { type: 'act_then_reset' })
    await tier.work(organizationId)
    expect(await failureOf()).toMatchObject({ code: 'vercel_unreachable' })
    expect(await recorded()).toMatchObject({ state: 'planned', externalId: null })
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(projects()).toHaveLength(1)
  })

  it('of that name that is linked to another repository, or to none, is refused and not touched', async () => {
    await send('POST', '/v11/projects', { name })
    const [before] = projects()
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'vercel_name_taken' })
    expect(projects()).toEqual([before])
    expect(await recorded()).toBeUndefined()
  })

  it('calls little when all is there already, and deploys no second time', async () => {
    await tier.workToEnd(organizationId)
    const kept = await recorded()
    await tier.retry(organizationId)
    const before = { ...emulator.stats.calls }
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    const made = Object.entries(emulator.stats.calls).map(
      ([operation, calls]) => [operation, calls - (before[operation] ?? 0)] as const,
    )
    expect(Object.fromEntries(made.filter(([, calls]) => calls > 0))).toEqual({
      getProject: 2,
      createProjectEnv: 1,
      getDeployment: 1,
    })
    expect(await recorded()).toEqual(kept)
  })

  it('without a recorded repository is not made', async () => {
    await tier.sql`delete from public.tenant_resources where organization_id = ${organizationId} and service = 'github'`
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'vercel_repository_unknown' })
  })

  it('without the keys of the Supabase project is not made', async () => {
    await tier.sql`delete from vault.secrets where name = provisioning.project_secret(${organizationId})`
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'vercel_project_keys_missing' })
    expect(projects()).toEqual([])
  })

  it('without a token is not asked for', async () => {
    expect(await tier.workToEnd(organizationId, { VERCEL_TOKEN: undefined })).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'vercel_key_missing' })
  })
})

describe('a deployment', () => {
  it('is followed until it is ready, without a counted attempt', async () => {
    emulator.setTimings({ queueMs: 300, buildMs: 600 })
    await tier.work(organizationId)
    expect((await tier.steps(organizationId)).vercel_deployment).toMatchObject({
      status: 'retrying',
      attempts: 0,
      error: { code: 'vercel_deployment_building' },
    })
    await vi.waitFor(async () => {
      await tier.work(organizationId)
      expect(await tier.jobStatus(organizationId)).toBe('succeeded')
    }, 10_000)
    expect(deployments()).toHaveLength(1)
  })

  it('is found again by its metadata after a reply that was lost', async () => {
    fault('createDeployment', { type: 'act_then_reset' })
    await tier.work(organizationId)
    expect(await failureOf('vercel_deployment')).toMatchObject({ code: 'vercel_unreachable' })
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(deployments()).toHaveLength(1)
  })

  it('that fails says why without what it was given, and a retry starts another one', async () => {
    emulator.failNextBuild({ code: 'BUILD_FAILED', message: `exited with 1: ${SECRET_KEY} is wrong` })
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    const failure = await failureOf('vercel_deployment')
    expect(failure).toMatchObject({ code: 'vercel_build_failed' })
    expect(failure?.message).toContain('exited with 1: *** is wrong')
    await tier.retry(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(deployments()).toHaveLength(2)
  })

  it('that somebody cancels says so, and a retry starts another one', async () => {
    emulator.setTimings({ buildMs: 60_000 })
    await tier.work(organizationId)
    emulator.cancelDeployment(deployments()[0]?.id ?? '')
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf('vercel_deployment')).toMatchObject({ code: 'vercel_deployment_canceled' })
    emulator.setTimings({ buildMs: 0 })
    await tier.retry(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
  })
})

it('one worker after another may die at each line that writes, and one project with one deployment comes of it', async () => {
  let deaths = 0
  for (let atWrite = 1; ; atWrite++) {
    const repository = `client-mortal-${atWrite}`
    const tenant = await tenantWith(repository)
    const died = await tier.workUntilDeath(tenant, atWrite)
    expect(await tier.workToEnd(tenant), `after a death at write ${atWrite}`).toBe('succeeded')
    expect(projects(repository), `after a death at write ${atWrite}`).toHaveLength(1)
    expect(deployments(repository), `after a death at write ${atWrite}`).toHaveLength(1)
    expect(await tier.resource(tenant, 'vercel_project')).toMatchObject({
      externalId: projects(repository)[0]?.id,
      state: 'active',
      url: `https://${repository}.vercel.app`,
    })
    if (!died) break
    deaths++
  }
  expect(deaths).toBeGreaterThan(8)
})

describe('a refusal of Vercel', () => {
  const reply = (status: number, code: string, message: string, more: object = {}) =>
    ({ type: 'status', status, body: { error: { code, message, ...more } } }) as const
  it.each([
    ['vercel_key_rejected', reply(403, 'forbidden', 'Not authorized', { invalidToken: true })],
    [
      'vercel_permission_missing',
      reply(403, 'forbidden', 'You don’t have permission to create the project.'),
    ],
    ['vercel_payment_required', reply(402, 'payment_required', 'Payment is required.')],
    ['vercel_payment_required', reply(403, 'forbidden', 'The billing of this team is overdue.')],
    ['vercel_plan_refused', reply(402, 'payment_required', 'Your plan allows no more projects.')],
    ['vercel_plan_refused', reply(400, 'bad_request', 'Upgrade to Pro to do this.')],
    [
      'vercel_github_not_linked',
      reply(
        400,
        'bad_request',
        'To link a GitHub repository, you need to install the GitHub integration first.',
      ),
    ],
    ['vercel_request_refused', reply(400, 'bad_request', 'Invalid request.')],
    ['vercel_name_taken', reply(409, 'conflict', 'Project "x" already exists, please use a new name.')],
  ])('becomes %s, and nobody tries again by himself', async (code, action) => {
    fault('createProject', action)
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code })
    expect(await recorded()).toBeUndefined()
  })

  it.each([
    ['vercel_unavailable', { type: 'status', status: 500 }],
    ['vercel_unreachable', { type: 'reset' }],
    ['vercel_rate_limited', { type: 'status', status: 429, retryAfterSeconds: 30 }],
  ] as const)('that may pass becomes %s, and is tried again', async (code, action) => {
    fault('createProject', action)
    await tier.work(organizationId)
    expect(await failureOf()).toMatchObject({ code })
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(projects()).toHaveLength(1)
  })

  it('of too many requests is waited out as long as Vercel says, by everybody', async () => {
    fault('createProject', { type: 'status', status: 429, retryAfterSeconds: 40 })
    await tier.work(organizationId)
    const [row] = await tier.sql`
      select extract(epoch from next_attempt_at - now())::int as seconds from public.provisioning_steps
      where organization_id = ${organizationId} and step = 'vercel_project'`
    expect(row?.seconds).toBeGreaterThan(30)
    const [bucket] = await tier.sql`
      select min(tokens)::float8 as tokens from provisioning.token_buckets where provider = 'vercel'`
    expect(bucket?.tokens).toBeLessThan(0)
  })
})

describe('a removal', () => {
  const remove = () => tier.undo(organizationId)

  it('deletes the project with its deployments', async () => {
    await tier.workToEnd(organizationId)
    expect(await remove()).toBe('succeeded')
    expect(projects()).toEqual([])
    expect(await recorded()).toMatchObject({ state: 'removed' })
  })

  it('finds one whose reply was lost', async () => {
    fault('createProject', { type: 'act_then_reset' })
    await tier.work(organizationId)
    expect(projects()).toHaveLength(1)
    expect(await remove()).toBe('succeeded')
    expect(projects()).toEqual([])
  })

  it('leaves one of the same name alone that is linked to another repository', async () => {
    fault('createProject', { type: 'reset' })
    await tier.work(organizationId)
    await send('POST', '/v11/projects', { name })
    expect(await remove()).toBe('succeeded')
    expect(projects()).toHaveLength(1)
  })

  it('of what was never asked for calls nothing, and needs no token', async () => {
    const before = { ...emulator.stats.calls }
    expect(await tier.undo(organizationId, { VERCEL_TOKEN: undefined })).toBe('succeeded')
    expect(emulator.stats.calls).toEqual(before)
  })

  it('of what is gone already is fine', async () => {
    await tier.workToEnd(organizationId)
    await send('DELETE', `/v9/projects/${name}`)
    expect(await remove()).toBe('succeeded')
  })

  it('refuses one that has another name than the recorded one', async () => {
    await tier.workToEnd(organizationId)
    await tier.sql`
      update public.tenant_resources set name = 'something-else' where organization_id = ${organizationId} and kind = 'vercel_project'`
    expect(await remove()).toBe('failed')
    expect(await failureOf('delete_vercel_project')).toMatchObject({ code: 'vercel_project_renamed' })
    expect(projects()).toHaveLength(1)
  })
})

it('the inventory tells whose each project is by its repository, and removes', async () => {
  await tier.workToEnd(organizationId)
  await send('POST', '/v11/projects', { name: `other-${name}` })
  const variables = emulatorVariables(vercel, emulator.url)
  const inventory = vercel.connect({ variables, sql: tier.sql }).inventories.vercel_project
  const page = await inventory?.page(null)
  if (!page?.ok) throw new Error('no page')
  const owners = new Map(page.value.resources.map((each) => [each.resourceId, each.organizationId]))
  expect(owners.get(projects()[0]?.id ?? '')).toBe(organizationId)
  expect(owners.get(projects(`other-${name}`)[0]?.id ?? '')).toBeNull()
  const id = projects()[0]?.id ?? ''
  for (let times = 0; times < 2; times++)
    expect(await inventory?.remove(id, async () => undefined)).toMatchObject({ ok: true })
  expect(projects()).toEqual([])
})

it('no key is in a row, an event or a log, whatever Vercel says', async () => {
  const said: string[] = []
  // Nothing tells a legacy key from another text.
  const legacy = 'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.signature'
  await tier.giveSecrets(organizationId, { secretKey: SECRET_KEY, serviceRoleKey: legacy })
  const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((level) =>
    vi.spyOn(console, level).mockImplementation((...parts) => void said.push(parts.map(String).join(' '))),
  )
  try {
    fault('createProjectEnv', {
      type: 'status',
      status: 400,
      body: {
        error: {
          code: 'bad_request',
          message: `Bearer ${TOKEN}, ${TOKEN}, ${SECRET_KEY} and ${legacy} are wrong`,
        },
      },
    })
    await tier.workToEnd(organizationId)
    await tier.retry(organizationId)
    await tier.workToEnd(organizationId)
    const shown = `${await tier.everythingShown()}\n${said.join('\n')}`
    expect(shown).toContain(name)
    expect(shown).toContain('vercel_request_refused')
    for (const secret of [SECRET_KEY, TOKEN, legacy]) expect(shown).not.toContain(secret)
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
})

it('the token is tried with a list of one project', async () => {
  const variables = emulatorVariables(vercel, emulator.url)
  const check = async (token: string) => {
    const { url, key } = vercel.keyCheck({ ...variables, VERCEL_TOKEN: token })
    return (await fetch(url, { headers: { authorization: `Bearer ${key}` } })).status
  }
  expect([await check(TOKEN), await check('wrong')]).toEqual([200, 403])
})

describe('a rotation', () => {
  const NEW_KEY = 'sb_secret_of_the_rotation'
  const keysOf = () =>
    projects()[0]
      ?.variables.filter(({ key }) => key === 'SUPABASE_SECRET_KEY')
      .map(({ value }) => value)

  it('gives the project the new key, and deploys it anew, once', async () => {
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    await tier.giveSecrets(organizationId, { secretKey: NEW_KEY })
    await tier.rotate(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(keysOf()).toEqual([NEW_KEY, NEW_KEY])
    const [, second, ...others] = deployments()
    expect(others).toEqual([])
    expect((await recorded())?.details.deploymentId).toBe(second?.id)
    expect(await tier.everythingShown()).not.toContain(NEW_KEY)
  })

  it('deploys once whatever becomes of the reply, and wherever the worker dies', async () => {
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    fault('createDeployment', { type: 'act_then_reset' })
    await tier.rotate(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(deployments()).toHaveLength(2)
    let rotations = 2
    for (let place = 1, died = true; died; place++) {
      await tier.rotate(organizationId)
      died = await tier.workUntilDeath(organizationId, place)
      expect(await tier.workToEnd(organizationId)).toBe('succeeded')
      rotations += 1
      expect(deployments(), `place ${place}`).toHaveLength(rotations)
    }
  })

  it('says why the build has failed, and is made again by another rotation', async () => {
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    emulator.failNextBuild({ code: 'BUILD_FAILED', message: 'no such module' })
    await tier.rotate(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf('deploy_anew')).toMatchObject({ code: 'vercel_build_failed' })
    await tier.rotate(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
  })
})
