import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readEnvironment } from '../../shared/kernel/environment.ts'
import { readText } from '../../shared/kernel/http/body.ts'
import { equalInConstantTime } from '../../shared/kernel/http/constant-time.ts'
import { createSingleFlight } from '../../shared/kernel/single-flight.ts'
import { services, stepSources } from '../../shared/services/registry.ts'
import { bundleN8nTemplates } from '../../tools/n8n-templates/bundle.ts'
import { projectRoot } from '../../tools/project.ts'
import { bundleTenantSchema } from '../../tools/tenant-schema/bundle.ts'
import { openProject, type Project } from '../database/project.ts'

let project: Project
beforeAll(async () => {
  project = await openProject()
})
afterAll(() => project?.close())

const file = (name: string) => readFile(path.join(projectRoot, name), 'utf8')

describe('what has to agree', () => {
  it('are the steps of each service in the database and in TypeScript', async () => {
    const rows = await project.sql<{ service: string; steps: string[] }[]>`
      select service, array_agg(distinct step order by step) as steps from provisioning.step_definitions group by service`
    const variables = { SUPABASE_URL: 'https://x.supabase.co' }
    const names = rows.map(({ service }) => service)
    // A service without a provider has no module: its steps work inside the database that another one hosts.
    expect(names.filter((name) => !services.some((service) => service.name === name)).sort()).toEqual([
      'database',
      'graphql',
    ])
    const connected = { variables, sql: project.sql }
    for (const service of services)
      for (const step of Object.keys(service.connect(connected).steps))
        expect(
          rows.flatMap(({ steps }) => steps),
          `${service.name}: ${step}`,
        ).toContain(step)
    const done = stepSources.flatMap((source) => Object.keys(source.connect(connected).steps))
    expect(done.sort()).toEqual([...new Set(rows.flatMap(({ steps }) => steps))].sort())
  })

  it('are tenant-schema/ and the TypeScript that is deployed with the functions (npm run tenant-schema)', async () => {
    expect(await bundleTenantSchema(path.join(projectRoot, 'tenant-schema'))).toBe(
      await file('shared/generated/tenant-schema-files.ts'),
    )
  })

  it('are n8n-templates/ and the TypeScript that is deployed with the functions (npm run n8n-templates)', async () => {
    expect(await bundleN8nTemplates(path.join(projectRoot, 'n8n-templates'))).toBe(
      await file('shared/generated/n8n-templates.ts'),
    )
  })

  it('are the versions in the import map and those that are installed', async () => {
    const { imports } = z
      .object({ imports: z.record(z.string(), z.string()) })
      .parse(JSON.parse(await file('supabase/functions/import_map.json')))
    const require = createRequire(import.meta.url)
    const installed = Object.keys(imports).map(async (key) => {
      const name = key.replace(/\/$/, '')
      const folder = require.resolve.paths(name)?.map((paths) => path.join(paths, name, 'package.json')) ?? []
      const texts = await Promise.all(folder.map((candidate) => readFile(candidate, 'utf8').catch(() => '')))
      const { version } = JSON.parse(texts.find((text) => text !== '') ?? '{}')
      // With a slash at its end a key is for the files of the package.
      return [key, key === name ? `npm:${name}@${version}` : `npm:/${name}@${version}/`] as const
    })
    expect(imports).toEqual(Object.fromEntries(await Promise.all(installed)))
  })

  it('are the functions in supabase/functions and in config.toml, each with the shared import map', async () => {
    const config = await file('supabase/config.toml')
    const rows = await project.sql<{ name: string }[]>`
      select distinct function_name as name from provisioning.workers`
    for (const { name } of rows) {
      const section = config.split(`[functions.${name}]`)[1]?.split('\n[')[0] ?? ''
      expect(section).toContain('verify_jwt = false')
      expect(section).toContain('import_map = "./functions/import_map.json"')
      expect(await file(`supabase/functions/${name}/index.ts`)).toContain('Deno.serve')
    }
  })
})

