import { importJWK, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createProjectKeys, type ProjectKeys } from '../../local/gateway/keys.ts'
import {
  FUNCTION,
  type FunctionReply,
  type SignedUp,
  startTestProject,
  type TestProject,
} from '../support/project.ts'

let project: TestProject
let otherProject: ProjectKeys
let owner: SignedUp
let admin: SignedUp
let member: SignedUp
let stranger: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  otherProject = await createProjectKeys()
  owner = await project.signUp()
  admin = await project.signUp()
  member = await project.signUp()
  stranger = await project.signUp()
  for (const [person, role] of [
    [admin, 'admin'],
    [member, 'member'],
  ] as const)
    await project.sql`insert into public.organization_members (organization_id, user_id, role)
      values (${owner.organizationId}, ${person.userId}, ${role})`
})

afterAll(() => project?.stop())

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const ask = (headers: Record<string, string>) =>
  project.call({ headers, body: { organizationId: owner.organizationId } })

function expectProblem(reply: FunctionReply, status: number, code: string): void {
  expect(reply.status).toBe(status)
  expect(reply.headers.get('content-type')).toBe('application/problem+json')
  expect(reply.headers.get('access-control-allow-origin')).toBe('*')
  const { issues: _issues, ...problem } = reply.body ?? {}
  expect(problem).toEqual({
    type: `urn:tenant-provisioning:problem:${code}`,
    title: expect.stringMatching(/\w/),
    status,
    detail: expect.stringMatching(/\w/),
    code,
  })
  expect(reply.text).not.toMatch(/\.ts\b|\bat \w+|Error:/)
}

/** Claims that the gateway itself puts into the owner's access token, with changes. */
function forge(changes: Record<string, unknown>, keys: ProjectKeys = project.keys): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const claims = {
    iss: `${project.services.url}/auth/v1`,
    aud: 'authenticated',
    sub: owner.userId,
    role: 'authenticated',
    session_id: crypto.randomUUID(),
    iat: now,
    exp: now + 600,
    ...changes,
  }
  return importJWK(keys.signingKey, 'ES256').then((key) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: project.keys.signingKey.kid ?? '' })
      .sign(key),
  )
}

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

describe('a caller is accepted', () => {
  it.each<[string, () => Record<string, string>]>([
    ['with the secret key as apikey', () => ({ apikey: project.keys.secretKey })],
    ['with the secret key as a bearer', () => bearer(project.keys.secretKey)],
    [
      'with the secret key as both, as supabase-js sends it',
      () => ({ apikey: project.keys.secretKey, ...bearer(project.keys.secretKey) }),
    ],
    ['with the legacy service_role key as apikey', () => ({ apikey: project.keys.serviceRoleKey })],
    ['with the legacy service_role key as a bearer', () => bearer(project.keys.serviceRoleKey)],
    ['as the owner', () => bearer(owner.accessToken)],
    ['as an admin', () => bearer(admin.accessToken)],
    [
      'as the owner beside the publishable key, as supabase-js sends it',
      () => ({ apikey: project.keys.publishableKey, ...bearer(owner.accessToken) }),
    ],
  ])('%s', async (_who, headers) => {
    const reply = await ask(headers())
    expect(reply.status).toBe(202)
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(reply.body).toMatchObject({ organizationId: owner.organizationId, jobId: owner.jobId })
  })

  it('through supabase-js as a signed-in owner', async () => {
    const { data, error } = await owner.client.functions.invoke(FUNCTION, {
      body: { organizationId: owner.organizationId },
    })
    expect(error).toBeNull()
    expect(data).toMatchObject({ jobId: owner.jobId })
  })

  it('with a token that has everything a user’s token needs (so the refusals below are for the difference)', async () => {
    expect((await ask(bearer(await forge({})))).status).toBe(202)
  })
})

describe('a caller is not authenticated', () => {
  it.each<[string, () => Record<string, string> | Promise<Record<string, string>>]>([
    ['without credentials', () => ({})],
    ['with a secret key of another project', () => ({ apikey: otherProject.secretKey })],
    ['with a bearer that is no key and no token', () => bearer('something')],
    ['with an empty bearer', () => ({ authorization: 'Bearer ' })],
    ['with basic authentication', () => ({ authorization: `Basic ${btoa(`x:${project.keys.secretKey}`)}` })],
    ['with the publishable key alone', () => ({ apikey: project.keys.publishableKey })],
    [
      'with the publishable key as both, as supabase-js sends it without a session',
      () => ({ apikey: project.keys.publishableKey, ...bearer(project.keys.publishableKey) }),
    ],
    ['with the legacy anon key as a bearer', () => bearer(project.keys.anonKey)],
    ['with the legacy service_role key of another project', () => bearer(otherProject.serviceRoleKey)],
    ['with the beginning of the secret key', () => ({ apikey: project.keys.secretKey.slice(0, -1) })],
    ['with an expired token', async () => bearer(await forge({ exp: Math.floor(Date.now() / 1000) - 60 }))],
    ['with a token that never expires', async () => bearer(await forge({ exp: undefined }))],
    ['with a token signed by another project', async () => bearer(await forge({}, otherProject))],
    [
      'with a token of another issuer',
      async () => bearer(await forge({ iss: 'https://x.supabase.co/auth/v1' })),
    ],
    ['with a token for another audience', async () => bearer(await forge({ aud: 'somebody' }))],
    ['with a token of the role anon', async () => bearer(await forge({ role: 'anon' }))],
    [
      'with a user’s token of the role service_role',
      async () => bearer(await forge({ role: 'service_role' })),
    ],
    ['with a token without a user', async () => bearer(await forge({ sub: undefined }))],
    ['with a token whose user is no uuid', async () => bearer(await forge({ sub: "' or true --" }))],
    [
      'with a token whose claims were changed',
      () => {
        const [header, , signature] = stranger.accessToken.split('.')
        return bearer([header, owner.accessToken.split('.')[1], signature].join('.'))
      },
    ],
    [
      'with a token that asks not to be verified',
      () => bearer(`${encode({ alg: 'none' })}.${owner.accessToken.split('.')[1]}.`),
    ],
    [
      'with a token signed with the public key as if it were a shared secret',
      async () => {
        const { d: _private, ...publicKey } = project.keys.signingKey
        const token = new SignJWT({ sub: owner.userId, role: 'authenticated', aud: 'authenticated' })
        const secret = new TextEncoder().encode(JSON.stringify(publicKey))
        return bearer(await token.setProtectedHeader({ alg: 'HS256' }).setExpirationTime('1h').sign(secret))
      },
    ],
  ])('%s', async (_who, headers) => {
    const before = await auditCount()
    expectProblem(await ask(await headers()), 401, 'unauthorized')
    expect(await auditCount()).toBe(before)
  })
})

