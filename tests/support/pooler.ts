import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import postgres from 'postgres'
import { databaseUrl, LOCAL_PASSWORD, SUPERUSER, unprivileged } from '../../local/postgres/server.ts'
import { makePrivate } from '../../tools/local-directory.ts'
import { freePort } from '../../tools/ports.ts'
import { type RealServer, startRealServer } from './real-server.ts'

/** The binary of a real PgBouncer, through which whole projects are tested then. */
export const PGBOUNCER: string | undefined = process.env.PGBOUNCER || undefined

export interface Pooler extends RealServer {
  readonly port: number
}

/**
 * PgBouncer in transaction mode, in front of every database of a server. It hands out its connections in turn, so that what is left
 * behind in a session meets somebody else. As with Neon's, logins are looked up in the server.
 */
export async function startPooler(file: string, serverPort: number): Promise<Pooler> {
  const port = await freePort()
  const directory = await mkdtemp(path.join(tmpdir(), 'pooler-'))
  await makePrivate(directory)
  const inside = (name: string) => path.join(directory, name)
  await writeFile(inside('users'), `"${SUPERUSER}" "${LOCAL_PASSWORD}"\n`)
  await writeFile(
    inside('settings'),
    `[databases]
* = host=127.0.0.1 port=${serverPort} auth_user=${SUPERUSER}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ${inside('users')}
auth_query = select usename, passwd from pg_catalog.pg_shadow where usename = $1
admin_users = ${SUPERUSER}
pool_mode = transaction
server_round_robin = 1
default_pool_size = 20
max_client_conn = 1000
`,
  )
  const isReady = async () => {
    const sql = postgres(databaseUrl(port, 'template1', SUPERUSER), {
      max: 1,
      fetch_types: false,
      prepare: false,
    })
    await sql`select 1`.finally(() => sql.end({ timeout: 1 }))
    return true
  }
  const server = await startRealServer({ file, args: [inside('settings')], isReady, ...unprivileged() })
  const stop = async () => {
    await server.stop()
    await rm(directory, { recursive: true })
  }
  return { port, stop }
}
