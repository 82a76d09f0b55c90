import { createSign, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { request as octokit } from '@octokit/request'
import { RequestError } from '@octokit/request-error'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type GithubEmulator,
  type GithubEmulatorOptions,
  startGithubEmulator,
} from '../../local/emulators/github/emulator.ts'
import { sealBox } from '../../shared/services/github/sealed-box.ts'

const TOKEN = 'github_pat_localemulator'
const ORG = 'local-clients'

let emulator: GithubEmulator
let now: number

beforeEach(async () => {
  now = Date.UTC(2026, 8, 1)
  await restart({})
})

afterEach(() => emulator.stop())

async function restart(options: Partial<GithubEmulatorOptions>): Promise<void> {
  await emulator?.stop()
  emulator = await startGithubEmulator({ apiKey: TOKEN, clock: () => now, ...options })
}

/** GitHub's own client, on the emulator. */
const client = (token = TOKEN) =>
  octokit.defaults({ baseUrl: emulator.url, headers: { authorization: `Bearer ${token}` } })

const generate = (name: string, more: { description?: string; owner?: string } = {}) =>
  client()('POST /repos/{template_owner}/{template_repo}/generate', {
    template_owner: ORG,
    template_repo: 'client-template',
    name,
    owner: ORG,
    private: true,
    ...more,
  })

const get = (repo: string, token?: string) => client(token)('GET /repos/{owner}/{repo}', { owner: ORG, repo })

/** @returns status and message of what a call was refused with */
async function refusal(call: Promise<unknown>): Promise<{ status: number; message: string }> {
  const error = await call.then(
    () => undefined,
    (cause: unknown) => cause,
  )
  if (!(error instanceof RequestError)) throw new Error('the call was not refused')
  const data = error.response?.data
  const message = typeof data === 'object' && data !== null && 'message' in data ? data.message : ''
  return { status: error.status, message: String(message) }
}

describe('a repository', () => {
  test('is made of the template, private, and found by its name, its id and in the list', async () => {
    const { status, data } = await generate('client-acme', { description: 'ours' })
    expect(status).toBe(201)
    expect(data).toMatchObject({ full_name: `${ORG}/client-acme`, private: true, description: 'ours' })
    expect(data.template_repository?.full_name).toBe(emulator.template)
    expect((await get('client-acme')).data.id).toBe(data.id)
    expect((await client()('GET /repositories/{id}', { id: data.id })).data.id).toBe(data.id)
    const listed = await client()('GET /orgs/{org}/repos', { org: ORG, per_page: 100 })
    expect(listed.data.map(({ name }) => name)).toEqual(['client-acme', 'client-template'])
  })

  test('has no branch until the template’s content is in it', async () => {
    emulator.setTimings({ fillMs: 2_000 })
    await generate('client-acme')
    const branch = () =>
      client()('GET /repos/{owner}/{repo}/branches/{branch}', {
        owner: ORG,
        repo: 'client-acme',
        branch: 'main',
      })
    expect(await refusal(branch())).toEqual({ status: 404, message: 'Branch not found' })
    now += 2_000
    expect((await branch()).data.name).toBe('main')
  })

  test('whose name is taken is not made, whatever the case', async () => {
    await generate('client-acme')
    expect(await refusal(generate('CLIENT-acme'))).toEqual({
      status: 422,
      message: 'Could not clone: Name already exists on this account',
    })
  })

  test('of what is no template, or for somebody else, is not made', async () => {
    await generate('client-acme')
    const other = client()('POST /repos/{template_owner}/{template_repo}/generate', {
      template_owner: ORG,
      template_repo: 'client-acme',
      name: 'copy',
    })
    expect((await refusal(other)).status).toBe(404)
    expect((await refusal(generate('client-b', { owner: 'somebody-else' }))).status).toBe(404)
  })

  test('that was renamed is redirected to, until another has its former name', async () => {
    const { data } = await generate('client-acme')
    await client()('PATCH /repos/{owner}/{repo}', { owner: ORG, repo: 'client-acme', name: 'client-new' })
    const raw = await fetch(`${emulator.url}/repos/${ORG}/client-acme`, {
      redirect: 'manual',
      headers: { authorization: `Bearer ${TOKEN}` },
    })
    expect([raw.status, raw.headers.get('location')]).toEqual([
      301,
      `${emulator.url}/repositories/${data.id}`,
    ])
    expect((await get('client-acme')).data.name).toBe('client-new')
    const another = await generate('client-acme')
    expect((await get('client-acme')).data.id).toBe(another.data.id)
  })

  test('that is archived takes no changes until it is no more', async () => {
    await generate('client-acme')
    const update = (changes: { archived?: boolean; description?: string }) =>
      client()('PATCH /repos/{owner}/{repo}', { owner: ORG, repo: 'client-acme', ...changes })
    expect((await update({ archived: true })).data.archived).toBe(true)
    expect((await refusal(update({ description: 'x' }))).message).toBe(
      'Repository was archived so is read-only.',
    )
    expect((await refusal(setVariable('A', 'b'))).status).toBe(403)
    expect((await update({ archived: false })).data.archived).toBe(false)
    expect((await setVariable('A', 'b')).status).toBe(201)
  })

  test('that is deleted is gone', async () => {
    await generate('client-acme')
    const remove = () => client()('DELETE /repos/{owner}/{repo}', { owner: ORG, repo: 'client-acme' })
    expect((await remove()).status).toBe(204)
    expect((await refusal(get('client-acme'))).status).toBe(404)
    expect((await refusal(remove())).status).toBe(404)
  })

  test('survives a restart with its variables and secrets', async () => {
    const directory = await mkdtemp(path.join(tmpdir(), 'github-emulator-'))
    try {
      const stateFile = path.join(directory, 'github.jsonl')
      await restart({ stateFile })
      const { data } = await generate('client-acme')
      await setVariable('URL', 'https://x')
      await setSecret('KEY', 'hidden')
      await restart({ stateFile })
      expect(emulator.repositories.map(({ name }) => name)).toEqual(['client-acme'])
      expect(emulator.secret(Number(data.id), 'KEY')).toBe('hidden')
      expect((await refusal(generate('client-acme'))).status).toBe(422)
    } finally {
      await rm(directory, { recursive: true })
    }
  })
})

