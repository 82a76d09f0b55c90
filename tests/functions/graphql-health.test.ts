import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestProject, type TestProject } from '../support/project.ts'
import { ask, bearer, type Cast, castOf, type Person } from './graphql-client.ts'

let project: TestProject
let cast: Cast

beforeAll(async () => {
  project = await startTestProject()
  cast = await castOf(project)
})

afterAll(() => project?.stop())

const HEALTH = `organizationId status reasons { code severity message } checkedAt connectedAt nextCheckAt
  metrics { connectMs pooledConnectMs latencyMs cacheHitRatio connections maxConnections sizeBytes quotaBytes schemaDifferences
    schemaLookedAt certificateIssuer certificateExpiresAt }`

const askAs = (person: Person, query: string, variables: Record<string, unknown> = {}) =>
  ask(project, cast.credentials(person), query, { id: cast.organizationId, ...variables })

describe('checkTenantHealth', () => {
  const mutation = `mutation ($id: ID!, $deep: Boolean! = false) { checkTenantHealth(organizationId: $id, deep: $deep) { ${HEALTH} } }`

  it('connects, and says what it has found', async () => {
    const { data, errors } = await askAs('owner', mutation, { deep: true })
    expect(errors).toEqual([])
    expect(data.checkTenantHealth).toMatchObject({
      organizationId: cast.organizationId,
      status: 'HEALTHY',
      metrics: {
        latencyMs: expect.any(Number),
        maxConnections: expect.any(Number),
        schemaDifferences: null,
        schemaLookedAt: expect.any(String),
      },
    })
    expect(Date.now() - Date.parse(data.checkTenantHealth.checkedAt)).toBeLessThan(20_000)
  })

  it.each<[Person, string | undefined]>([
    ['stranger', 'forbidden'],
    ['member', undefined],
    ['admin', undefined],
    ['owner', undefined],
    ['operator', undefined],
    ['service', undefined],
  ])('answers a %s: %s', async (person, code) => {
    await project.sql`update provisioning.settings set health_requests_per_minute = 100`
    const { data, errors } = await askAs(person, mutation)
    expect(errors[0]?.extensions.code).toBe(code)
    expect(data.checkTenantHealth?.organizationId).toBe(code ? undefined : cast.organizationId)
  })

  it('wakes no database for a plain member', async () => {
    const { data, errors } = await askAs('member', mutation, { deep: true })
    expect(errors).toMatchObject([{ extensions: { code: 'forbidden' } }])
    expect(data.checkTenantHealth).toBeNull()
  })

  it('is limited, and says when it may be asked again', async () => {
    await project.sql`update provisioning.settings set health_requests_per_minute = 1`
    await askAs('owner', mutation)
    const { errors } = await askAs('owner', mutation)
    expect(errors).toMatchObject([
      { extensions: { code: 'too_many_attempts', retryAfterSeconds: expect.any(Number) } },
    ])
  })
})

describe('tenantHealth', () => {
  const query = `query ($id: ID!) { tenantHealth(organizationId: $id) { ${HEALTH} } }`

  it.each<[Person, boolean]>([
    ['stranger', false],
    ['operator', false],
    ['member', true],
    ['admin', true],
    ['owner', true],
    ['service', true],
  ])('is there for a %s: %s', async (person, there) => {
    const { data, errors } = await askAs(person, query)
    expect(errors).toEqual([])
    expect(data.tenantHealth?.organizationId).toBe(there ? cast.organizationId : undefined)
  })

  it('is what the row says', async () => {
    await project.sql`
      update public.tenant_health set status = 'degraded',
        reasons = '[{"code": "slow_queries", "severity": "degraded", "message": "It is slow."},
          {"code": "storage_high", "severity": "unhealthy", "message": "It is full."},
          {"code": "near_quota", "severity": "info", "message": "It grows."}]',
        metrics = '{"latency_ms": 12.5, "max_connections": 100, "size_bytes": 5368709120, "counters": {"at": "x"},
          "schema_differences": ["table public.deals is changed"], "certificate_issuer": "Digital Signatures",
          "certificate_expires_at": "2030-01-02T03:04:05.000Z"}'
      where organization_id = ${cast.organizationId}`
    const { data } = await askAs('member', query)
    expect(data.tenantHealth).toMatchObject({
      status: 'DEGRADED',
      reasons: [
        { code: 'slow_queries', severity: 'WARNING', message: 'It is slow.' },
        { code: 'storage_high', severity: 'CRITICAL', message: 'It is full.' },
        { code: 'near_quota', severity: 'INFO', message: 'It grows.' },
      ],
      metrics: {
        latencyMs: 12.5,
        maxConnections: 100,
        sizeBytes: 5_368_709_120,
        connectMs: null,
        schemaDifferences: ['table public.deals is changed'],
        certificateIssuer: 'Digital Signatures',
        certificateExpiresAt: '2030-01-02T03:04:05.000Z',
      },
    })
  })

  it('is null while there is no database', async () => {
    const reply = await project.whileHeld(async () => {
      const person = await project.signUp()
      return ask(project, bearer(person.accessToken), query, { id: person.organizationId })
    })
    expect(reply.data).toEqual({ tenantHealth: null })
    expect(reply.errors).toEqual([])
  })
})

