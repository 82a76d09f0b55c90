import postgres from 'postgres'
import { maskSecrets } from '../../shared/kernel/masking.ts'
import { foundationFor } from './migrations.ts'

/** The database of a project, and what it says about an installation. */
export interface TheirDatabase extends AsyncDisposable {
  readonly sql: postgres.Sql
  /** Of the migrations that it has applied. */
  readonly versions: readonly string[]
  /** Why the first migration would refuse to install into this schema, as a part of a sentence; undefined when it would not. */
  refusal(schema: string): Promise<string | undefined>
}

/** @throws Error when it cannot be reached, or has rights that are too few */
export async function openTheirDatabase(url: string): Promise<TheirDatabase> {
  const sql = postgres(url, {
    max: 1,
    connect_timeout: 10,
    onnotice: () => undefined,
    ...(new URL(url).searchParams.has('sslmode') ? {} : { ssl: 'prefer' }),
  })
  const close = () => sql.end({ timeout: 1 })
  try {
    await checkRights(sql)
    return {
      sql,
      versions: await appliedVersions(sql),
      refusal: (schema) => refusalOf(sql, schema),
      [Symbol.asyncDispose]: close,
    }
  } catch (error) {
    await close()
    throw error instanceof TooFewRights
      ? error
      : new Error(
          `The database cannot be looked at: ${maskSecrets(messageOf(error))}. Check SUPABASE_DB_URL.`,
        )
  }
}

class TooFewRights extends Error {}

async function checkRights(sql: postgres.Sql): Promise<void> {
  // By number: a name is looked up only for who may use its schema.
  const [rights] = await sql<{ user: string; schemas: boolean; users: boolean }[]>`
    select current_user::text as user, has_database_privilege(current_database(), 'create') as schemas,
      has_table_privilege(c.oid, 'trigger') and has_table_privilege(c.oid, 'references') as users
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = 'auth' and c.relname = 'users'`
  if (!rights)
    throw new TooFewRights('The database has no table auth.users: it is none of a Supabase project.')
  if (!rights.schemas || !rights.users)
    throw new TooFewRights(
      `The role ${rights.user} may not make schemas, or no triggers and foreign keys on auth.users. Connect as postgres.`,
    )
}

async function appliedVersions(sql: postgres.Sql): Promise<string[]> {
  const [history] =
    await sql`select to_regclass('supabase_migrations.schema_migrations') is not null as is_there`
  if (!history?.is_there) return []
  const rows = await sql<{ version: string }[]>`select version from supabase_migrations.schema_migrations`
  return rows.map(({ version }) => version)
}

/** Lets the checks at the beginning of the first migration run, which make nothing. */
async function refusalOf(sql: postgres.Sql, schema: string): Promise<string | undefined> {
  const foundation = await foundationFor(schema)
  const checks = foundation.match(/^do \$(names|extensions)\$[\s\S]*?^\$\1\$;/gm) ?? []
  if (checks.length !== 2) throw new Error('The first migration does not have its two checks.')
  try {
    await sql.begin('read only', async (tx) => {
      for (const check of checks) await tx.unsafe(check)
    })
    return undefined
  } catch (error) {
    return phraseOf(messageOf(error).replaceAll('\n', ' '))
  }
}

/** What the first migration says, as the reason of something else. */
function phraseOf(refusal: string): string {
  const taken = /names are taken: (.*?)\. Move them/.exec(refusal)?.[1]
  if (taken) return `the database has ${taken}`
  return refusal.replace(/^Nothing was installed, because /, '').replace(/\.$/, '')
}

const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error))
