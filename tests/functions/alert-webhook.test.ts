import { createServer, type Server } from 'node:http'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { freePort } from '../../tools/ports.ts'
import { dumpTables, findSecrets } from '../end-to-end/secret-search.ts'
import { startTestProject, type TestProject, until } from '../support/project.ts'
import { addTenant, addTenants, type HealthTenant, setHealthPassword, sweep } from './health-project.ts'

interface Received {
  readonly id: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

let project: TestProject
let receiver: Server
let received: Received[] = []
/** How the receiver answers; never when it returns undefined. */
let answer: (count: number) => number | undefined = () => 200
let key = ''
let address = ''
let tenant: HealthTenant

beforeAll(async () => {
  project = await startTestProject()
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => void chunks.push(chunk))
    request.on('end', () => {
      const headers = Object.fromEntries(
        Object.entries(request.headers).map(([name, value]) => [name, String(value)]),
      )
      received.push({ id: headers['webhook-id'] ?? '', headers, body: Buffer.concat(chunks).toString() })
      const status = answer(received.length)
      if (status !== undefined)
        response.writeHead(status, status === 302 ? { location: `${address}/elsewhere` } : {}).end()
    })
  })
  await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve))
  const bound = receiver.address()
  address = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}/hooks/T0KEN-that-nobody-may-see`
  tenant = await addTenant(project)
  await project.sql`select vault.create_secret(${address}, 'alert_webhook_url')`
  const [secret] = await project.sql<{ key: string }[]>`
    select decrypted_secret as key from vault.decrypted_secrets where name = 'alert_webhook_secret'`
  key = secret?.key ?? ''
})

beforeEach(async () => {
  received = []
  answer = () => 200
  await project.sql`delete from public.tenant_alerts`
  await setAddress(address)
})

afterAll(async () => {
  receiver?.closeAllConnections()
  receiver?.close()
  await project?.stop()
})

const setAddress = (url: string) =>
  project.sql`select vault.update_secret(id, ${url}) from vault.secrets where name = 'alert_webhook_url'`
const open = ({ organizationId }: HealthTenant, severity = 'warning') =>
  project.sql`select provisioning.open_alert(${organizationId}, 'tenant_health', ${severity}, 'It is slow.', '{"status": "degraded"}')`
const resolve = ({ organizationId }: HealthTenant) =>
  project.sql`select provisioning.resolve_alert(${organizationId}, 'tenant_health')`
async function ring(url = project.services.url): Promise<void> {
  const reply = await fetch(`${url}/functions/v1/deliver-alerts`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', apikey: project.keys.secretKey },
    body: '{}',
  })
  expect({ status: reply.status, body: await reply.json() }).toEqual({
    status: 202,
    body: { accepted: true },
  })
}
const hurry = () =>
  project.sql`update provisioning.alert_deliveries set next_attempt_at = now(), last_error = null
    where next_attempt_at is not null`

interface Delivery {
  readonly event: string
  readonly attempts: number
  readonly delivered: boolean
  readonly last_error: string | null
  readonly seconds: number | null
}

const deliveries = () =>
  project.sql<Delivery[]>`
    select event, attempts, delivered_at is not null as delivered, last_error,
      extract(epoch from next_attempt_at - now())::float8 as seconds
    from provisioning.alert_deliveries order by created_at`

/**
 * Waits until the newest delivery was tried so many times and its answer noted. For the first time nobody need ring: the alert
 * itself does.
 */
async function attempt(attempts: number): Promise<Delivery> {
  if (attempts > 1) {
    await hurry()
    await ring()
  }
  return until(
    `${attempts} attempts`,
    async () => {
      const last = (await deliveries()).at(-1)
      const noted = last?.delivered || last?.last_error != null
      return last && last.attempts === attempts && noted ? last : undefined
    },
    40_000,
  )
}

describe('an alert', () => {
  it('arrives signed, so that the library of Standard Webhooks verifies it', async () => {
    await open(tenant)
    await attempt(1)
    expect(received).toHaveLength(1)
    const [news] = received
    if (!news) throw new Error('nothing was received')
    const payload = new Webhook(key).verify(news.body, news.headers)
    expect(payload).toMatchObject({
      type: 'tenant.alert.opened',
      timestamp: expect.any(String),
      data: {
        kind: 'tenant_health',
        severity: 'warning',
        message: 'It is slow.',
        metadata: { status: 'degraded' },
        resolvedAt: null,
        organization: { id: tenant.organizationId, slug: tenant.organizationId, name: 'A tenant' },
      },
    })
    expect(() => new Webhook(key).verify(news.body.replace('slow', 'fine'), news.headers)).toThrow()
    expect(() =>
      new Webhook(`whsec_${Buffer.alloc(32).toString('base64')}`).verify(news.body, news.headers),
    ).toThrow()
  })

  it('is told when it opens, escalates and is resolved, in this order', async () => {
    await open(tenant)
    await open(tenant, 'critical')
    await resolve(tenant)
    await until(
      'note of all',
      async () => (await deliveries()).filter(({ delivered }) => delivered).length === 3 || undefined,
    )
    expect(received.map(({ body }) => JSON.parse(body).type)).toEqual([
      'tenant.alert.opened',
      'tenant.alert.escalated',
      'tenant.alert.resolved',
    ])
  })

  it('of a tenant that its checks find in trouble is told without anybody’s doing', async () => {
    const troubled = await addTenant(project)
    await setHealthPassword(project, troubled, 'not the password')
    for (const _ of [1, 2, 3]) {
      await sweep(project, [troubled])
      // As far apart as sweeps are; sooner ones would count as one.
      await project.sql`update public.tenant_health set counted_at = counted_at - interval '30 seconds'`
    }
    await until('news', () => received.length > 0 || undefined)
    expect(JSON.parse(received[0]?.body ?? '{}')).toMatchObject({
      type: 'tenant.alert.opened',
      data: {
        severity: 'critical',
        metadata: { codes: ['login_refused'] },
        organization: { id: troubled.organizationId },
      },
    })
    await project.sql`delete from public.tenant_health where organization_id = ${troubled.organizationId}`
  })

  it('of a job that failed is told, too', async () => {
    await project.sql`
      select provisioning.open_alert(${tenant.organizationId}, 'provision_failed', 'critical', 'Stripe refused the customer.')`
    await attempt(1)
    expect(JSON.parse(received[0]?.body ?? '{}')).toMatchObject({ data: { kind: 'provision_failed' } })
  })
})

describe('a delivery', () => {
  it.each([500, 404, 302])(
    'that is answered %d is repeated with the same id until it is taken, and then never again',
    async (status) => {
      answer = (count) => (count < 3 ? status : 204)
      await open(tenant)
      const first = await attempt(1)
      expect(first).toMatchObject({
        delivered: false,
        last_error: expect.stringContaining(status === 302 ? 'could not be reached' : `answered ${status}`),
      })
      expect(first.seconds).toBeGreaterThan(25)
      expect(first.seconds).toBeLessThanOrEqual(30)
      expect((await attempt(2)).seconds).toBeGreaterThan(55)
      expect(await attempt(3)).toMatchObject({ delivered: true, last_error: null })
      for (const _ of [1, 2]) {
        await hurry()
        await ring()
      }
      expect(received).toHaveLength(3)
      expect(new Set(received.map(({ id }) => id)).size).toBe(1)
      for (const { body, headers } of received) new Webhook(key).verify(body, headers)
    },
  )

  it('to a receiver that does not answer is given up after ten seconds, and is repeated', async () => {
    answer = (count) => (count === 1 ? undefined : 200)
    await open(tenant)
    const failed = await until(
      'failure',
      async () => (await deliveries()).find(({ last_error: error }) => error !== null),
      40_000,
    )
    expect(failed).toMatchObject({ delivered: false, attempts: 1 })
    expect(await attempt(2)).toMatchObject({ delivered: true })
    expect(received[0]?.id).toBe(received[1]?.id)
  })

  it('is made once, however many workers are rung for it', async () => {
    answer = () => 200
    const other = await project.startSecondGateway()
    const alerts = await addTenants(project, 6)
    for (const each of alerts) await open(each)
    await Promise.all([1, 2, 3].flatMap(() => [ring(), ring(other.url)]))
    await until(
      'deliveries',
      async () => (await deliveries()).every(({ delivered }) => delivered) || undefined,
    )
    expect(received).toHaveLength(alerts.length)
    expect(new Set(received.map(({ id }) => id)).size).toBe(alerts.length)
    await other.stop()
  })

  it.each([
    ['in the clear to another host', 'http://hooks.example.com/tenants'],
    ['to something that is no address', 'nonsense'],
  ])('is not made %s', async (_, url) => {
    await setAddress(url)
    await open(tenant)
    expect(await attempt(1)).toMatchObject({
      delivered: false,
      last_error: 'alert_webhook_url is not an https address.',
    })
  })

  it('leaves neither the key nor the address in any table, nor in the log', async () => {
    const closed = address.replace(/:\d+\//, `:${await freePort()}/`)
    await setAddress(closed)
    await open(tenant)
    expect(await attempt(1)).toMatchObject({
      delivered: false,
      last_error: expect.stringContaining('could not be reached'),
    })
    const [error] = await deliveries()
    expect(error?.last_error).not.toContain('T0KEN')
    const secrets = [
      { kind: 'the key', value: key },
      { kind: 'the address', value: '/hooks/T0KEN-that-nobody-may-see' },
    ]
    const log = { name: 'the log', text: project.log.map(({ text }) => text).join('\n') }
    expect(findSecrets(secrets, [...(await dumpTables(project.superuser)), log])).toEqual([])
  })
})
