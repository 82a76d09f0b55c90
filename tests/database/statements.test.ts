import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { projectRoot } from '../../tools/project.ts'
import { sqlStatement } from '../../tools/remedies.ts'
import { countTemplates, readSqlFile, type SqlFile, type SqlText, sqlOf } from '../structure/sql-texts.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { REMEDY_COMMANDS } from '../support/remedy-commands.ts'
import { makeRolesOf } from '../support/tenant-logins.ts'
import { openProject, type Project } from './project.ts'

/** Where texts for a tenant's own database stand; all others are for the project's. */
const FOR_TENANTS = ['shared/tenant-database/', 'shared/health/probe.ts']
/** The exception there: the passwords are in the project's Vault. */
const FOR_THE_PROJECT = 'shared/tenant-database/stored-password.ts'
const QUERIES = 'shared/graphql/reads'
/** Put together when they are sent. The tests' tenant is made by sending these two. */
const SENT_HERE = [
  'messageOf(file, { begins: !together || index === 0, commits: !together || isLast, isLast })', // applyTenantSchema
  'copyStatements(people)', // copyPeople
  'roleStatements(renewed, shown)', // makeRoles
  'endStatement(logins)', // endLogins
  'accessStatement(logins)', // makeAccessLogins
  'boundedScript(query)', // readSnapshot
]
/** Sent between two databases, as the roles that came with them: tests/functions/moves.test.ts sends each. */
const SENT_IN_MOVES = 'shared/services/database/move/'
/** No statement. */
const FRAGMENTS = ['PUBLIC_SCHEMA']

let project: Project
let tenant: TestDatabase
/** As the login that applies a tenant's schema. */
let tenantSql: postgres.Sql
const files = new Map<string, SqlFile>()

const OPTIONS = { max: 1, onnotice: () => undefined, connection: { search_path: 'pg_catalog' } }

beforeAll(async () => {
  const names = await readdir(path.join(projectRoot, 'shared'), { recursive: true })
  for (const name of names.filter((each) => each.endsWith('.ts')).sort()) {
    const file = path.posix.join('shared', name)
    files.set(file, await readSqlFile(file))
  }
  project = await openProject()
  tenant = await createTestDatabase('platform')
  const admin = postgres(tenant.url('supabase_admin'), OPTIONS)
  const { schema: password = '' } = await makeRolesOf(admin, ['schema']).finally(() => admin.end())
  tenantSql = postgres(tenant.url(), { ...OPTIONS, username: `${tenant.name}_schema`, password })
  expect(await applyTenantSchema(tenantSql)).toMatchObject({ ok: true })
})

afterAll(async () => {
  await project?.close()
  await tenantSql?.end({ timeout: 1 })
  await tenant?.drop()
  const server = postgres(databaseUrl(inject('postgresPort'), 'template1', SUPERUSER), OPTIONS)
  const roles = await server`select rolname as name from pg_roles where starts_with(rolname, ${tenant.name})`
  await server.unsafe(`drop role ${roles.map(({ name }) => name).join(', ')}`)
  await server.end({ timeout: 1 })
})

/** What the server says against each of the texts, by place. */
async function refused(sql: postgres.Sql, texts: readonly SqlText[]): Promise<string[]> {
  const refusals: string[] = []
  for (const { place, text } of texts)
    await sql.unsafe(`prepare of_ours as ${text}; deallocate of_ours`).catch((error: Error) => {
      refusals.push(`${place}: ${error.message}`)
    })
  return refusals
}

const isForTenants = (file: string) =>
  file !== FOR_THE_PROJECT && FOR_TENANTS.some((place) => file.startsWith(place))

function templatesOf(isWanted: (file: string) => boolean): SqlText[] {
  return [...files].flatMap(([file, { templates }]) => (isWanted(file) ? templates : []))
}

interface NamedQuery {
  readonly name: string
  sql(argument: string): string
}

function isQuery(value: unknown): value is NamedQuery {
  return typeof value === 'object' && value !== null && 'sql' in value && typeof value.sql === 'function'
}

function queriesIn(value: unknown): NamedQuery[] {
  if (isQuery(value)) return [value]
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(queriesIn) : []
}

