import type postgres from 'postgres'

export interface Secret {
  readonly kind: string
  readonly value: string
}

/** Somewhere that a secret must not be, and all the text that is there. */
export interface Place {
  readonly name: string
  readonly text: string
}

/** Shorter than this, the beginning of a secret says too little to be one. */
const MIN_BEGINNING = 14

/** Which secrets are where, as they are, cut off, or encoded: "KIND in PLACE", each once. */
export function findSecrets(secrets: readonly Secret[], places: readonly Place[]): string[] {
  const found = secrets.flatMap(({ kind, value }) => {
    const wanted = spellings(value)
    return places
      .filter(({ text }) => wanted.some((spelling) => text.includes(spelling)))
      .map(({ name }) => `${kind} in ${name}`)
  })
  return [...new Set(found)].sort()
}

/** How a text may be written down: whole or cut off, in JSON, in a URL, in base64 within a longer text; each also as bytes. */
function spellings(value: string): string[] {
  const beginning = value.slice(0, Math.max(MIN_BEGINNING, Math.ceil(value.length * 0.6)))
  const texts = [
    beginning,
    JSON.stringify(beginning).slice(1, -1),
    encodeURIComponent(beginning),
    ...[0, 1, 2].map((offset) => base64At(beginning, offset)),
  ]
  return [...new Set(texts.flatMap((text) => [text, Buffer.from(text).toString('hex')]))]
}

/** The digits that all texts have in common in base64 that hold the value so many bytes behind a multiple of three. */
function base64At(value: string, offset: number): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)]).toString('base64')
  return encoded.replace(/=+$/, '').slice(Math.ceil((offset * 4) / 3), -1)
}

/** All rows of all tables of all schemas but Vault's and the server's own, and the statements that sessions show. */
export async function dumpTables(superuser: postgres.Sql): Promise<Place[]> {
  const tables = await superuser<{ name: string }[]>`
    select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'm') and n.nspname not in ('vault', 'pg_catalog', 'information_schema') order by 1`
  // In one statement: each by itself they take several times as long.
  const texts = tables.map(
    ({ name }) =>
      `select '${name}' as name, coalesce(string_agg(t::text, chr(10)), '') as text from ${name} t`,
  )
  const activity = `select 'pg_stat_activity', coalesce(string_agg(query, chr(10)), '') from pg_stat_activity
    where datname = current_database()`
  return superuser.unsafe<Place[]>([...texts, activity].join(' union all '))
}

/** A connection URI with a password that is not masked. */
export const CONNECTION_URI = /postgres(?:ql)?:\/\/[^:\s/"@]+:(?!\*\*\*@)[^@\s"]+@/
