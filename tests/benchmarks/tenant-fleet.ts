import { createApiClient } from '@neondatabase/api-client'
import postgres from 'postgres'
import { startNeonEmulator } from '../../local/emulators/neon/emulator.ts'
import type { ProjectRecord } from '../../local/emulators/neon/project.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { makeRoles } from '../../shared/tenant-database/roles.ts'
import type { BenchmarkOptions } from './benchmark.ts'
import { withConnections } from './servers.ts'
import { projectRecord } from './synthetic-fleet.ts'

const NEON_KEY = 'napi_benchmark'
const COPIED_AT_ONCE = 3
/** The passwords are random: stretching them would only make each login slower. The emulator does likewise. */
const SCRAM_ITERATIONS = 64

/** A tenant's database, and how to log in as the owner of its schema. */
export interface FleetTenant {
  readonly number: number
  readonly physicalName: string
  readonly password: string
}

/**
 * Makes one tenant's database after the other as provisioning does, with all files of the tenant schema.
 * @returns milliseconds that each took for all files, and what the last one is called on the server
 */
export async function applyAllFiles(
  theirs: PostgresServer,
  databases: number,
): Promise<{ tookMs: number[]; physicalName: string }> {
  const emulator = await startNeonEmulator({
    adminUrl: theirs.url('template1'),
    apiKey: NEON_KEY,
    validateReplies: false,
  })
  const neon = createApiClient({ apiKey: NEON_KEY, baseURL: emulator.url })
  const tookMs: number[] = []
  let physicalName = ''
  try {
    await emulator.fillSpares(databases)
    while (tookMs.length < databases) {
      const role = `applied_${tookMs.length}`
      const { data } = await neon.createProject({
        project: { name: role, branch: { role_name: role, database_name: role } },
      })
      const password = data.roles[0]?.password ?? ''
      const connectAs = (username: string, secret: string) =>
        client(emulator.postgresPort, role, username, secret)
      const api = connectAs(role, password)
      let schemaPassword = ''
      await makeRoles(api, ['schema'], async ({ schema }) => {
        schemaPassword = schema ?? ''
      })
      const [row] = await api<{ name: string }[]>`select current_database() as name`
      physicalName = row?.name ?? ''
      await api.end()
      const schema = connectAs(`${role}_schema`, schemaPassword)
      await schema`select 1`
      const startedAt = performance.now()
      const applied = await applyTenantSchema(schema)
      tookMs.push(performance.now() - startedAt)
      await schema.end()
      if (!applied.ok) throw new Error(`the files of the tenant schema: ${applied.failure.message}`)
    }
    return { tookMs, physicalName }
  } finally {
    await emulator.stop()
  }
}

/**
 * Copies a tenant's database as often as wanted, each copy with logins of its own: to make a thousand of them as provisioning does
 * takes ten times as long.
 */
export async function copyTenant(
  theirs: PostgresServer,
  template: string,
  copies: number,
  { progress, signal }: BenchmarkOptions,
): Promise<FleetTenant[]> {
  const made: FleetTenant[] = []
  await withConnections(theirs.url('template1'), COPIED_AT_ONCE, async (superuser) => {
    // What this role owns is given to each copy's own, and the template is to stay.
    await superuser.unsafe(`alter database ${template} owner to current_user`)
    let next = 1
    const copyOne = async (): Promise<void> => {
      for (let number = next++; number <= copies; number = next++) {
        signal.throwIfAborted()
        if (number % 100 === 0) progress(`making ${copies} tenants: ${number}`)
        made.push(await copyDatabase(superuser, theirs, template, number))
      }
    }
    await Promise.all(Array.from({ length: COPIED_AT_ONCE }, copyOne))
    // Or what the copies have left to write would be written while they are measured.
    await superuser.unsafe('checkpoint')
  })
  return made
}

async function copyDatabase(
  superuser: postgres.Sql,
  theirs: PostgresServer,
  template: string,
  number: number,
): Promise<FleetTenant> {
  const name = `neon_${number.toString(16).padStart(16, '0')}`
  await superuser.unsafe(
    `create role ${name} login inherit createrole createdb bypassrls replication in role neon_superuser`,
  )
  await superuser.unsafe(`create database ${name} owner ${name} template ${template} strategy wal_log`)
  await superuser.unsafe(`revoke connect, temporary on database ${name} from public`)
  const within = postgres(theirs.url(name), {
    max: 1,
    fetch_types: false,
    onnotice: () => undefined,
    connection: { search_path: 'pg_catalog', scram_iterations: SCRAM_ITERATIONS },
  })
  let password = ''
  try {
    await within.unsafe(`reassign owned by ${template} to ${name}; set session authorization ${name}`)
    await makeRoles(within, ['schema'], async ({ schema }) => {
      password = schema ?? ''
    })
    await within.unsafe(`reset session authorization;
      reassign owned by ${template}_owner to ${name}_owner;
      grant select, insert, update, delete on all tables in schema public to ${name}_app;
      grant select on all tables in schema public to ${name}_read;`)
  } finally {
    await within.end({ timeout: 5 })
  }
  return { number, physicalName: name, password }
}

/** As the emulator would have recorded it: made and used just now, and awake for as long as a benchmark may take. */
export function projectOf({ number, physicalName }: FleetTenant): ProjectRecord {
  const record = projectRecord(number, Date.now(), physicalName)
  return {
    ...record,
    endpoint: {
      ...record.endpoint,
      settings: { ...record.endpoint.settings, suspend_timeout_seconds: 3600 },
    },
  }
}

function client(port: number, database: string, username: string, password: string): postgres.Sql {
  return postgres({
    ...{ host: '127.0.0.1', port, database, username, password, max: 1, fetch_types: false },
    ...{ onnotice: () => undefined, connection: { search_path: 'pg_catalog' } },
  })
}
