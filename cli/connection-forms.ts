/** What is needed to connect, password included. */
export interface Connection {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: string
  readonly sslMode: string
}

/** The same in the forms in which programs want it: [form, text]. What psql is given has no password in it. */
export function connectionForms({
  host,
  port,
  database,
  user,
  password,
  sslMode,
}: Connection): [string, string][] {
  const uri = new URL(`postgresql://${host}:${port}/${encodeURIComponent(database)}`)
  uri.username = encodeURIComponent(user)
  uri.password = encodeURIComponent(password)
  uri.searchParams.set('sslmode', sslMode)
  // Without a file of its own, libpq looks for the authorities in the user's directory.
  if (sslMode === 'verify-full') uri.searchParams.set('sslrootcert', 'system')
  const certificates = sslMode === 'verify-full' ? ' sslrootcert=system' : ''
  return [
    [
      'psql',
      `PGPASSWORD='${password}' psql "host=${host} port=${port} dbname=${database} user=${user} sslmode=${sslMode}${certificates}"`,
    ],
    ['uri', uri.href],
    [
      'env',
      `PGHOST=${host} PGPORT=${port} PGDATABASE=${database} PGUSER=${user} PGPASSWORD='${password}' PGSSLMODE=${sslMode}${certificates && ' PGSSLROOTCERT=system'}`,
    ],
    [
      'node',
      `postgres({ host: '${host}', port: ${port}, database: '${database}', username: '${user}', password: '${password}', ssl: ${sslMode === 'disable' ? 'false' : `'${sslMode}'`} })`,
    ],
  ]
}
