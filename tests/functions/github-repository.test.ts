import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type GithubEmulator, startGithubEmulator } from '../../local/emulators/github/emulator.ts'
import type { FaultRule } from '../../local/emulators/http/faults.ts'
import type { Result } from '../../shared/kernel/result.ts'
import { github } from '../../shared/services/github/index.ts'
import type { InventoryPage, InventoryResource } from '../../shared/services/inventory.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { PROJECT_URL, PUBLISHABLE_KEY, SECRET_KEY, ServiceProject } from './project-service.ts'

const TOKEN = 'github_pat_localemulator'
const UNLIMITED = {
  requestsPerHour: Number.POSITIVE_INFINITY,
  changesPerMinute: Number.POSITIVE_INFINITY,
  changesPerHour: Number.POSITIVE_INFINITY,
}

let tier: ServiceProject
let emulator: GithubEmulator
let count = 0

beforeAll(async () => {
  emulator = await startGithubEmulator({ apiKey: TOKEN, limits: UNLIMITED })
  tier = await ServiceProject.open([github], emulatorVariables(github, emulator.url))
})
afterAll(async () => {
  await tier?.close()
  await emulator?.stop()
})

let organizationId: string
let slug: string
beforeEach(async () => {
  slug = `acme-${++count}`
  organizationId = await tier.tenant(slug)
})
afterEach(async () => {
  emulator.faults.clear()
  emulator.setTimings({ createMs: 0, fillMs: 0 })
  emulator.setLimits({ ...UNLIMITED, maxRepositories: Number.POSITIVE_INFINITY })
  await tier.sql`update provisioning.settings set repository_on_removal = 'archive', max_step_attempts = 8`
  await tier.sql`update provisioning.provider_status set state = 'closed', next_try_at = null, consecutive_failures = 0`
})

const fault = (operation: string, action: FaultRule['action'], times = 1) =>
  emulator.faults.add({ match: { operation }, action, times })
const repositories = (name = `client-${slug}`) => emulator.repositories.filter((each) => each.name === name)
const recorded = () => tier.resource(organizationId, 'github_repository')
const failureOf = async (step = 'github_repository') => (await tier.steps(organizationId))[step]?.error

async function secondsUntilNext(): Promise<number> {
  const [row] = await tier.sql`
    select extract(epoch from next_attempt_at - now())::int as seconds from public.provisioning_steps
    where organization_id = ${organizationId} and step = 'github_repository'`
  return row?.seconds
}

