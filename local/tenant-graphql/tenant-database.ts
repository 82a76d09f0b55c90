import postgres from 'postgres'
import type { SchemaFile } from '../../shared/generated/tenant-schema-files.ts'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { makeRoles, type Passwords } from '../../shared/tenant-database/roles.ts'
import { type PostgresServer, SUPERUSER } from '../postgres/server.ts'

export const TENANT_DATABASE = 'tenant_export'

/**
 * Makes a database as tenants have them.
 * @returns the URL of the login that a tenant's people are shown, which may do what requests may
 * @throws Error when a file fails
 */
export async function createTenantDatabase(
  server: PostgresServer,
  files: readonly SchemaFile[],
): Promise<string> {
  await withClient(server.url('postgres', SUPERUSER), (sql) =>
    sql.unsafe(`create database ${TENANT_DATABASE}`),
  )
  let passwords: Passwords = {}
  await withClient(server.url(TENANT_DATABASE, SUPERUSER), (sql) =>
    makeRoles(sql, ['schema', 'app_1'], async (made) => {
      passwords = made
    }),
  )
  const urlOf = (login: 'schema' | 'app_1') => {
    const url = new URL(server.url(TENANT_DATABASE, `${TENANT_DATABASE}_${login}`))
    url.password = passwords[login] ?? ''
    return url.href
  }
  const applied = await withClient(urlOf('schema'), (sql) => applyTenantSchema(sql, files))
  if (!applied.ok) throw new Error(applied.failure.message)
  return urlOf('app_1')
}

async function withClient<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, {
    max: 1,
    onnotice: () => undefined,
    connection: { search_path: 'pg_catalog' },
  })
  return work(sql).finally(() => sql.end({ timeout: 1 }))
}
