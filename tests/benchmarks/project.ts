import type postgres from 'postgres'
import { createProjectKeys, type ProjectKeys } from '../../local/gateway/keys.ts'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import { type ProjectServices, startProjectServices } from '../../local/project-services.ts'
import { freePort } from '../../tools/ports.ts'
import { type BenchmarkOptions, interruptible } from './benchmark.ts'
import { postmasterPid, WITHOUT_DISK_WAITS, withConnections, withServer } from './servers.ts'
import { installSignUpLoad } from './sign-up-load.ts'

export const FUNCTION = 'provision-tenant-resources'

export interface BenchProject {
  readonly services: ProjectServices
  readonly keys: ProjectKeys
  /** Of the project's server, which the tenants' databases are not on: they stand for Neon's. */
  readonly postgresPid: number
  /** Of the server that stands for Neon's. */
  readonly tenantsPid: number
  readonly superuser: postgres.Sql
  /** The role with which sign-ups are inserted. */
  readonly auth: postgres.Sql
}

export interface ProjectNeeds {
  /** As many tenants can be made without waiting for `create database`, which would be counted as the provider's time. */
  readonly spareDatabases: number
  readonly authConnections: number
  /** Of the project's own server. */
  readonly settings?: Readonly<Record<string, string>>
  /** For functions that have another tenant schema than the repository's. */
  readonly importMap?: string
}

const DATABASE = 'postgres'
const UNLIMITED = Number.POSITIVE_INFINITY

/** A migrated project whose providers answer at once and have no limits, with its function started; removed afterwards. */
export async function withProject<T>(
  needs: ProjectNeeds,
  { progress, signal }: BenchmarkOptions,
  work: (project: BenchProject) => Promise<T>,
): Promise<T> {
  progress('creating the project')
  return withServer(needs.settings ?? {}, (server) =>
    withServer(WITHOUT_DISK_WAITS, async (tenants) => {
      const apiPort = await freePort()
      await createPlatformDatabase(server, DATABASE)
      await migrate(server.url(DATABASE, 'postgres'), {
        functionsUrl: `http://127.0.0.1:${apiPort}/functions/v1`,
      })
      await liftRateLimits(server)
      const keys = await createProjectKeys()
      const services = await startServices(server, tenants, apiPort, keys, needs.importMap)
      try {
        await warmUp(services)
        progress(`making ${needs.spareDatabases} databases ahead of time`)
        await interruptible(services.neon?.fillSpares(needs.spareDatabases) ?? Promise.resolve(), signal)
        const [postgresPid, tenantsPid] = await Promise.all([server, tenants].map(postmasterPid))
        if (!postgresPid || !tenantsPid) throw new Error('A Postgres server has no process id.')
        return await withClients(server, needs, (superuser, auth) =>
          work({ services, keys, postgresPid, tenantsPid, superuser, auth }),
        )
      } finally {
        await services.stop()
      }
    }),
  )
}

/** Providers without limits are not to be called as if they had Neon's and Stripe's. */
async function liftRateLimits(server: PostgresServer): Promise<void> {
  await withConnections(
    server.url(DATABASE, 'postgres'),
    1,
    (sql) => sql`update provisioning.rate_limits set burst = 1000000, per_second = 1000000`,
  )
}

function startServices(
  server: PostgresServer,
  tenants: PostgresServer,
  apiPort: number,
  keys: ProjectKeys,
  importMap: string | undefined,
): Promise<ProjectServices> {
  return startProjectServices({
    postgresPort: server.port,
    database: DATABASE,
    keys,
    apiPort,
    neon: {
      adminUrl: tenants.url('template1'),
      limits: { requestsPerMinute: UNLIMITED, requestsPerSecondPerRoute: UNLIMITED },
      // That its replies are Neon's is for the tests to see; here it would be counted as the provider's time.
      validateReplies: false,
    },
    stripe: { limits: { requestsPerSecond: UNLIMITED } },
    functionsLog: ({ text }) => console.error(`  [function] ${text}`),
    ...(importMap === undefined ? {} : { importMap }),
  })
}

/** Starts the function's process, as the local stack does. */
async function warmUp({ url }: ProjectServices): Promise<void> {
  await fetch(`${url}/functions/v1/${FUNCTION}`, { method: 'OPTIONS' })
}

function withClients<T>(
  server: PostgresServer,
  { authConnections }: ProjectNeeds,
  work: (superuser: postgres.Sql, auth: postgres.Sql) => Promise<T>,
): Promise<T> {
  return withConnections(server.url(DATABASE), 1, async (superuser) => {
    await installSignUpLoad(superuser)
    return withConnections(server.url(DATABASE, 'supabase_auth_admin'), authConnections, (auth) =>
      work(superuser, auth),
    )
  })
}
