import { readFile } from 'node:fs/promises'
import postgres from 'postgres'
import { migrateAuth } from './auth-migrations.ts'
import type { PostgresServer } from './server.ts'

const file = (name: string) => readFile(new URL(name, import.meta.url), 'utf8')

/**
 * Makes a database look as a hosted project's does before any migration ran, creating it if need be.
 * @param authServer a real Auth server, whose own migrations then make the schema `auth`. Default: the stand-in's schema
 */
export async function createPlatformDatabase(
  server: PostgresServer,
  name: string,
  authServer?: string,
): Promise<void> {
  await asSuperuser(server, 'template1', async (sql) => {
    await sql.unsafe(await file('roles.sql'))
    const [existing] = await sql`select from pg_database where datname = ${name}`
    await sql.unsafe(
      existing
        ? `alter database ${name} owner to postgres`
        : `create database ${name} owner postgres template template0`,
    )
  })
  await asSuperuser(server, name, async (sql) => {
    await sql.unsafe(await file('project.sql'))
    if (authServer === undefined) await sql.unsafe(await file('auth.sql'))
    else await sql.unsafe('create schema auth authorization supabase_auth_admin')
  })
  if (authServer === undefined) return
  await migrateAuth(authServer, server.url(name, 'supabase_auth_admin'))
  await asSuperuser(server, name, async (sql) => {
    await sql.unsafe('grant usage on schema auth to anon, authenticated, service_role, postgres')
    await sql.unsafe(
      'grant select, insert, update, delete, references, trigger on all tables in schema auth to postgres',
    )
    await sql.unsafe('grant usage on all sequences in schema auth to postgres')
  })
}

export async function isPlatformDatabase(server: PostgresServer, name: string): Promise<boolean> {
  return asSuperuser(server, name, async (sql) => {
    const [row] = await sql<{ found: boolean }[]>`select to_regnamespace('auth') is not null as found`
    return row?.found ?? false
  })
}

async function asSuperuser<T>(
  server: PostgresServer,
  database: string,
  work: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = postgres(server.url(database), { max: 1, onnotice: () => undefined })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}