const setVariable = (name: string, value: string) =>
  client()('POST /repos/{owner}/{repo}/actions/variables', { owner: ORG, repo: 'client-acme', name, value })

async function setSecret(name: string, value: string, keyId?: string) {
  const where = { owner: ORG, repo: 'client-acme' }
  const { data } = await client()('GET /repos/{owner}/{repo}/actions/secrets/public-key', where)
  return client()('PUT /repos/{owner}/{repo}/actions/secrets/{secret_name}', {
    ...where,
    secret_name: name,
    encrypted_value: sealBox(value, data.key),
    key_id: keyId ?? data.key_id,
  })
}

describe('variables and secrets', () => {
  beforeEach(() => generate('client-acme'))

  test('are made, changed and listed, a variable with its value and a secret without', async () => {
    const where = { owner: ORG, repo: 'client-acme' }
    expect((await setVariable('url', 'one')).status).toBe(201)
    expect(await refusal(setVariable('URL', 'two'))).toEqual({
      status: 409,
      message: 'Already exists - Variable already exists',
    })
    const changed = client()('PATCH /repos/{owner}/{repo}/actions/variables/{name}', {
      ...where,
      name: 'URL',
      value: 'two',
    })
    expect((await changed).status).toBe(204)
    const { data } = await client()('GET /repos/{owner}/{repo}/actions/variables', where)
    expect(data.variables.map(({ name, value }) => [name, value])).toEqual([['URL', 'two']])
    expect((await setSecret('key', 'one')).status).toBe(201)
    expect((await setSecret('KEY', 'zwei — 二')).status).toBe(204)
    const listed = await client()('GET /repos/{owner}/{repo}/actions/secrets', where)
    expect(listed.data.secrets.map((secret) => Object.keys(secret))).toEqual([
      ['name', 'created_at', 'updated_at'],
    ])
    expect(emulator.secret(emulator.repositories[0]?.id ?? 0, 'KEY')).toBe('zwei — 二')
  })

  test('a secret with another key’s id, or that libsodium cannot open, is refused', async () => {
    expect((await refusal(setSecret('KEY', 'x', '568000000000000001'))).status).toBe(422)
    const where = { owner: ORG, repo: 'client-acme' }
    const { data } = await client()('GET /repos/{owner}/{repo}/actions/secrets/public-key', where)
    const box = Buffer.from(sealBox('x', data.key), 'base64')
    box[box.length - 1] = (box[box.length - 1] ?? 0) ^ 1
    const put = client()('PUT /repos/{owner}/{repo}/actions/secrets/{secret_name}', {
      ...where,
      secret_name: 'KEY',
      encrypted_value: box.toString('base64'),
      key_id: data.key_id,
    })
    expect(await refusal(put)).toEqual({ status: 422, message: 'Improperly encrypted secret' })
  })

  test.each(['GITHUB_TOKEN', '1ST', 'A-B'])('that are called %s are refused', async (name) => {
    expect((await refusal(setVariable(name, 'x'))).status).toBe(422)
    expect((await refusal(setSecret(name, 'x'))).status).toBe(422)
  })
})

