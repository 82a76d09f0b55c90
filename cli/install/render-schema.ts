/** The schema that the templates are written for. */
export const TEMPLATE_SCHEMA = 'public'

/** Where the templates keep the schema's name for TypeScript, and the types of what is in it. */
const CONSTANT_FILE = 'shared/kernel/database/schema.ts'
const TYPES_FILE = 'shared/generated/database-types.ts'

/** Schemas that the platform or our own private half has; whoever puts tables there loses them or shows them. */
const TAKEN = [
  'auth',
  'cron',
  'extensions',
  'graphql',
  'graphql_public',
  'information_schema',
  'net',
  'pgbouncer',
  'pgmq',
  'pgsodium',
  'provisioning',
  'provisioning_types',
  'realtime',
  'storage',
  'supabase_functions',
  'supabase_migrations',
  'vault',
]

/** Words that SQL reserves, so that they would need quotes (PostgreSQL 17, appendix C: reserved, also where functions may be). */
const RESERVED =
  /^(all|analy[sz]e|and|any|array|asc?|asymmetric|authorization|binary|both|case|cast|check|collat(e|ion)|column|concurrently|constraint|create|cross|current_\w+|default|deferrable|desc|distinct|do|else|end|except|false|fetch|for|foreign|freeze|from|full|grant|group|having|i?like|in|initially|inner|intersect|into|is|isnull|join|lateral|leading|left|limit|localtime|localtimestamp|natural|not|notnull|null|offset|on|only|or|order|outer|overlaps|placing|primary|references|returning|right|select|session_user|similar|some|symmetric|system_user|table|tablesample|then|to|trailing|true|union|unique|user|using|variadic|verbose|when|where|window|with)$/

/** What is wrong with a name for the schema, as a sentence; undefined when the templates can be written for it. */
export function schemaNameProblem(name: string): string | undefined {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(name))
    return `A schema has a name of at most 63 lower-case letters, digits and underscores that does not begin with a digit; "${name}" is none.`
  if (name.startsWith('pg_') || TAKEN.includes(name))
    return `The schema ${name} belongs to the platform, or is ours already. Choose another one.`
  if (RESERVED.test(name)) return `"${name}" is a word of SQL. Choose another name for the schema.`
  return undefined
}

/**
 * The text of a file of ours for a project that has our tables in the given schema. The templates say `public`, which is also
 * the answer for that schema, to the byte.
 * @param file its path in the repository; decides what is a name of the schema in it
 * @param schema a name in which `schemaNameProblem` finds none
 */
export function renderFile(file: string, text: string, schema: string): string {
  if (schema === TEMPLATE_SCHEMA) return text
  if (file === CONSTANT_FILE) return replaceOnce(file, text, `= '${TEMPLATE_SCHEMA}'`, `= '${schema}'`)
  if (file === TYPES_FILE) return text.replaceAll(`"${TEMPLATE_SCHEMA}"`, `"${schema}"`)
  return file.endsWith('.sql') ? renderSql(text, schema) : text
}

/**
 * SQL of ours for another schema. `public` with a dot, as a quoted name, or after the word schema is that schema; without
 * them it is the role PUBLIC. That no statement is put together from parts of the name is what
 * tests/structure/public-schema.test.ts makes sure of.
 */
function renderSql(text: string, schema: string): string {
  return text
    .replace(/\bpublic\.(?=[a-z_%])/g, `${schema}.`)
    .replace(/'public'/g, `'${schema}'`)
    .replace(/\bschema (if not exists )?public\b/g, `schema $1${schema}`)
    .replace(/`public`/g, `\`${schema}\``)
}

function replaceOnce(file: string, text: string, from: string, to: string): string {
  if (text.split(from).length !== 2) throw new Error(`${file} does not have ${from} exactly once.`)
  return text.replace(from, to)
}