/** As GitHub's own client would send it, by whoever has a token. */
async function send(method: string, path: string, body?: object): Promise<unknown> {
  const reply = await fetch(`${emulator.url}${path}`, {
    method,
    headers: { authorization: `Bearer ${TOKEN}` },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status}`)
  return reply.status === 204 ? undefined : reply.json()
}
const generate = (name: string, description = '') =>
  send('POST', `/repos/${emulator.template}/generate`, { name, description, private: true })

describe('a repository', () => {
  it('is made once, private and of the template, with the project’s address and keys', async () => {
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    const [made, ...others] = repositories()
    expect(others).toEqual([])
    expect(made).toMatchObject({ private: true, description: `Repository of the client ${organizationId}` })
    expect(Object.entries(made?.variables ?? {}).map(([name, { value }]) => [name, value])).toEqual([
      ['SUPABASE_URL', PROJECT_URL],
      ['SUPABASE_PUBLISHABLE_KEY', PUBLISHABLE_KEY],
    ])
    expect(emulator.secret(made?.id ?? 0, 'SUPABASE_SECRET_KEY')).toBe(SECRET_KEY)
    expect(Object.keys(made?.secrets ?? {})).toEqual(['SUPABASE_SECRET_KEY'])
    expect(await recorded()).toEqual({
      name: `client-${slug}`,
      externalId: String(made?.id),
      url: `https://github.com/local-clients/client-${slug}`,
      state: 'active',
      details: { fullName: `local-clients/client-${slug}`, defaultBranch: 'main' },
    })
  })

  it('gets the legacy key beside the secret one where the project has both', async () => {
    await tier.giveSecrets(organizationId, { secretKey: SECRET_KEY, serviceRoleKey: 'eyJlegacy' })
    await tier.workToEnd(organizationId)
    expect(emulator.secret(repositories()[0]?.id ?? 0, 'SUPABASE_SERVICE_ROLE_KEY')).toBe('eyJlegacy')
  })

  it('is waited for until the template’s content is in it, without a counted attempt', async () => {
    emulator.setTimings({ fillMs: 4_000 })
    await tier.work(organizationId)
    expect((await tier.steps(organizationId)).github_repository).toMatchObject({
      status: 'retrying',
      attempts: 0,
      error: { code: 'github_repository_filling' },
    })
    expect(await recorded()).toMatchObject({ state: 'active', externalId: String(repositories()[0]?.id) })
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
  })

  it('that stays empty for ten minutes is a failure that says so', async () => {
    emulator.setTimings({ fillMs: 3_600_000 })
    await tier.work(organizationId)
    await tier.sql`
      update public.provisioning_steps set output = output || '{"emptySince": "2026-01-01T00:00:00Z"}'
      where organization_id = ${organizationId} and step = 'github_repository'`
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'github_repository_stays_empty' })
  })

  it('is found again after a reply that was lost', async () => {
    fault('repos/create-using-template', { type: 'act_then_reset' })
    await tier.work(organizationId)
    expect(await failureOf()).toMatchObject({ code: 'github_unreachable' })
    expect(await recorded()).toMatchObject({ state: 'planned', externalId: null })
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(repositories()).toHaveLength(1)
    expect(emulator.stats.calls['repos/create-using-template']).toBeGreaterThan(0)
  })

  it('keeps the name of the first attempt when the slug changes meanwhile', async () => {
    fault('repos/create-using-template', { type: 'act_then_reset' })
    await tier.work(organizationId)
    await tier.sql`update public.organizations set slug = ${`${slug}-new`} where id = ${organizationId}`
    await tier.workToEnd(organizationId)
    expect([repositories().length, repositories(`client-${slug}-new`).length]).toEqual([1, 0])
    expect(await recorded()).toMatchObject({ name: `client-${slug}` })
  })

  it('of that name that somebody else has made is refused, and not touched', async () => {
    await generate(`client-${slug}`, 'mine')
    const [before] = repositories()
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'github_name_taken' })
    expect(repositories()).toEqual([before])
    expect(await recorded()).toBeUndefined()
    await tier.sql`update public.organizations set slug = ${`${slug}-other`} where id = ${organizationId}`
    await tier.retry(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(await recorded()).toMatchObject({ name: `client-${slug}-other` })
  })

  it('of that name that is another organization’s is refused', async () => {
    const other = await tier.tenant()
    await generate(`client-${slug}`, `Repository of the client ${other}`)
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'github_name_taken' })
  })

  it('that is recorded stays the client’s under another name', async () => {
    await tier.workToEnd(organizationId)
    const id = repositories()[0]?.id
    await send('PATCH', `/repos/local-clients/client-${slug}`, { name: `renamed-${slug}` })
    await generate(`client-${slug}`, 'somebody else’s')
    await tier.retry(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(await recorded()).toMatchObject({
      externalId: String(id),
      details: { fullName: `local-clients/renamed-${slug}` },
    })
  })

  it('that somebody deleted by hand is made again when asked', async () => {
    await tier.workToEnd(organizationId)
    const first = (await recorded())?.externalId
    await send('DELETE', `/repos/local-clients/client-${slug}`)
    await tier.retry(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect((await recorded())?.externalId).not.toBe(first)
    expect(repositories()).toHaveLength(1)
  })

  it('calls little when all is there already', async () => {
    await tier.workToEnd(organizationId)
    await tier.retry(organizationId)
    const before = { ...emulator.stats.calls }
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    const made = Object.entries(emulator.stats.calls).map(
      ([name, calls]) => [name, calls - (before[name] ?? 0)] as const,
    )
    expect(Object.fromEntries(made.filter(([, calls]) => calls > 0))).toEqual({
      'repos/get-by-id': 2,
      'repos/get-branch': 1,
      'actions/list-repo-variables': 1,
      'actions/get-repo-public-key': 1,
      'actions/create-or-update-repo-secret': 1,
    })
  })

  it('has a changed variable brought up to date', async () => {
    await tier.workToEnd(organizationId)
    await send('PATCH', `/repos/local-clients/client-${slug}/actions/variables/SUPABASE_URL`, {
      value: 'old',
    })
    await tier.retry(organizationId)
    await tier.workToEnd(organizationId)
    expect(repositories()[0]?.variables.SUPABASE_URL?.value).toBe(PROJECT_URL)
  })
})

