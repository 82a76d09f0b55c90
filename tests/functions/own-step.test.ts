import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { expect, it } from 'vitest'
import { createJobFunction } from '../../shared/engine/job-function.ts'
import { readEnvironment } from '../../shared/kernel/environment.ts'
import { neon } from '../../shared/services/neon/index.ts'
import { stepSources } from '../../shared/services/registry.ts'
import { stripe } from '../../shared/services/stripe/index.ts'
import { provisionFunction } from '../../shared/tenants/provision-function.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { localDirectory, makeLocal } from '../../tools/local-directory.ts'
import { projectRoot } from '../../tools/project.ts'
import { startTestProject } from '../support/project.ts'

const page = await readFile(path.join(projectRoot, 'docs/extending.md'), 'utf8')
const [typescript = '', sql = ''] = ['ts', 'sql'].map(
  (language) => page.split(`\`\`\`${language}\n`)[1]?.split('```')[0],
)

/** The module as it stands on the page, at the depth that its imports expect. */
async function load() {
  await makeLocal(localDirectory)
  const directory = await mkdtemp(path.join(localDirectory, 'own-step-'))
  try {
    const file = path.join(directory, 'index.ts')
    await writeFile(file, typescript.replaceAll("'../", `'${path.join(projectRoot, 'shared/services')}/`))
    const { crm } = await import(/* @vite-ignore */ file)
    return crm
  } finally {
    await rm(directory, { recursive: true })
  }
}

it('the step of docs/extending.md has fewer than 40 lines, and is run, retried, shown and repeated', async () => {
  const lines = `${typescript}${sql}`.split('\n').filter((line) => line.trim() !== '')
  expect(lines.length).toBeLessThan(40)

  const calls: string[] = []
  let answers = 503
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url} ${request.headers.authorization}`)
    response.writeHead(answers).end()
    answers = 200
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  await using project = await startTestProject()
  try {
    await project.sql.unsafe(sql)
    // The deployed functions know nothing of the step, so nobody rings for them.
    await project.sql`delete from vault.secrets where name = 'functions_base_url'`
    const environment = readEnvironment({
      SUPABASE_URL: project.services.url,
      SUPABASE_DB_URL: project.databaseUrl(),
      SUPABASE_SECRET_KEYS: JSON.stringify({ default: project.keys.secretKey }),
      ...emulatorVariables(stripe, project.stripeEmulator.url),
      ...emulatorVariables(neon, project.neonEmulator.url),
      CRM_KEY: 'crm-key',
      CRM_URL: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    })
    const provision = createJobFunction(environment, provisionFunction, [...stepSources, await load()])
    const { organizationId } = await project.signUp()
    const ask = async (body: object) => {
      const headers = { 'content-type': 'application/json', apikey: project.keys.secretKey }
      const sent = JSON.stringify({ organizationId, wait: true, ...body })
      return (
        await provision(new Request('http://localhost/', { method: 'POST', headers, body: sent }))
      ).json()
    }
    expect(await ask({})).toMatchObject({
      status: 'succeeded',
      provisioningStatus: { neon: 'ready', crm: 'ready', overall: 'ready' },
    })
    const call = `PUT /accounts/${organizationId} Bearer crm-key`
    expect(calls).toEqual([call, call])
    const [event] = await project.sql`
      select metadata ->> 'code' as code from public.provisioning_events
      where organization_id = ${organizationId} and event_type = 'step.retrying'`
    expect(event?.code).toBe('crm_unreachable')
    expect(await ask({ services: ['crm'] })).toMatchObject({ status: 'succeeded' })
    expect(calls).toEqual([call, call, call])
  } finally {
    server.closeAllConnections()
    server.close()
  }
}, 60_000)
