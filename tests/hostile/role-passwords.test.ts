import { readFile, rm } from 'node:fs/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type PostgresServer, startPostgres } from '../../local/postgres/server.ts'
import { THROWAWAY_SETTINGS } from '../../local/postgres/throwaway.ts'
import { LOGINS, makeRoles, type Passwords } from '../../shared/tenant-database/roles.ts'
import { freePort } from '../../tools/ports.ts'
import { makeQuickDirectory } from '../support/quick-directory.ts'

const NAME = 'tenant_talkative'
const API_PASSWORD = 'of-the-api'

let directory: string
let server: PostgresServer
let superuser: postgres.Sql
let api: postgres.Sql
let passwords: Passwords
/** What pg_stat_activity shows of the session that has just made them. */
let shown: string

/** A server that writes down whatever it can: each statement, with its parameters, and what functions do within. */
const TALKATIVE = {
  shared_preload_libraries: 'pg_stat_statements',
  'pg_stat_statements.track': 'all',
  log_statement: 'all',
  log_min_duration_statement: '0',
  log_parameter_max_length_on_error: '-1',
  log_min_messages: 'debug1',
  track_activity_query_size: '65536',
}

beforeAll(async () => {
  directory = await makeQuickDirectory('tenant-provisioning-')
  server = await startPostgres({
    directory,
    port: await freePort(),
    settings: { ...THROWAWAY_SETTINGS, ...TALKATIVE },
  })
  const admin = postgres(server.url('template1'), { max: 1 })
  await admin.unsafe(`create role ${NAME} login createrole createdb bypassrls password '${API_PASSWORD}';
    grant pg_monitor to ${NAME} with admin option`)
  await admin.unsafe(`create database ${NAME} owner ${NAME} template template0`)
  await admin.end()
  superuser = postgres(server.url(NAME), { max: 1 })
  await superuser.unsafe(`create schema stats; create extension pg_stat_statements with schema stats;
    grant usage on schema stats to public`)
  api = connect(NAME, API_PASSWORD)
  await makeRoles(api, LOGINS, async (made) => {
    passwords = made
    const rows = await superuser<
      { query: string }[]
    >`select query from pg_stat_activity where usename = ${NAME}`
    shown = rows.map(({ query }) => query).join()
  })
})

afterAll(async () => {
  await Promise.all([superuser, api].map((sql) => sql?.end({ timeout: 1 })))
  await server?.stop('immediate')
  await rm(directory, { recursive: true, force: true })
})

const connect = (username: string, password: string) =>
  postgres(server.url(NAME), {
    ...{ max: 1, username, password, onnotice: () => undefined },
    connection: { search_path: 'pg_catalog' },
  })

async function asApp<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = connect(`${NAME}_app_1`, passwords.app_1 ?? '')
  return work(sql).finally(() => sql.end({ timeout: 1 }))
}

const found = (text: string) => Object.values(passwords).filter((password) => text.includes(password))

describe('the passwords that the server makes up for its logins', () => {
  it('are told once, each of its own, and open', async () => {
    expect(Object.keys(passwords).sort()).toEqual([...LOGINS].sort())
    for (const password of Object.values(passwords)) expect(password).toMatch(/^npg_[0-9a-f]{64}$/)
    expect(new Set(Object.values(passwords)).size).toBe(LOGINS.length)
    expect(await asApp((sql) => sql`select 1 as open`)).toEqual([{ open: 1 }])
  })

  it('are in no log, though the server logs every statement with its parameters', async () => {
    const log = await readFile(server.logFile, 'utf8')
    expect(log).toContain('role %I login password %L')
    expect(found(log)).toEqual([])
  })

  it('are in no statement that pg_stat_activity shows, to whoever it shows it', () => {
    expect(shown).toContain('role %I login password %L')
    expect(found(shown)).toEqual([])
  })

  it('are in pg_stat_statements only where it tracks what functions do, and there for nobody of the tenant', async () => {
    const statements = await superuser<{ query: string; toplevel: boolean }[]>`
      select query, toplevel from stats.pg_stat_statements where userid = ${NAME}::regrole`
    const text = (top: boolean) =>
      statements
        .filter(({ toplevel }) => toplevel === top)
        .map(({ query }) => query)
        .join()
    expect(text(true)).toContain('role %I login password %L')
    expect(found(text(true))).toEqual([])
    expect(found(text(false)), 'or nothing would be proved below').toHaveLength(LOGINS.length)
    const seen = await asApp(
      (sql) =>
        sql<
          { query: string }[]
        >`select distinct query from stats.pg_stat_statements where userid = ${NAME}::regrole`,
    )
    expect(seen).toEqual([{ query: '<insufficient privilege>' }])
  })

  it('of a statement that fails were never valid, so that what a log says of them opens nothing', async () => {
    const before = { ...passwords }
    await superuser`alter role ${superuser(`${NAME}_app_1`)} rename to elsewhere`
    await superuser.unsafe(`create role ${NAME}_app_1`)
    const keep = vi.fn()
    await expect(makeRoles(api, LOGINS, keep)).rejects.toMatchObject({ code: '42501' })
    expect(keep).not.toHaveBeenCalled()
    await api`rollback`
    await superuser.unsafe(`drop role ${NAME}_app_1; alter role elsewhere rename to ${NAME}_app_1`)
    const schema = connect(`${NAME}_schema`, before.schema ?? '')
    expect(await schema`select 1 as open`.finally(() => schema.end({ timeout: 1 }))).toEqual([{ open: 1 }])
  })

  it('are valid only when somebody keeps them', async () => {
    const refused = new Error('Vault does not answer')
    await expect(makeRoles(api, LOGINS, () => Promise.reject(refused))).rejects.toBe(refused)
    await api`rollback`
    expect(await asApp((sql) => sql`select 1 as open`)).toEqual([{ open: 1 }])
  })
})
