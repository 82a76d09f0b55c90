import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOCAL_METRICS_KEY } from '../../../local/project-services.ts'
import { services } from '../../../shared/services/registry.ts'
import { emulatorVariables } from '../../../tools/emulators.ts'
import { startTestProject, type TestProject } from '../../support/project.ts'
import { parsePrometheus } from '../../support/prometheus.ts'
import { EVERY_FUNCTION, methodOf } from '../every-function.ts'
import { type OldDenoFunction, oldDenoVersion, startOnOldDeno } from './processes.ts'

const PROVISION = 'provision-tenant-resources'

let project: TestProject
const running = new Map<string, OldDenoFunction>()

beforeAll(async () => {
  project = await startTestProject()
})

afterAll(async () => {
  await Promise.all([...running.values()].map((started) => started.stop()))
  await project?.stop()
})

/** What a hosted function finds in its environment. */
function environment(): Record<string, string> {
  const { keys, services: around } = project
  const urls: Readonly<Record<string, string | undefined>> = {
    stripe: around.stripe?.url,
    neon: around.neon?.url,
  }
  const addresses = services.map((service) => emulatorVariables(service, urls[service.name] ?? ''))
  return Object.assign(
    {
      SUPABASE_URL: around.url,
      SUPABASE_DB_URL: project.databaseUrl(),
      SUPABASE_PUBLISHABLE_KEYS: JSON.stringify({ default: keys.publishableKey }),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: keys.secretKey }),
      METRICS_KEY: LOCAL_METRICS_KEY,
    },
    ...addresses,
  )
}

async function start(name: string): Promise<OldDenoFunction> {
  const started = await startOnOldDeno(name, environment())
  running.set(name, started)
  return started
}

describe('on Deno 2.1, with which hosted functions are compatible', () => {
  it('is what these tests run on', async () => {
    expect(await oldDenoVersion()).toMatch(/^deno 2\.1\./)
  })

  it.each(EVERY_FUNCTION)('%s starts and refuses who has no doorbell and no key', async (name) => {
    const { url } = await start(name)
    const post = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }
    const [wrong, right] = methodOf(name) === 'POST' ? [{}, post] : [post, {}]
    expect((await fetch(url, wrong)).status).toBe(405)
    const refused = await fetch(url, right)
    expect(refused.status).toBe(401)
    expect(refused.headers.get('content-type')).toBe('application/problem+json')
  })

  it('metrics are read, and parsed', async () => {
    const { url } = running.get('metrics') ?? (await start('metrics'))
    const reply = await fetch(url, { headers: { authorization: `Bearer ${LOCAL_METRICS_KEY}` } })
    expect(reply.status).toBe(200)
    expect(parsePrometheus(await reply.text()).samples.length).toBeGreaterThan(50)
  })

  it('a sign-up is provisioned, rung by the database', async () => {
    const { url } = running.get(PROVISION) ?? (await start(PROVISION))
    // Whatever path is called, the process answers; the database appends the function's name.
    await project.sql`
      select vault.update_secret(id, ${url}) from vault.secrets where name = 'functions_base_url'`
    const { organizationId } = await project.signUp()
    await project.waitFor(organizationId)
    expect(project.services.gateway.functions.processes()).toEqual([])
    const { projects, customers } = await project.resources(organizationId)
    expect([projects.length, customers.length]).toEqual([1, 1])
  })
})
