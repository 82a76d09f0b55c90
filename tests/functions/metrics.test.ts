import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Gateway } from '../../local/gateway/gateway.ts'
import { LOCAL_METRICS_KEY } from '../../local/project-services.ts'
import { GAUGES } from '../../shared/metrics/gauges.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { parsePrometheus, type Sample } from '../support/prometheus.ts'

let project: TestProject
let owner: SignedUp

beforeAll(async () => {
  project = await startTestProject()
  owner = await project.signUp()
  await project.waitFor(owner.organizationId)
})

afterAll(() => project?.stop())

const scrape = (headers: Readonly<Record<string, string>>, gateway: Gateway = project.services.gateway) =>
  fetch(`${gateway.url}/functions/v1/metrics`, { headers })

const withKey = { authorization: `Bearer ${LOCAL_METRICS_KEY}` }

/** What the endpoint tells of one metric. */
async function samplesOf(name: keyof typeof GAUGES): Promise<Sample[]> {
  const { samples } = parsePrometheus(await (await scrape(withKey)).text())
  return samples.filter((sample) => sample.name === name)
}

describe('the function metrics', () => {
  it('answers in the text format of Prometheus, with a help and the type of each gauge', async () => {
    const reply = await scrape(withKey)
    expect(reply.status).toBe(200)
    expect(reply.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
    const { families, samples } = parsePrometheus(await reply.text())
    expect([...families.keys()].sort()).toEqual(Object.keys(GAUGES).sort())
    expect([...families.values()].filter(({ help, type }) => help === '' || type !== 'gauge')).toEqual([])
    expect(samples.length).toBeGreaterThan(50)
  })

  it('tells what a sign-up has done: a job that succeeded, its steps and how long they took', async () => {
    expect(await samplesOf('provisioning_jobs_finished_last_hour')).toContainEqual({
      name: 'provisioning_jobs_finished_last_hour',
      labels: { kind: 'provision', status: 'succeeded' },
      value: 1,
    })
    expect(await samplesOf('provisioning_tenants')).toContainEqual(
      expect.objectContaining({ labels: { state: 'ready' }, value: 1 }),
    )
    const steps = await samplesOf('provisioning_steps_last_hour')
    expect(steps.map(({ labels }) => labels.step)).toEqual(
      expect.arrayContaining(['stripe_customer', 'neon_project']),
    )
    const [median] = (await samplesOf('provisioning_step_seconds_last_hour')).filter(
      ({ labels }) => labels.step === 'neon_project' && labels.quantile === '0.5',
    )
    expect(median?.value).toBeGreaterThan(0)
    expect((await samplesOf('provisioning_connections')).map(({ labels }) => labels.of)).toContain(
      'functions',
    )
  })

  it('forgets a series that has gone', async () => {
    await project.sql`insert into provisioning.fleet_migrations (to_version, canary_tenants, max_failures_percent)
      values (9, 1, 10)`
    expect(await samplesOf('provisioning_fleet_migration_tenants')).toHaveLength(3)
    await project.sql`delete from provisioning.fleet_migrations`
    expect(await samplesOf('provisioning_fleet_migration_tenants')).toEqual([])
  })

  it('tells a sweep that never ran as one that is infinitely long ago', async () => {
    await project.sql`update provisioning.dispatch_state set last_swept_at = null`
    expect(await samplesOf('provisioning_sweep_age_seconds')).toEqual([
      { name: 'provisioning_sweep_age_seconds', labels: {}, value: Number.POSITIVE_INFINITY },
    ])
  })

  it.each<[string, () => Record<string, string>]>([
    ['nothing', () => ({})],
    [
      'another key of that length',
      () => ({ authorization: `Bearer ${'x'.repeat(LOCAL_METRICS_KEY.length)}` }),
    ],
    ['the beginning of the key', () => ({ authorization: `Bearer ${LOCAL_METRICS_KEY.slice(0, -1)}` })],
    ['the key and more', () => ({ authorization: `Bearer ${LOCAL_METRICS_KEY}x` })],
    ['the key as apikey', () => ({ apikey: LOCAL_METRICS_KEY })],
    ['the key as a password', () => ({ authorization: `Basic ${btoa(`x:${LOCAL_METRICS_KEY}`)}` })],
    ['the project’s secret key', () => ({ authorization: `Bearer ${project.keys.secretKey}` })],
    ['the legacy service_role key', () => ({ authorization: `Bearer ${project.keys.serviceRoleKey}` })],
    ['an owner’s access token', () => ({ authorization: `Bearer ${owner.accessToken}` })],
  ])('refuses whoever sends %s', async (_what, headers) => {
    const reply = await scrape(headers())
    const text = await reply.text()
    expect([reply.status, JSON.parse(text).code]).toEqual([401, 'unauthorized'])
    expect(text).not.toContain('provisioning_')
  })

  it('answers no Authorization with an error of its own', async () => {
    const odd = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ maxLength: 60 }).map((text) => `Bearer ${text}`),
    )
    await fc.assert(
      fc.asyncProperty(odd, async (text) => {
        const authorization = text.replace(/[^\x20-\x7e]/g, '')
        expect((await scrape({ authorization })).status).toBe(401)
      }),
      { numRuns: 40 },
    )
  })

  it('says that it has no key, and serves nothing, where none is set', async () => {
    const gateway = await project.startSecondGateway({ METRICS_KEY: undefined })
    for (const headers of [{}, withKey, { authorization: 'Bearer undefined' }]) {
      const reply = await scrape(headers, gateway)
      const body = await reply.json()
      expect([reply.status, body.code]).toEqual([503, 'not_configured'])
      expect(body.detail).toContain('METRICS_KEY')
    }
  })
})