it('one worker after another may die at each line that writes, and one repository comes of it', async () => {
  let deaths = 0
  for (let atWrite = 1; ; atWrite++) {
    const name = `mortal-${atWrite}`
    const tenant = await tier.tenant(name)
    const died = await tier.workUntilDeath(tenant, atWrite)
    expect(await tier.workToEnd(tenant), `after a death at write ${atWrite}`).toBe('succeeded')
    const made = repositories(`client-${name}`)
    expect(made, `after a death at write ${atWrite}`).toHaveLength(1)
    expect(emulator.secret(made[0]?.id ?? 0, 'SUPABASE_SECRET_KEY')).toBe(SECRET_KEY)
    expect(await tier.resource(tenant, 'github_repository')).toMatchObject({
      externalId: String(made[0]?.id),
      state: 'active',
    })
    if (!died) break
    deaths++
  }
  expect(deaths).toBeGreaterThan(8)
})

describe('a refusal of GitHub', () => {
  const reply = (status: number, message: string) => ({ type: 'status', status, body: { message } }) as const
  it.each([
    ['github_key_rejected', 'repos/get', reply(401, 'Bad credentials')],
    [
      'github_permission_missing',
      'repos/create-using-template',
      reply(403, 'Resource not accessible by integration'),
    ],
    ['github_template_not_found', 'repos/create-using-template', reply(404, 'Not Found')],
    ['github_plan_refused', 'repos/create-using-template', reply(403, 'Upgrade to GitHub Team to do this')],
    ['github_payment_required', 'actions/create-or-update-repo-secret', reply(402, 'Payment required')],
    [
      'github_payment_required',
      'repos/create-using-template',
      reply(403, 'The account is locked because of its billing.'),
    ],
    ['github_request_refused', 'actions/create-or-update-repo-secret', reply(422, 'Something is wrong')],
    [
      'github_name_taken',
      'repos/create-using-template',
      reply(422, 'Could not clone: Name already exists on this account'),
    ],
  ])('becomes %s, and nobody tries again by himself', async (code, operation, action) => {
    fault(operation, action, 1)
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    const step = operation.startsWith('actions/') ? 'github_secrets' : 'github_repository'
    expect(await failureOf(step)).toMatchObject({ code })
    if (step === 'github_repository') expect(await recorded()).toBeUndefined()
  })

  it.each([
    ['github_unavailable', { type: 'status', status: 502 }],
    ['github_unavailable', { type: 'status', status: 429 + 74 }],
    ['github_unreachable', { type: 'reset' }],
    ['github_rate_limited', { type: 'status', status: 429, retryAfterSeconds: 7 }],
  ] as const)('that may pass becomes %s, and is tried again', async (code, action) => {
    fault('repos/create-using-template', action)
    await tier.work(organizationId)
    expect(await failureOf()).toMatchObject({ code })
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(repositories()).toHaveLength(1)
  })

  it('that is a proxy’s page is quoted by its status alone', async () => {
    fault('repos/get', { type: 'status', status: 418, body: '<html>' })
    await tier.work(organizationId)
    expect(await failureOf()).toMatchObject({
      code: 'github_request_refused',
      message: expect.stringContaining('(418)'),
    })
  })

  it('of the primary limit is waited out as long as GitHub says, by everybody', async () => {
    emulator.setLimits({ requestsPerHour: 0 })
    await tier.work(organizationId)
    expect(await failureOf()).toMatchObject({ code: 'github_rate_limited' })
    expect(await secondsUntilNext()).toBeGreaterThan(3_000)
    const [bucket] = await tier.sql`
      select min(tokens)::float8 as tokens from provisioning.token_buckets where provider = 'github'`
    expect(bucket?.tokens).toBeLessThan(0)
  })

  it('of the secondary limit in its own words is waited out, too', async () => {
    fault('repos/get', {
      type: 'status',
      status: 403,
      body: {
        message: 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.',
      },
    })
    await tier.work(organizationId)
    expect(await failureOf()).toMatchObject({ code: 'github_rate_limited' })
    expect(await secondsUntilNext()).toBeGreaterThan(50)
  })
})

