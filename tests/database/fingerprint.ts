import type postgres from 'postgres'
import { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'

/** A hash of the rows of each table of ours and of each that we write to, by table name. */
export type Fingerprint = Readonly<Record<string, string>>

const SCHEMAS = ['auth', PUBLIC_SCHEMA, 'provisioning', 'vault', 'net', 'cron']

/** Two equal fingerprints mean that nothing was written in between. */
export async function fingerprint(sql: postgres.ISql): Promise<Fingerprint> {
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', c.relnamespace::regnamespace, c.relname) as name from pg_class c
    where c.relkind = 'r' and c.relnamespace::regnamespace::text = any (${SCHEMAS}) order by 1`
  const hashes = tables.map(
    ({ name }) =>
      `select '${name}' as name, md5(coalesce(string_agg(t::text, ';' order by t::text), '')) as hash from ${name} t`,
  )
  const rows = await sql.unsafe<{ name: string; hash: string }[]>(hashes.join(' union all '))
  return Object.fromEntries(rows.map(({ name, hash }) => [name, hash]))
}
