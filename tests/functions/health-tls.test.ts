import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Gateway } from '../../local/gateway/gateway.ts'
import { evaluate, type Thresholds } from '../../shared/health/evaluate.ts'
import { projectRoot } from '../../tools/project.ts'
import { startTestProject, type TestProject } from '../support/project.ts'
import { TYPESCRIPT } from '../support/typescript.ts'
import { addTenant, callHealth, type HealthTenant } from './health-project.ts'
import { type Authority, createAuthority, issue, startTlsFront, type TlsFront } from './tls-front.ts'

const DAY_MS = 86_400_000

let project: TestProject
let authority: Authority
let stranger: Authority
let front: TlsFront
let tenant: HealthTenant
/** Functions that trust the authority. */
let gateway: Gateway

beforeAll(async () => {
  ;[project, authority, stranger] = await Promise.all([
    startTestProject(),
    createAuthority(),
    createAuthority(),
  ])
  front = await startTlsFront(project.neonEmulator.postgresPort)
  tenant = await addTenant(project)
  await project.sql`update public.organization_databases set ssl_mode = 'verify-full', host = 'localhost', pooled_host = 'localhost',
    port = ${front.port} where organization_id = ${tenant.organizationId}`
  gateway = await project.startSecondGateway({ DENO_CERT: authority.file })
})

afterAll(async () => {
  await project?.stop()
  await front?.stop()
  await authority?.remove()
  await stranger?.remove()
})

interface Checked {
  readonly status: string
  readonly reasons: readonly unknown[]
  readonly metrics: Readonly<Record<string, unknown>>
}

/** Through the function, on Deno. */
async function checkOnDeno(): Promise<Checked> {
  const { status, body } = await callHealth(
    project,
    { organizationId: tenant.organizationId, deep: true },
    undefined,
    gateway.url,
  )
  expect(status).toBe(200)
  return {
    status: String(body.status),
    reasons: [Object(body.reasons)[0]].filter(Boolean),
    metrics: Object(body.metrics),
  }
}

/** The probe alone, on Node. */
async function checkOnNode(): Promise<Checked> {
  const role = `tenant_${tenant.organizationId.replaceAll('-', '')}`
  const address = {
    host: 'localhost',
    pooledHost: 'localhost',
    port: front.port,
    databaseName: role,
    roleName: `${role}_health`,
    sslMode: 'verify-full',
  }
  const { stdout } = await promisify(execFile)(
    process.execPath,
    [
      ...TYPESCRIPT,
      path.join(projectRoot, 'tests/functions/probe-once.ts'),
      JSON.stringify(address),
      tenant.healthPassword,
    ],
    { cwd: projectRoot, env: { ...process.env, NODE_EXTRA_CA_CERTS: authority.file } },
  )
  const probe = JSON.parse(stdout)
  return {
    status: probe.ok ? 'healthy' : 'unhealthy',
    reasons: probe.ok ? [] : [probe.reason],
    metrics: probe.metrics ?? {},
  }
}

describe.each([
  ['Deno', checkOnDeno],
  ['Node', checkOnNode],
])('on %s, a certificate', (platform, check) => {
  it('that is good lets the check in, which tells until when it is good', async () => {
    front.use(await issue(authority, 'localhost', 90))
    const { status, reasons, metrics } = await check()
    expect({ status, reasons }).toEqual({ status: 'healthy', reasons: [] })
    const days = (Date.parse(String(metrics.certificate_expires_at)) - Date.now()) / DAY_MS
    expect(days).toBeGreaterThan(89.9)
    expect(days).toBeLessThan(90.1)
    expect(metrics.certificate_issuer).toMatch(/\w/)
  })

  it('that has expired is named so', async () => {
    front.use(await issue(authority, 'localhost', -1))
    expect(await check()).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'certificate_expired', severity: 'unhealthy' }],
    })
  })

  it.each([
    [
      'of another host',
      () => issue(authority, 'elsewhere.example.com', 90),
      / It is made out for another host\.$/,
    ],
    [
      'of an authority that nobody knows',
      () => issue(stranger, 'localhost', 90),
      / It was issued by [\w .-]+, which is not trusted here\.$/,
    ],
  ])('%s is not accepted, and the reason says why', async (_, make, message) => {
    front.use(await make())
    expect(await check()).toMatchObject({
      status: 'unhealthy',
      reasons: [
        { code: 'certificate_invalid', severity: 'unhealthy', message: expect.stringMatching(message) },
      ],
    })
  })

  it(`that ends soon degrades the tenant, as its plan says (${platform})`, async () => {
    front.use(await issue(authority, 'localhost', 3))
    const { metrics } = await check()
    const expiresAt = String(metrics.certificate_expires_at)
    const [row] = await project.sql<{ thresholds: Thresholds }[]>`
      select to_jsonb(t) || '{"quota_bytes": null}' as thresholds from provisioning.health_thresholds t where plan = 'free'`
    if (!row) throw new Error('the plan has no thresholds')
    expect(evaluate({ certificate_expires_at: expiresAt }, row.thresholds, 0, Date.now())).toMatchObject({
      status: 'degraded',
      reasons: [{ code: 'certificate_expires', severity: 'degraded' }],
    })
  })
})

describe('a server that offers no TLS', () => {
  it('is not talked to in the clear', async () => {
    await project.sql`update public.organization_databases set port = ${project.neonEmulator.postgresPort}, host = '127.0.0.1',
      pooled_host = '127.0.0.1' where organization_id = ${tenant.organizationId}`
    const { connections } = project.neonEmulator.stats
    expect(await checkOnDeno()).toMatchObject({ status: 'unhealthy' })
    expect(project.neonEmulator.stats.connections).toBe(connections)
  })
})