describe('without', () => {
  it.each([
    ['github_key_missing', { GITHUB_TOKEN: undefined }],
    ['github_organization_unset', { GITHUB_ORG: undefined }],
    ['github_template_unset', { GITHUB_TEMPLATE_REPOSITORY: undefined }],
  ])('a setting the step says %s', async (code, variables) => {
    expect(await tier.workToEnd(organizationId, variables)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code })
  })

  it('the project’s keys the step for secrets says so, and makes none', async () => {
    await tier.sql`delete from vault.secrets where name = provisioning.project_secret(${organizationId})`
    expect(await tier.workToEnd(organizationId)).toBe('failed')
    expect(await failureOf('github_secrets')).toMatchObject({ code: 'github_project_keys_missing' })
    expect(repositories()[0]?.secrets).toEqual({})
  })
})

describe('a GitHub App', () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const pem = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()
  const app = {
    GITHUB_TOKEN: undefined,
    GITHUB_APP_ID: '4711',
    GITHUB_APP_PRIVATE_KEY: pem.replaceAll('\n', '\\n'),
  }

  it('takes the place of a token, with one token for all calls', async () => {
    emulator.giveApp('4711', publicKey.export({ type: 'spki', format: 'pem' }).toString())
    const before = emulator.stats.calls['apps/create-installation-access-token'] ?? 0
    expect(await tier.workToEnd(organizationId, app)).toBe('succeeded')
    expect(emulator.stats.calls['apps/create-installation-access-token']).toBe(before + 1)
  })

  it('with another key is refused, and with what is no key', async () => {
    const unknown = { ...app, GITHUB_APP_ID: '4712' }
    expect(await tier.workToEnd(organizationId, unknown)).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'github_key_rejected' })
    const other = await tier.tenant()
    expect(await tier.workToEnd(other, { ...app, GITHUB_APP_PRIVATE_KEY: 'no key' })).toBe('failed')
  })

  it('that is not installed in the organization says so', async () => {
    expect(await tier.workToEnd(organizationId, { ...app, GITHUB_ORG: 'elsewhere' })).toBe('failed')
    expect(await failureOf()).toMatchObject({ code: 'github_app_not_installed' })
  })
})

