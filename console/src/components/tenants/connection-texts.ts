import type { ConnectionInfoQuery } from './generated/operations'

export type Connection = NonNullable<ConnectionInfoQuery['tenantConnectionInfo']>
export type Form = 'psql' | 'uri' | 'env' | 'node'

const SSL_MODES = { DISABLE: 'disable', REQUIRE: 'require', VERIFY_FULL: 'verify-full' } as const

/** Where a program connects to: through the pooler, when there is one and it is wanted. */
export function addressOf({ host, port, pooledHost, pooledPort }: Connection, isPooled: boolean) {
  return isPooled && pooledHost ? { host: pooledHost, port: pooledPort } : { host, port }
}

/** How programs are told of a connection, one text for each form. */
export function connectionTexts(
  connection: Connection,
  isPooled: boolean,
  password: string,
): Readonly<Record<Form, string>> {
  const { database, role, sslMode } = connection
  const { host, port } = addressOf(connection, isPooled)
  const mode = SSL_MODES[sslMode]
  const uri = `postgresql://${encodeURIComponent(role)}:${/^[•]+$/.test(password) ? password : encodeURIComponent(password)}@${host}:${port}/${encodeURIComponent(database)}?sslmode=${mode}`
  return {
    psql: `psql "host=${host} port=${port} dbname=${database} user=${role} password=${password} sslmode=${mode}${mode === 'verify-full' ? ' sslrootcert=system' : ''}"`,
    uri,
    env: [
      `PGHOST=${host}`,
      `PGPORT=${port}`,
      `PGDATABASE=${database}`,
      `PGUSER=${role}`,
      `PGPASSWORD=${password}`,
      `PGSSLMODE=${mode}`,
    ].join('\n'),
    node: [
      "import postgres from 'postgres'",
      '',
      'const sql = postgres({',
      `  host: '${host}', port: ${port}, database: '${database}',`,
      `  username: '${role}', password: '${password}', ssl: ${mode === 'disable' ? 'false' : mode === 'require' ? "'require'" : "'verify-full'"},`,
      '})',
    ].join('\n'),
  }
}
