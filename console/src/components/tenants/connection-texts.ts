import type { ConnectionInfoQuery } from './generated/operations'

export type Connection = NonNullable<ConnectionInfoQuery['tenantConnectionInfo']>
export type Form = 'psql' | 'uri' | 'env' | 'node'

const SSL_MODES = { DISABLE: 'disable', REQUIRE: 'require', VERIFY_FULL: 'verify-full' } as const

/** How programs are told of a connection, one text for each form. */
export function connectionTexts(
  { host, pooledHost, port, database, role, sslMode }: Connection,
  isPooled: boolean,
  password: string,
): Readonly<Record<Form, string>> {
  const address = isPooled && pooledHost ? pooledHost : host
  const mode = SSL_MODES[sslMode]
  const uri = `postgresql://${encodeURIComponent(role)}:${/^[•]+$/.test(password) ? password : encodeURIComponent(password)}@${address}:${port}/${encodeURIComponent(database)}?sslmode=${mode}`
  return {
    psql: `psql "host=${address} port=${port} dbname=${database} user=${role} password=${password} sslmode=${mode}${mode === 'verify-full' ? ' sslrootcert=system' : ''}"`,
    uri,
    env: [
      `PGHOST=${address}`,
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
      `  host: '${address}', port: ${port}, database: '${database}',`,
      `  username: '${role}', password: '${password}', ssl: ${mode === 'disable' ? 'false' : mode === 'require' ? "'require'" : "'verify-full'"},`,
      '})',
    ].join('\n'),
  }
}
