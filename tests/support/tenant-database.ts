import postgres from 'postgres'
import { inject } from 'vitest'
import { databaseUrl, SUPERUSER } from '../../local/postgres/server.ts'
import type { Login } from '../../shared/tenant-database/roles.ts'
import { createTestDatabase } from './database.ts'
import { makeRolesOf } from './tenant-logins.ts'

export interface TenantDatabase {
  readonly name: string
  /** As a superuser, who may become any of its roles. */
  readonly admin: postgres.Sql
  /** As this login, with pg_catalog as its search_path as our own sessions have it. end() it. */
  connect(login: Login, searchPath?: string): postgres.Sql
  drop(): Promise<void>
}

const OPTIONS = { max: 1, onnotice: () => undefined }

/** A database as the step `credentials` leaves that of a tenant: empty but for roles and the record of files. */
export async function createTenantDatabase(logins: readonly Login[]): Promise<TenantDatabase> {
  const database = await createTestDatabase('platform')
  const ours = { ...OPTIONS, connection: { search_path: 'pg_catalog' } }
  const admin = postgres(database.url(SUPERUSER), ours)
  const passwords = await makeRolesOf(admin, logins)
  return {
    name: database.name,
    admin,
    connect: (login, search_path = 'pg_catalog') =>
      postgres(database.url(), {
        ...OPTIONS,
        connection: { search_path },
        username: `${database.name}_${login}`,
        password: passwords[login] ?? '',
      }),
    async drop() {
      const roles = await admin<{ name: string }[]>`
        select rolname as name from pg_roles where starts_with(rolname, ${database.name})`
      await admin.end({ timeout: 1 })
      await database.drop()
      const server = postgres(databaseUrl(inject('postgresPort'), 'template1', SUPERUSER), OPTIONS)
      await server.unsafe(`drop role ${roles.map(({ name }) => name).join(', ')}`)
      await server.end({ timeout: 1 })
    },
  }
}
