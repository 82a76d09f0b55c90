import type postgres from 'postgres'
import { TEMPLATE_SCHEMA } from './render-schema.ts'

/** What a project does with tables by itself. */
interface TheirCode {
  /** By name with schema: its text. */
  readonly functions: ReadonlyMap<string, string>
  /** Of those before a deletion of users, the functions. */
  readonly beforeDeletion: readonly string[]
  /** With the table as it is written. */
  readonly policies: readonly { readonly name: string; readonly table: string }[]
}

const NAME = String.raw`(?:"?(\w+)"?\s*\.\s*)?"?(\w+)"?`
const FUNCTION = new RegExp(
  String.raw`\bcreate\s+(?:or\s+replace\s+)?(?:function|procedure)\s+${NAME}\s*\([^;$]*\$(\w*)\$([\s\S]*?)\$\3\$`,
  'gi',
)
const DROPPED = new RegExp(String.raw`\bdrop\s+(?:function|procedure)\s+(?:if\s+exists\s+)?${NAME}`, 'gi')
const TRIGGER = new RegExp(
  String.raw`\bcreate\s+(?:or\s+replace\s+)?trigger\s+"?[\w ]+"?\s+before\s+([\w\s,]*?)\s+on\s+auth\s*\.\s*users\b[^;]*?\bexecute\s+(?:function|procedure)\s+${NAME}`,
  'gi',
)
const POLICY = new RegExp(String.raw`\bcreate\s+policy\s+("[^"]+"|\w+)\s+on\s+${NAME}`, 'gi')

/** Read from the texts of a project's migrations, in order. */
export function codeIn(migrations: readonly string[]): TheirCode {
  const functions = new Map<string, string>()
  const beforeDeletion: string[] = []
  const policies: { name: string; table: string }[] = []
  for (const migration of migrations.map((text) => text.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' '))) {
    const made = [...migration.matchAll(FUNCTION)].map((found) => ({ found, body: found[4] ?? '' }))
    const dropped = [...migration.matchAll(DROPPED)].map((found) => ({ found, body: undefined }))
    for (const { found, body } of [...made, ...dropped].sort((a, b) => a.found.index - b.found.index)) {
      const name = fullName(found[1], found[2])
      if (body === undefined) functions.delete(name)
      else functions.set(name, body)
    }
    for (const [, events = '', schema, name] of migration.matchAll(TRIGGER))
      if (/\bdelete\b/i.test(events)) beforeDeletion.push(fullName(schema, name))
    for (const [, name = '', schema, table] of migration.matchAll(POLICY))
      policies.push({ name: name.replaceAll('"', ''), table: fullName(schema, table) })
  }
  return { functions, beforeDeletion, policies }
}

/** Read from a database; policies can only be on tables that are there, and so on none of ours. */
export async function codeInDatabase(sql: postgres.Sql): Promise<TheirCode> {
  const functions = await sql<{ name: string; body: string }[]>`
    select n.nspname || '.' || p.proname as name, p.prosrc as body
    from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    join pg_catalog.pg_language l on l.oid = p.prolang
    where l.lanname in ('sql', 'plpgsql') and n.nspname not in ('auth', 'cron', 'extensions', 'graphql', 'information_schema', 'net',
      'provisioning', 'realtime', 'storage', 'supabase_functions', 'vault') and n.nspname !~ '^pg'`
  // In tgtype, 2 is BEFORE and 8 is DELETE.
  const triggers = await sql<{ name: string }[]>`
    select n.nspname || '.' || p.proname as name from pg_catalog.pg_trigger t
    join pg_catalog.pg_proc p on p.oid = t.tgfoid join pg_catalog.pg_namespace n on n.oid = p.pronamespace
    where t.tgrelid = 'auth.users'::regclass and not t.tgisinternal and t.tgtype & 10 = 10 and n.nspname <> 'provisioning'`
  return {
    functions: new Map(functions.map(({ name, body }) => [name, body])),
    beforeDeletion: triggers.map(({ name }) => name),
    policies: [],
  }
}

/**
 * What a project's own code will do to ours, as sentences. None of it is in the way of an installation.
 * @param schema where our tables are to be
 * @param tables of ours, without the schema
 */
export function noticesOf(code: TheirCode, schema: string, tables: readonly string[]): string[] {
  const ours = tables.join('|')
  const prefix = schema === TEMPLATE_SCHEMA ? String.raw`(?:"?public"?\s*\.\s*)?` : `"?${schema}"?\\s*\\.\\s*`
  const use = new RegExp(
    String.raw`\b(?:insert\s+into|update|delete\s+from|from|join)\s+(?:only\s+)?${prefix}"?(${ours})"?\b(?!\s*\.)`,
    'gi',
  )
  const kept = [...new Set(code.beforeDeletion)].filter((name) =>
    /\breturn\s+null\b|\braise\s+exception\b/i.test(code.functions.get(name) ?? ''),
  )
  const named = [...code.functions].flatMap(([name, body]) => {
    const found = [...new Set([...body.matchAll(use)].map(([, table = '']) => table.toLowerCase()))]
    return found.length === 0 ? [] : [`Your function ${name} names ${found.join(', ')}, which will be ours.`]
  })
  const policies = code.policies.filter(({ table }) => tables.some((each) => `${schema}.${each}` === table))
  return [
    ...kept.map(
      (name) =>
        `Your trigger with ${name} may keep a user from being deleted. Then the tenant stays, too: ours is undone when the user has really gone, or has a deleted_at.`,
    ),
    ...named,
    ...policies.map(
      ({ name, table }) =>
        `Your policy "${name}" is on ${table}, which will be ours: it may show rows of all tenants.`,
    ),
  ]
}

const fullName = (schema: string | undefined, name = '') =>
  `${schema ?? TEMPLATE_SCHEMA}.${name}`.toLowerCase()