describe('tenantHealthHistory', () => {
  const query = `query ($id: ID!, $since: DateTime, $bucket: HealthBucket! = HOUR) {
    tenantHealthHistory(organizationId: $id, since: $since, bucket: $bucket) {
      at checks available status minLatencyMs medianLatencyMs p95LatencyMs connections cacheHitRatio
      sizeBytes } }`

  /** Two hours of yesterday and one of today, and this minute's check. */
  async function insertHistory(): Promise<Date> {
    const noon = new Date()
    noon.setUTCHours(0, 0, 0, 0)
    noon.setUTCHours(-12)
    const hours = [
      [0, 120, 120, 1, 2, 4, 9, 1, 1_000],
      [1, 120, 60, 2, 4, 90, 5, 0.5, 3_000_000_000],
      [12, 10, 10, 1, 3, 5, 1, 1, 5],
    ] as const
    for (const [after, checks, available, min, median, p95, connections, cache, size] of hours)
      await project.sql`
        insert into public.tenant_health_hourly (organization_id, hour, checks, available, min_latency_ms,
          median_latency_ms, p95_latency_ms, connections, cache_hit_ratio, size_bytes)
        values (${cast.organizationId}, ${new Date(noon.getTime() + after * 3_600_000)}, ${checks}, ${available}, ${min},
          ${median}, ${p95}, ${connections}, ${cache}, ${size})`
    return noon
  }

  it('tells hours, and days made of them, the oldest first', async () => {
    const noon = await insertHistory()
    const hours = await askAs('member', query, { since: noon.toISOString() })
    expect(hours.errors).toEqual([])
    expect(hours.data.tenantHealthHistory).toHaveLength(3)
    expect(hours.data.tenantHealthHistory[0]).toEqual({
      at: noon.toISOString(),
      checks: 120,
      available: 120,
      status: null,
      minLatencyMs: 1,
      medianLatencyMs: 2,
      p95LatencyMs: 4,
      connections: 9,
      cacheHitRatio: 1,
      sizeBytes: 1_000,
    })
    const since = new Date(noon.getTime() + 1_800_000).toISOString()
    const later = await askAs('member', query, { since: new Date(noon.getTime() + 3_600_000).toISOString() })
    expect(later.data.tenantHealthHistory).toHaveLength(2)
    const days = await askAs('member', query, { since, bucket: 'DAY' })
    expect(days.data.tenantHealthHistory).toMatchObject([
      {
        checks: 240,
        available: 180,
        minLatencyMs: 1,
        medianLatencyMs: 3,
        p95LatencyMs: 90,
        connections: 9,
        cacheHitRatio: 0.75,
        sizeBytes: 3_000_000_000,
      },
      { checks: 10, available: 10 },
    ])
  })

  it('tells each check', async () => {
    const { data } = await askAs('owner', query, { bucket: 'CHECK' })
    expect(data.tenantHealthHistory.length).toBeGreaterThan(0)
    expect(data.tenantHealthHistory[0]).toMatchObject({
      checks: 1,
      available: 1,
      status: expect.stringMatching(/HEALTHY|SLEEPING/),
    })
  })

  it.each(['CHECK', 'HOUR', 'DAY'])('is empty for a stranger: %s', async (bucket) => {
    const since = new Date(0).toISOString()
    expect((await askAs('stranger', query, { bucket, since })).data).toEqual({ tenantHealthHistory: [] })
    expect((await askAs('member', query, { bucket, since })).data.tenantHealthHistory).not.toEqual([])
  })
})