describe('the environment of a function', () => {
  const complete = {
    SUPABASE_URL: 'https://x.supabase.co',
    SUPABASE_DB_URL: 'postgresql://postgres:postgres@127.0.0.1/postgres',
  }

  it('has defaults for what a hosted project need not set', () => {
    expect(readEnvironment(complete)).toMatchObject({ SUPABASE_SECRET_KEYS: {} })
    expect(services.map((service) => new URL(service.keyCheck(complete).url).host)).toEqual([
      'api.stripe.com',
      'console.neon.tech',
      'api.supabase.com',
      'api.github.com',
      'api.vercel.com',
      'n8n.invalid',
    ])
  })

  it('is refused with the name of every variable that is missing or wrong, and none of their values', () => {
    const read = () => readEnvironment({ SUPABASE_URL: 'no url', SUPABASE_SECRET_KEYS: 'sb_secret_abc' })
    for (const name of ['SUPABASE_URL', 'SUPABASE_DB_URL', 'SUPABASE_SECRET_KEYS']) expect(read).toThrow(name)
    expect(read).not.toThrow(/sb_secret_abc/)
  })

  const POOLER = 'aws-0-eu-central-1.pooler.supabase.com:6543/postgres'
  it.each([...[...'#?/'].map((sign) => `12${sign}34`), ...[...'#?/%'].map((sign) => `pass${sign}word`)])(
    'is refused, without the value, when a password that is not percent-encoded (%s) spoils the pooler’s address',
    (password) => {
      const read = () =>
        readEnvironment({
          ...complete,
          DATABASE_POOLER_URL: `postgresql://postgres.ref:${password}@${POOLER}`,
        })
      expect(read).toThrow(/DATABASE_POOLER_URL: .*percent-encoded: # is %23/)
      for (const part of [password, 'postgres.ref']) expect(read).not.toThrow(part)
    },
  )

  it.each(['pass^word', 'pass@word:', 'pass%23word', ''])(
    'takes whatever password leads to the pooler: %j',
    (password) => {
      const url = `postgresql://postgres.ref:${password}@${POOLER}`
      expect(readEnvironment({ ...complete, DATABASE_POOLER_URL: url }).DATABASE_POOLER_URL).toBe(url)
      expect(postgres(url).options).toMatchObject({
        host: ['aws-0-eu-central-1.pooler.supabase.com'],
        pass: decodeURIComponent(password),
      })
    },
  )

  it.each(services)('is refused by $name when its address is wrong', (service) => {
    const variables = { ...complete, [service.address]: 'no address' }
    expect(() => service.connect({ variables, sql: project.sql })).toThrow(service.address)
  })
})

describe('a single flight', () => {
  it('reads once for all who ask meanwhile, and anew for whoever comes later, also after a failure', async () => {
    let reads = 0
    const flight = createSingleFlight(async () => {
      reads += 1
      await Promise.resolve()
      if (reads === 2) throw new Error('not now')
      return reads
    })
    expect(await Promise.all([flight.read(), flight.read()])).toEqual([1, 1])
    const both = await Promise.allSettled([flight.read(), flight.read()])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(flight.underWay()).toBeUndefined()
    expect(await flight.read()).toBe(3)
  })
})

describe('a comparison of secrets', () => {
  it.each([
    ['secret', 'secret', true],
    ['secret', 'Secret', false],
    ['secret', 'secre', false],
    ['', 'secret', false],
    ['ü', 'u\u0308', false],
    ['', '', true],
  ])('of %j and %j is %j', (given, expected, equal) => {
    expect(equalInConstantTime(given, expected)).toBe(equal)
  })
})

describe('a body', () => {
  it('that breaks off is a bad request, not an error of ours that goes to the log', async () => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(new TextEncoder().encode('{"organizationId":'))
        controller.error(new Error('the other side has gone'))
      },
    })
    const init = { method: 'POST', body, duplex: 'half' }
    await expect(readText(new Request('http://localhost/', init))).rejects.toMatchObject({
      code: 'invalid_json',
    })
  })
})