describe('every statement of shared/', () => {
  it('is found: as many templates are read as there are', async () => {
    const counted = await Promise.all(
      [...files.keys()].map(
        async (file) => [file, countTemplates(await readFile(path.join(projectRoot, file), 'utf8'))] as const,
      ),
    )
    expect([...files].map(([file, { templates }]) => [file, templates.length])).toEqual(counted)
    expect(templatesOf(() => true).length).toBeGreaterThan(60)
  })

  it('is prepared by the project’s database', async () => {
    expect(
      await refused(
        project.sql,
        templatesOf((file) => !isForTenants(file)),
      ),
    ).toEqual([])
  })

  it('is prepared by a tenant’s database when it is for that', async () => {
    const texts = templatesOf(isForTenants)
    expect(texts).not.toEqual([])
    expect(await refused(tenantSql, texts)).toEqual([])
  })

  it('runs in a tenant’s database when it is a fixed script', async () => {
    const scripts = [...files]
      .filter(([file]) => !file.startsWith(SENT_IN_MOVES))
      .flatMap(([file, each]) =>
        each.scripts.map((script) => ({ ...script, isForTenants: isForTenants(file) })),
      )
    const others = scripts.filter((script) => !script.isFixed).map(({ text }) => text)
    expect(others.sort()).toEqual([...SENT_HERE, ...FRAGMENTS].sort())
    const fixed = scripts.filter((script) => script.isFixed)
    expect(fixed.filter((script) => !script.isForTenants)).toEqual([])
    expect(fixed.length).toBeGreaterThan(3)
    for (const { place, text } of fixed)
      await tenantSql.unsafe(text).catch((error: Error) => {
        throw new Error(`${place}: ${error.message}`)
      })
  })

  it('is prepared when the GraphQL API reads with it, and all of these stand in one folder', async () => {
    const places = [...files.values()].flatMap(({ queries }) => queries)
    expect(places.filter((place) => !place.startsWith(`${QUERIES}/`))).toEqual([])
    const texts: SqlText[] = []
    for (const file of [...files.keys()].filter((name) => name.startsWith(`${QUERIES}/`))) {
      const exported: Readonly<Record<string, unknown>> = await import(path.join(projectRoot, file))
      for (const [name, value] of Object.entries(exported)) {
        const queries = queriesIn(value)
        if (queries.length === 0) throw new Error(`${file}: ${name} is no query`)
        for (const query of queries)
          texts.push({ place: `${file}: ${name}`, text: `select (${query.sql("($1::jsonb -> 'own')")})` })
      }
    }
    expect(texts.length).toBeGreaterThanOrEqual(places.length)
    expect(await refused(project.sql, texts)).toEqual([])
  })
})

it('every statement that an operator is told to send is prepared', async () => {
  const id = '00000000-0000-4000-8000-000000000000'
  const texts = Object.values(REMEDY_COMMANDS).flatMap((commands) =>
    commands.flatMap((command) => {
      const text = sqlStatement(command, { organizationId: id, userId: id })
      return text === undefined ? [] : [{ place: command.command, text: text.replace(/;$/, '') }]
    }),
  )
  expect(texts.length).toBeGreaterThan(7)
  expect(await refused(project.sql, texts)).toEqual([])
})

it('a statement that a database does not know is refused with its file and line', async () => {
  const source = `
const [row] = await this.#sql<{ a: string; b: number }[]>\`
  select name, \${wanted} as wanted from \${publicSchema}.profiles where id = \${id}\`
await sql\`provisioning.no_such_function(\${[...ids]})\`
const OLD = 'select nothing from nowhere'
await sql.unsafe(OLD)`
  const { templates, scripts } = sqlOf('a.ts', source)
  expect(countTemplates(source)).toBe(2)
  expect(scripts).toEqual([{ place: 'a.ts:6', text: 'select nothing from nowhere', isFixed: true }])
  expect(templates[0]?.text).toBe('select name, $1 as wanted from public.profiles where id = $2')
  expect(await refused(project.sql, templates)).toEqual([
    'a.ts:2: column "name" does not exist',
    'a.ts:4: function provisioning.no_such_function(unknown) does not exist',
  ])
})