describe('a removal', () => {
  const remove = () => tier.undo(organizationId)

  it('archives the repository, and another provisioning takes it out of the archive', async () => {
    await tier.workToEnd(organizationId)
    expect(await remove()).toBe('succeeded')
    expect(repositories()).toMatchObject([{ archived: true }])
    expect(await recorded()).toMatchObject({ state: 'kept' })
    await tier.retry(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(repositories()).toMatchObject([{ archived: false }])
    expect(await recorded()).toMatchObject({ state: 'active', externalId: String(repositories()[0]?.id) })
  })

  it('deletes it when that is the setting', async () => {
    await tier.sql`update provisioning.settings set repository_on_removal = 'delete'`
    await tier.workToEnd(organizationId)
    expect(await remove()).toBe('succeeded')
    expect(repositories()).toEqual([])
    expect(await recorded()).toMatchObject({ state: 'removed' })
  })

  it('finds one whose reply was lost', async () => {
    await tier.sql`update provisioning.settings set repository_on_removal = 'delete'`
    fault('repos/create-using-template', { type: 'act_then_reset' })
    await tier.work(organizationId)
    expect(await remove()).toBe('succeeded')
    expect(repositories()).toEqual([])
  })

  it('of what was never asked for calls nothing, and needs no key', async () => {
    const before = { ...emulator.stats.calls }
    expect(await tier.undo(organizationId, { GITHUB_TOKEN: undefined })).toBe('succeeded')
    expect(emulator.stats.calls).toEqual(before)
  })

  it('of what is gone already is fine', async () => {
    await tier.workToEnd(organizationId)
    await send('DELETE', `/repos/local-clients/client-${slug}`)
    expect(await remove()).toBe('succeeded')
  })

  it('leaves one of the same name alone that somebody else has made', async () => {
    await tier.sql`update provisioning.settings set repository_on_removal = 'delete'`
    await tier.workToEnd(organizationId)
    await send('DELETE', `/repos/local-clients/client-${slug}`)
    await generate(`client-${slug}`, `Repository of the client ${organizationId}`)
    expect(await remove()).toBe('succeeded')
    expect(repositories()).toMatchObject([{ archived: false }])
  })

  it('refuses one that has another name by now', async () => {
    await tier.workToEnd(organizationId)
    await send('PATCH', `/repos/local-clients/client-${slug}`, { name: `kept-${slug}` })
    expect(await remove()).toBe('failed')
    expect(await failureOf('delete_github_repository')).toMatchObject({ code: 'github_repository_renamed' })
    expect(repositories(`kept-${slug}`)).toMatchObject([{ archived: false }])
  })
})

describe('the inventory', () => {
  const inventory = () =>
    github.connect({ variables: emulatorVariables(github, emulator.url), sql: tier.sql }).inventories
      .github_repository

  it('tells whose each repository is, and not of archived ones', async () => {
    await tier.workToEnd(organizationId)
    await generate(`client-other-${slug}`, 'somebody else’s')
    const pages: InventoryResource[] = []
    let cursor: string | null = null
    do {
      const page: Result<InventoryPage> | undefined = await inventory()?.page(cursor)
      if (!page?.ok) throw new Error('no page')
      pages.push(...page.value.resources)
      cursor = page.value.nextCursor
    } while (cursor !== null)
    const own = repositories()[0]?.id
    expect(pages.find(({ resourceId }) => resourceId === String(own))?.organizationId).toBe(organizationId)
    const other = repositories(`client-other-${slug}`)[0]?.id
    expect(pages.find(({ resourceId }) => resourceId === String(other))?.organizationId).toBeNull()
    expect(new Set(pages.map(({ resourceId }) => resourceId)).size).toBe(emulator.repositories.length + 1)
  })

  it('removes as the setting says, and what is gone without a word', async () => {
    await tier.workToEnd(organizationId)
    const id = String(repositories()[0]?.id)
    expect(await inventory()?.remove(id, async () => undefined)).toMatchObject({ ok: true })
    expect(repositories()).toMatchObject([{ archived: true }])
    expect(await inventory()?.remove('1', async () => undefined)).toMatchObject({ ok: true })
  })
})

it('no key is in a row, an event or a log, whatever GitHub says', async () => {
  const said: string[] = []
  const spies = (['log', 'info', 'warn', 'error', 'debug'] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((...parts) => void said.push(parts.map(String).join(' '))),
  )
  try {
    fault('actions/create-or-update-repo-secret', {
      type: 'status',
      status: 422,
      body: { message: `Bearer ${TOKEN} and ${TOKEN} and ${SECRET_KEY} are wrong` },
    })
    await tier.workToEnd(organizationId)
    await tier.retry(organizationId)
    await tier.workToEnd(organizationId)
    const shown = `${await tier.everythingShown()}\n${said.join('\n')}`
    expect(shown).toContain(`client-${slug}`)
    expect(shown).toContain('github_request_refused')
    for (const secret of [SECRET_KEY, TOKEN]) expect(shown).not.toContain(secret)
  } finally {
    for (const spy of spies) spy.mockRestore()
  }
})

it('the key is tried by asking how much is left', async () => {
  const variables = emulatorVariables(github, emulator.url)
  const check = async (token: string) => {
    const { url, key } = github.keyCheck({ ...variables, GITHUB_TOKEN: token })
    return (await fetch(url, { headers: { authorization: `Bearer ${key}` } })).status
  }
  expect([await check(TOKEN), await check('wrong')]).toEqual([200, 401])
})

describe('a rotation', () => {
  const NEW_KEY = 'sb_secret_of_the_rotation'

  it('hands the new key on to the repository, and to nobody else', async () => {
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    await tier.giveSecrets(organizationId, { secretKey: NEW_KEY })
    await tier.rotate(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(emulator.secret(repositories()[0]?.id ?? 0, 'SUPABASE_SECRET_KEY')).toBe(NEW_KEY)
    expect(await tier.everythingShown()).not.toContain(NEW_KEY)
  })

  it('makes no repository where there is none', async () => {
    const made = emulator.repositories.length
    await tier.sql`update public.provisioning_jobs set status = 'cancelled', finished_at = now()
      where organization_id = ${organizationId}`
    await tier.rotate(organizationId)
    expect(await tier.workToEnd(organizationId)).toBe('succeeded')
    expect(emulator.repositories).toHaveLength(made)
  })
})