describe('a token', () => {
  test('that nobody has is refused', async () => {
    expect(await refusal(get('client-template', 'wrong'))).toEqual({
      status: 401,
      message: 'Bad credentials',
    })
  })

  test('sees nothing of what it was not given, and may do nothing that it has no permission for', async () => {
    await generate('client-acme')
    emulator.giveToken('blind', { repositories: [] })
    expect((await refusal(get('client-acme', 'blind'))).status).toBe(404)
    emulator.giveToken('reader', { permissions: ['contents'] })
    const remove = client('reader')('DELETE /repos/{owner}/{repo}', { owner: ORG, repo: 'client-acme' })
    expect(await refusal(remove)).toEqual({
      status: 403,
      message: 'Resource not accessible by personal access token',
    })
  })

  test('of an App’s installation is given for a JWT that the App has signed, and ends after an hour', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    emulator.giveApp('77', publicKey.export({ type: 'spki', format: 'pem' }).toString(), {
      permissions: ['contents'],
    })
    const jwt = (claims: object) => {
      const text = ['{"alg":"RS256","typ":"JWT"}', JSON.stringify(claims)]
        .map((part) => Buffer.from(part).toString('base64url'))
        .join('.')
      return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey, 'base64url')}`
    }
    const seconds = now / 1000
    const good = jwt({ iss: '77', iat: seconds - 60, exp: seconds + 540 })
    const { data } = await client(good)('GET /orgs/{org}/installation', { org: ORG })
    const create = (token: string) =>
      client(token)('POST /app/installations/{installation_id}/access_tokens', {
        installation_id: Number(data.id),
      })
    const { token } = (await create(good)).data
    expect((await get('client-template', token)).status).toBe(200)
    const remove = client(token)('DELETE /repos/{owner}/{repo}', { owner: ORG, repo: 'client-template' })
    expect((await refusal(remove)).message).toBe('Resource not accessible by integration')
    expect((await refusal(create(jwt({ iss: '78', iat: seconds, exp: seconds + 60 })))).status).toBe(401)
    expect((await refusal(create(jwt({ iss: '77', iat: seconds, exp: seconds + 6_000 })))).status).toBe(401)
    expect((await refusal(create(`${good}x`))).status).toBe(401)
    now += 3_600_000
    expect((await refusal(get('client-template', token))).message).toBe('Bad credentials')
  })
})

describe('the rate limit', () => {
  test('of an hour is told in every reply, and answered 403 with the time of its end', async () => {
    await restart({ limits: { requestsPerHour: 2 } })
    const first = await get('client-template')
    expect(first.headers).toMatchObject({ 'x-ratelimit-limit': '2', 'x-ratelimit-remaining': '1' })
    await get('client-template')
    const refused = await fetch(`${emulator.url}/repos/${ORG}/client-template`)
    expect(refused.status).toBe(403)
    expect(refused.headers.get('x-ratelimit-remaining')).toBe('0')
    expect(Number(refused.headers.get('x-ratelimit-reset'))).toBe(now / 1000 + 3_600)
    expect(await refused.json()).toMatchObject({
      message: expect.stringContaining('API rate limit exceeded'),
    })
    now += 3_600_000
    expect((await get('client-template')).status).toBe(200)
  })

  test.each([{ changesPerMinute: 1 }, { changesPerHour: 1 }])(
    'for changes is answered 403 with a time to wait, and reads go on: %o',
    async (limits) => {
      await restart({ limits })
      await generate('client-a')
      const refused = await fetch(`${emulator.url}/repos/${ORG}/client-a`, {
        method: 'DELETE',
        headers: { authorization: `Bearer ${TOKEN}` },
      })
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([403, '60'])
      expect(await refused.json()).toMatchObject({ message: expect.stringContaining('secondary rate limit') })
      expect((await get('client-a')).status).toBe(200)
    },
  )
})
