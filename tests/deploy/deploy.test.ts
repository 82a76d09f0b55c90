import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { tenants, tenantsJson } from '../cli/cli.ts'
import { ownEnvironment } from '../local/commands/command.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type FakeHost, REF, startHost, TOKEN } from './hosted-project.ts'

vi.setConfig({ testTimeout: 90_000, hookTimeout: 60_000 })

const STRIPE_KEY = 'sk_test_thesecretofdeploy'
const NEON_KEY = 'napi_thesecretofdeploy'
const VAULT =
  "select decrypted_secret as value from vault.decrypted_secrets where name = 'functions_base_url'"

interface Result {
  readonly id: string
  readonly state: string
  readonly effects: string[]
  readonly problem?: { code: string; remedy: string }
}

describe('deploy', () => {
  let database: TestDatabase
  let host: FakeHost
  let environment: NodeJS.ProcessEnv
  const printed: string[] = []

  beforeAll(async () => {
    database = await createTestDatabase('platform')
    host = await startHost()
    environment = {
      ...ownEnvironment(),
      SUPABASE_ACCESS_TOKEN: TOKEN,
      SUPABASE_DB_URL: `${database.url()}?sslmode=disable`,
      MANAGEMENT_API_URL: host.url,
      STRIPE_SECRET_KEY: STRIPE_KEY,
      STRIPE_API_URL: `${host.url}/stripe`,
      NEON_API_KEY: NEON_KEY,
      NEON_API_URL: `${host.url}/neon`,
    }
  })
  afterAll(async () => {
    await host?.[Symbol.asyncDispose]()
    await database?.drop()
  })

  async function deploy(args: readonly string[] = ['--yes'], more: NodeJS.ProcessEnv = {}) {
    const all = ['deploy', projectRoot, '--project-ref', REF, ...args]
    const ending = await tenantsJson({ ...environment, ...more }, ...all)
    printed.push(ending.stdout, ending.stderr)
    const steps = (ending.document.steps ?? []) as Result[]
    const failed = steps.find(({ state }) => state === 'failed')
    return { ...ending, steps, failed, states: Object.fromEntries(steps.map(({ id, state }) => [id, state])) }
  }

  async function query(statement: string): Promise<postgres.RowList<postgres.Row[]>> {
    const sql = postgres(database.url(), { max: 1, onnotice: () => undefined })
    return await sql.unsafe(statement).finally(() => sql.end())
  }
  const isMigrated = async () => {
    const [row] = await query("select to_regclass('public.organizations') is not null as is_there")
    return row?.is_there
  }

  test('explains what is missing before it asks anybody', async () => {
    const run = (more: NodeJS.ProcessEnv) =>
      tenants({ ...environment, ...more }, 'deploy', '--project-ref', REF, '--yes')
    expect((await run({ SUPABASE_ACCESS_TOKEN: '' })).stderr).toContain('Set SUPABASE_ACCESS_TOKEN')
    expect((await run({ SUPABASE_DB_URL: '' })).stderr).toContain('Set SUPABASE_DB_URL')
    expect(await tenants(environment, 'deploy', '--project-ref', 'x')).toMatchObject({ code: 2 })
    expect(host.writes).toEqual([])
  })

  test('stops in the preflight with a code, and changes nothing', async () => {
    expect((await deploy(['--yes'], { SUPABASE_ACCESS_TOKEN: 'sbp_other' })).failed?.problem?.code).toBe(
      'access_token_refused',
    )
    host.status = 'INACTIVE'
    expect((await deploy()).failed?.problem?.code).toBe('project_not_healthy')
    host.status = 'ACTIVE_HEALTHY'
    host.refuse = () => 429
    expect((await deploy()).failed?.problem?.code).toBe('management_api_rate_limited')
    host.refuse = () => 404
    expect((await deploy()).failed?.problem?.code).toBe('project_not_found')
    host.refuse = () => undefined
    const foreign = `postgresql://postgres:x@db.${'z'.repeat(20)}.supabase.co:5432/postgres`
    expect((await deploy(['--yes'], { SUPABASE_DB_URL: foreign })).failed?.problem?.code).toBe(
      'database_of_another_project',
    )
    const { code, failed } = await deploy(['--yes'], { NEON_API_KEY: '' })
    expect({ code, problem: failed?.problem?.code }).toEqual({ code: 1, problem: 'secret_missing' })
    expect(host.writes).toEqual([])
    expect(await isMigrated()).toBe(false)
  })

  test('as a dry run prints each change, and makes none', async () => {
    const { code, steps } = await deploy(['--dry-run'])
    expect(code).toBe(0)
    const effects = steps.flatMap((step) => step.effects)
    const migrations = (await readdir(path.join(projectRoot, 'supabase/migrations'))).sort()
    expect(steps.find(({ id }) => id === 'migrations')?.effects).toEqual(
      migrations.map((file) => `apply supabase/migrations/${file}`),
    )
    expect(effects).toEqual(
      expect.arrayContaining([
        'set the secret STRIPE_SECRET_KEY',
        'set the secret NEON_API_KEY',
        'deploy the function graphql',
        'expose the schema public to the Data API',
      ]),
    )
    expect(host.writes).toEqual([])
    expect(await isMigrated()).toBe(false)
  })

  test('wants to be told that it may', async () => {
    const { code, stderr } = await tenants(environment, 'deploy', projectRoot, '--project-ref', REF)
    expect(code).toBe(1)
    expect(stderr).toContain('Say so with --yes')
    expect(host.writes).toEqual([])
  })

  test.each([
    ['secrets', `POST /v1/projects/${REF}/secrets`],
    ['functions', `POST /v1/projects/${REF}/functions/deploy`],
    ['schema', `PATCH /v1/projects/${REF}/postgrest`],
  ])('stops where %s are refused, and goes on there', async (id, route) => {
    host.refuse = (asked) => (asked === route ? 400 : undefined)
    const { code, failed } = await deploy()
    expect({ code, id: failed?.id }).toEqual({ code: 1, id })
    expect(failed?.problem?.remedy).toContain('run deploy again')
    host.refuse = () => undefined
    expect((await deploy(['--dry-run'])).states[id]).toBe('to do')
  })

  test('run again does what is missing, and then finds nothing to do', async () => {
    const rest = await deploy()
    expect({ code: rest.code, migrations: rest.states.migrations, schema: rest.states.schema }).toEqual({
      code: 0,
      migrations: 'ok',
      schema: 'done',
    })
    expect(await isMigrated()).toBe(true)
    expect(host.secrets.get('STRIPE_SECRET_KEY')).toBe(STRIPE_KEY)
    expect([...host.secrets.keys()].filter((name) => /^SUPABASE_|_API_URL$/.test(name))).toEqual([])
    expect(await query(VAULT)).toMatchObject([{ value: `https://${REF}.supabase.co/functions/v1` }])
    expect(await query('select project from provisioning.project_identity')).toMatchObject([{ project: REF }])
    const writes = host.writes.length
    const second = await tenants(environment, 'deploy', projectRoot, '--project-ref', REF)
    printed.push(second.stdout, second.stderr)
    expect(second).toMatchObject({ code: 0, stdout: expect.stringContaining('There is nothing to do.') })
    expect(host.writes.length).toBe(writes)
  })

  test('deploys a function again that somebody has deployed by other means, and it alone', async () => {
    host.functions.set('graphql', 7)
    const { steps } = await deploy(['--dry-run'])
    expect(steps.flatMap(({ effects }) => effects)).toEqual(['deploy the function graphql'])
  })

  test('sets a secret again whose value is another one here', async () => {
    const { steps } = await deploy(['--dry-run'], { STRIPE_SECRET_KEY: 'sk_test_other' })
    expect(steps.find(({ id }) => id === 'secrets')?.effects).toEqual(['set the secret STRIPE_SECRET_KEY'])
  })

  test('refuses a database that has the rows of another project, before it changes anything', async () => {
    const writes = host.writes.length
    await query("update provisioning.project_identity set project = 'theoriginal'")
    const { code, failed } = await deploy(['--yes'], { STRIPE_SECRET_KEY: 'sk_test_other' })
    expect({ code, id: failed?.id, problem: failed?.problem?.code }).toEqual({
      code: 1,
      id: 'identity',
      problem: 'project_copied',
    })
    expect(host.writes.length).toBe(writes)
    await query(`update provisioning.project_identity set project = '${REF}'`)
  })

  test('has printed no secret', () => {
    const all = printed.join('\n')
    expect(all).toContain('STRIPE_SECRET_KEY')
    for (const secret of [TOKEN, STRIPE_KEY, NEON_KEY]) expect(all).not.toContain(secret)
  })

  test('has a page that explains each step', async () => {
    const { steps } = await deploy(['--dry-run'])
    const page = await readFile(path.join(projectRoot, 'docs/deploy.md'), 'utf8')
    for (const { id } of steps) expect(page).toContain(`| ${id} |`)
  })
})
