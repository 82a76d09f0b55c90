import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import { type PostgresServer, startPostgres } from '../../local/postgres/server.ts'
import { freePort } from '../../tools/ports.ts'
import { signUp } from '../support/sign-up.ts'
import { only } from './project.ts'

/** npm run test:long imports 100,000. */
const USERS = Number(process.env.LARGE_IMPORT_USERS ?? 2500)
const TIMEOUT_MS = USERS > 10_000 ? 1_800_000 : 60_000
/**
 * As many connections as the smallest hosted projects have. Fewer locks for each of them than there, so that a lock for each of
 * a few thousand users would fill the server's table of locks, as one for each of 100,000 does with the usual 64.
 */
const SETTINGS = {
  max_connections: '60',
  max_locks_per_transaction: USERS > 10_000 ? '64' : '24',
  fsync: 'off',
  full_page_writes: 'off',
}
const DATABASE = 'postgres'

let directory: string
let server: PostgresServer
let pools: readonly postgres.Sql[] = []

function connect(role: string, max: number): postgres.Sql {
  const sql = postgres(server.url(DATABASE, role), { max, onnotice: () => undefined })
  pools = [...pools, sql]
  return sql
}

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-'))
  server = await startPostgres({ directory, port: await freePort(), settings: SETTINGS })
  await createPlatformDatabase(server, DATABASE)
  await migrate(server.url(DATABASE, 'postgres'), { functionsUrl: 'http://127.0.0.1:9/functions/v1' })
})

afterAll(async () => {
  await Promise.all(pools.map((sql) => sql.end({ timeout: 1 })))
  await server?.stop('immediate')
  await rm(directory, { recursive: true, force: true })
})

describe('an import of many users in one transaction', () => {
  it(
    'keeps nobody else from anything, and everybody has a tenant in the making when it has committed',
    async () => {
      const importer = connect('supabase_auth_admin', 1)
      const auth = connect('supabase_auth_admin', 4)
      const sql = connect('postgres', 4)
      const others: string[] = []
      const failures: unknown[] = []
      let over = false
      /** What others do meanwhile: sign up, read a dozen tables at once, sweep, and take locks of their own. */
      const meanwhile = async () => {
        while (!over) {
          try {
            others.push((await signUp(auth, { metadata: { full_name: 'Ann Archer' } })).id)
            await sql`select provisioning.sweep()`
            await sql`select (select count(*) from pg_locks), count(*) from public.organizations o
              left join public.profiles p on p.organization_id = o.id
              left join public.wallets w on w.user_id = p.id
              left join public.organization_databases d on d.organization_id = o.id where o.id = gen_random_uuid()`
            await sql.begin(async (tx) => {
              await tx`select pg_advisory_xact_lock(n) from generate_series(1, 100) n`
            })
          } catch (error) {
            failures.push(error)
          }
          await sleep(20)
        }
      }
      const busy = Promise.all([meanwhile(), meanwhile()])
      await importer
        .begin(async (tx) => {
          await tx`insert into users (id, email, raw_user_meta_data)
            select gen_random_uuid(), n || '@import.example', jsonb_build_object('full_name', 'Person ' || n)
            from generate_series(1, ${USERS}) n`
          // It stays open for a moment, with all the locks that it has.
          await sleep(1000)
          const { held } = only(
            await sql<
              { held: number }[]
            >`select count(*)::int as held from pg_locks where locktype = 'advisory'`,
          )
          expect(held).toBeLessThanOrEqual(1024 + 300)
        })
        .finally(() => {
          over = true
        })
      await busy
      expect(failures).toEqual([])
      expect(others.length).toBeGreaterThan(0)

      expect(await sql`select from provisioning.sign_up_failures`).toHaveLength(0)
      expect(
        only(
          await sql`
            select count(*)::int as users, count(j.id)::int as jobs, count(w.user_id)::int as wallets,
              count(distinct o.slug)::int as slugs
            from auth.users u
            left join public.profiles p on p.id = u.id
            left join public.organizations o on o.id = p.organization_id and o.owner_id = u.id
            left join public.organization_members m on m.organization_id = o.id and m.user_id = u.id and m.role = 'owner'
            left join public.provisioning_jobs j on j.organization_id = m.organization_id and j.status = 'queued'
            left join public.wallets w on w.user_id = u.id`,
        ),
      ).toEqual({
        users: USERS + others.length,
        jobs: USERS + others.length,
        wallets: USERS + others.length,
        slugs: USERS + others.length,
      })
      // Nobody's tenant was forgotten, and a worker can take them one after the other.
      expect(await sql`select from provisioning.claim_jobs('{provision}', 10)`).toHaveLength(10)
    },
    TIMEOUT_MS,
  )
})
