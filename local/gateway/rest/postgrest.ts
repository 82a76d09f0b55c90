import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { freePort } from '../../../tools/ports.ts'
import type { ProjectConfig } from '../config.ts'
import { type ProjectKeys, publicJwks } from '../keys.ts'

export interface PostgrestServer {
  readonly port: number
  stop(): Promise<void>
}

const START_TIMEOUT_MS = 15_000

/**
 * Runs a real PostgREST, configured as a hosted project's. Not covered by a test: PostgREST does not come
 * from npm, so only who has installed it gets here.
 * @throws Error when it does not listen in time.
 */
export async function startPostgrest(
  executable: string,
  databaseUrl: string,
  keys: ProjectKeys,
  config: ProjectConfig['api'],
): Promise<PostgrestServer> {
  const port = await freePort()
  const child = spawn(executable, [], {
    env: {
      PGRST_DB_URI: databaseUrl,
      PGRST_DB_SCHEMAS: config.schemas.join(','),
      PGRST_DB_EXTRA_SEARCH_PATH: config.extra_search_path.join(','),
      PGRST_DB_MAX_ROWS: String(config.max_rows),
      PGRST_DB_ANON_ROLE: 'anon',
      PGRST_SERVER_HOST: '127.0.0.1',
      PGRST_SERVER_PORT: String(port),
      PGRST_JWT_SECRET: JSON.stringify(verificationKeys(keys)),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  child.once('error', () => undefined)
  const stop = async () => {
    child.kill('SIGTERM')
    await exited
  }
  const deadline = Date.now() + START_TIMEOUT_MS
  while (!(await listens(port))) {
    if (child.exitCode !== null || child.pid === undefined || Date.now() > deadline) {
      await stop()
      throw new Error(
        `${executable} did not start within ${START_TIMEOUT_MS / 1000} s; its messages are above`,
      )
    }
    await sleep(50)
  }
  return { port, stop }
}

function verificationKeys(keys: ProjectKeys): { keys: object[] } {
  const legacy = { kty: 'oct', k: Buffer.from(keys.legacyJwtSecret).toString('base64url'), alg: 'HS256' }
  return { keys: [...publicJwks(keys).keys, legacy] }
}

async function listens(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  return once(socket, 'connect')
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.destroy())
}