describe('a signed-in user is refused', () => {
  it.each<[string, () => Record<string, string>]>([
    ['as a member', () => bearer(member.accessToken)],
    ['as a stranger', () => bearer(stranger.accessToken)],
    // The person decides: a backend that forwards a token must not lend its own rights to whoever called it.
    [
      'as a member beside the secret key',
      () => ({ apikey: project.keys.secretKey, ...bearer(member.accessToken) }),
    ],
  ])('%s', async (_who, headers) => {
    const before = await auditCount()
    expectProblem(await ask(headers()), 403, 'forbidden')
    expect(await auditCount()).toBe(before)
  })
})

async function auditCount(): Promise<number> {
  const [row] = await project.sql<{ n: number }[]>`
    select count(*)::int as n from public.audit_logs where action = 'provisioning.requested'`
  return row?.n ?? 0
}

describe('a doorbell', () => {
  let doorbell: Record<string, unknown>
  beforeEach(async () => {
    doorbell = await project.signDoorbell(owner.jobId)
  })

  it('with a good signature is accepted', async () => {
    const reply = await project.call({ body: doorbell })
    expect(reply.status).toBe(202)
    expect(reply.body).toEqual({ accepted: true })
  })

  it.each<[string, () => Promise<Record<string, unknown>> | Record<string, unknown>]>([
    ['a wrong signature', () => ({ ...doorbell, signature: 'f'.repeat(64) })],
    [
      'a signature with one other digit',
      () => ({ ...doorbell, signature: String(doorbell.signature).replace(/.$/, flipped) }),
    ],
    ['the signature of another job', () => ({ ...doorbell, jobId: stranger.jobId })],
    ['a later end than was signed', () => ({ ...doorbell, expiresAt: Date.now() + 9_999_000 })],
    ['a good signature that has expired', () => project.signDoorbell(owner.jobId, Date.now() - 5_000)],
  ])('with %s is not', async (_what, body) => {
    expectProblem(await project.call({ body: await body() }), 401, 'unauthorized')
  })

  it.each<[string, () => Record<string, unknown>, string]>([
    ['an unknown field', () => ({ ...doorbell, organizationId: owner.organizationId }), 'organizationId'],
    ['a signature of another length', () => ({ ...doorbell, signature: 'abc' }), 'signature'],
    ['a job that is no uuid', () => ({ ...doorbell, jobId: '1' }), 'jobId'],
    ['a time that is no number', () => ({ ...doorbell, expiresAt: 'tomorrow' }), 'expiresAt'],
  ])('with %s is a bad request that names the field', async (_what, body, field) => {
    const reply = await project.call({ body: body() })
    expectProblem(reply, 400, 'invalid_body')
    expect(reply.body?.issues).toEqual([{ path: field, message: expect.any(String) }])
  })

  it('opens nothing when credentials are sent with it that are wrong', async () => {
    expectProblem(await project.call({ headers: bearer('x'), body: doorbell }), 401, 'unauthorized')
  })

  it('is accepted once', async () => {
    const ring = () => project.call({ body: doorbell })
    const together = await Promise.all([ring(), ring(), ring()])
    expect(together.map(({ status }) => status).sort()).toEqual([202, 401, 401])
    expectProblem(await ring(), 401, 'unauthorized')
  })

  it('is accepted also when several arrive together at a process that has just started', async () => {
    project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')
    const doorbells = await Promise.all(Array.from({ length: 8 }, () => project.signDoorbell(owner.jobId)))
    const replies = await Promise.all(doorbells.map((body) => project.call({ body })))
    expect(replies.map(({ status }) => status)).toEqual(Array(8).fill(202))
  })
})

const flipped = (digit: string) => (digit === '0' ? '1' : '0')

describe('the way in', () => {
  it('answers a browser’s preflight', async () => {
    const reply = await project.call({
      method: 'OPTIONS',
      headers: {
        origin: 'https://app.example.com',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization, content-type',
      },
    })
    expect(reply.status).toBe(204)
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    expect(reply.headers.get('access-control-allow-methods')).toContain('POST')
    const allowed = reply.headers.get('access-control-allow-headers') ?? ''
    for (const name of ['authorization', 'apikey', 'content-type', 'x-client-info'])
      expect(allowed).toContain(name)
  })

  it.each(['GET', 'PUT', 'PATCH', 'DELETE'])('refuses %s', async (method) => {
    expectProblem(
      await project.call({ method, headers: { apikey: project.keys.secretKey } }),
      405,
      'method_not_allowed',
    )
  })
})
