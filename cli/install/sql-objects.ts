import { inParentheses, listOf, statementsIn } from './sql-parts.ts'

/** What a statement of our migrations makes, as far as that can be replaced by itself. */
export type Kind =
  | 'function'
  | 'trigger'
  | 'policy'
  | 'index'
  | 'comment'
  | 'schedule'
  | 'table'
  | 'row'
  | 'other'

export interface Made {
  readonly kind: Kind
  /** Which one: a name, with the arguments of a function and the table of a trigger. Of any other statement, its text. */
  readonly name: string
  /** The statement, as it makes it for the first time. */
  readonly text: string
  /** That of them which defines it, where it stands in another one. */
  readonly definition: string
}

/** By kind and name. */
export type Schema = ReadonlyMap<string, Made>

/** What upgrades say of themselves for the next one, because their other statements do not tell it: a key or a statement, as JSON. */
export const GONE = '-- Gone: '
export const TABLE = '-- The table from now on: '

/** Tables whose rows are a part of the program, with their keys: an upgrade puts a row of today in the place of an older one. */
const KEYS: Readonly<Record<string, readonly string[]>> = {
  'provisioning.failure_texts': ['code'],
  'provisioning.services': ['service'],
  'provisioning.job_kinds': ['kind'],
  'provisioning.resource_kinds': ['kind'],
  'provisioning.step_definitions': ['kind', 'tier', 'step'],
}
/** Nothing reads a text of these that no failure has. */
export const isHarmless = ({ name }: Made) => name.startsWith('provisioning.failure_texts ')

/** Statements that make nothing which stays: the checks of the first migration, locks, and what an upgrade does on its way. */
const PASSING =
  /^(?:do \$(?:names|extensions|upgrade)\$|select provisioning\.lock_users\(\)$|notify pgrst|(?:re)?set check_function_bodies)/

/** What files, in this order, leave behind. It reads our own files: other people's write their statements in other ways. */
export function schemaOf(files: readonly string[]): Schema {
  const schema = new Map<string, Made>()
  const add = (made: Made) => schema.set(keyOf(made), made)
  for (const text of files) {
    for (const statement of statementsIn(text).filter((each) => !PASSING.test(each)))
      for (const made of madeBy(statement)) add(made)
    for (const line of text.split('\n')) {
      if (line.startsWith(GONE)) schema.delete(JSON.parse(line.slice(GONE.length)))
      if (line.startsWith(TABLE)) for (const made of madeBy(JSON.parse(line.slice(TABLE.length)))) add(made)
    }
  }
  return schema
}

export const keyOf = ({ kind, name }: Pick<Made, 'kind' | 'name'>) => `${kind} ${name}`

const FUNCTION = /^create function ([\w.]+)\(/
const TRIGGER = /^create (?:constraint )?trigger ("[^"]+"|\w+) .*? on ([\w.]+) /
const POLICY = /^create policy ("[^"]+"|\w+) on ([\w.]+)/
const INDEX = /^create (?:unique )?index (\w+) on (?:only )?(\w+)\./
const COMMENT = /^comment on (.*?) is '/
const SCHEDULE = /^select cron\.schedule\('([^']+)'/
const CREATE_TABLE = /^create (?:unlogged )?table ([\w.]+) \(/
const INSERTION = /^insert into ([\w.]+) \(([^)]*)\) values /

/** As an upgrade writes it behind a row. */
const REPLACING = / on conflict \([\w, ]+\) do (?:nothing|update set [\w.= ,]+)$/
/** Runs a statement for the schema that pg_trgm is in. */
const WRAPPED = /^select provisioning\.with_trigrams\(\$create\$(.*)\$create\$\)$/s

function madeBy(statement: string): Made[] {
  const [, within] = WRAPPED.exec(statement) ?? []
  const [inner, ...others] = within === undefined ? [] : statementsIn(within)
  if (inner === undefined || others.length > 0) return madeAtOnce(statement)
  return madeAtOnce(inner).map((made) => ({ ...made, text: wrapped(made.definition) }))
}

const wrapped = (definition: string) => `select provisioning.with_trigrams($create$${definition}$create$)`

/** The statement, so that it takes the place of what an earlier one has made. */
export const replacing = (made: Made): string =>
  made.kind === 'row'
    ? replacingRow(made)
    : made.text.replace(made.definition, () => made.definition.replace(/^create /, 'create or replace '))

function replacingRow({ text }: Made): string {
  const { table, columns } = partsOf(text)
  const keys = KEYS[table] ?? []
  const others = columns.filter((column) => !keys.includes(column))
  const action = `do update set ${others.map((column) => `${column} = excluded.${column}`).join(', ')}`
  return `${text} on conflict (${keys.join(', ')}) ${others.length > 0 ? action : 'do nothing'}`
}

/** What the rows of an insertion set. */
export const columnsOf = ({ text }: Made): readonly string[] => partsOf(text).columns

function partsOf(statement: string): { table: string; columns: readonly string[] } {
  const [, table = '', columns = ''] = INSERTION.exec(statement) ?? []
  return { table, columns: listOf(columns) }
}

function madeAtOnce(statement: string): Made[] {
  const text = statement.replace(/^create or replace /, 'create ')
  const made = (kind: Kind, ...names: (string | undefined)[]): Made[] => [
    { kind, name: names.join(' '), text, definition: text },
  ]
  const definer = FUNCTION.exec(text)
  if (definer) return made('function', `${definer[1]}(${argumentsOf(text).join(', ')})`)
  const trigger = TRIGGER.exec(text)
  if (trigger) return made('trigger', trigger[1], 'on', trigger[2])
  const policy = POLICY.exec(text)
  if (policy) return made('policy', policy[1], 'on', policy[2])
  // In the schema of its table.
  const index = INDEX.exec(text)
  if (index) return made('index', `${index[2]}.${index[1]}`)
  const comment = COMMENT.exec(text)
  if (comment) return made('comment', comment[1])
  const schedule = SCHEDULE.exec(text)
  if (schedule) return made('schedule', schedule[1])
  const table = CREATE_TABLE.exec(text)
  if (table) return made('table', table[1])
  const insertion = text.replace(REPLACING, '')
  return INSERTION.test(insertion) && insertion.endsWith(')') ? rowsOf(insertion) : made('other', text)
}

/** Each row is one by itself: a list of them grows, and one of them changes. */
function rowsOf(statement: string): Made[] {
  const [beginning = ''] = INSERTION.exec(statement) ?? []
  const { table, columns } = partsOf(statement)
  const keys = KEYS[table]
  return listOf(statement.slice(beginning.length)).map((row) => {
    const text = `${beginning}${row}`
    const values = listOf(inParentheses(row).inside)
    const name = keys ? `${table} ${keys.map((key) => values[columns.indexOf(key)]).join(', ')}` : text
    return { kind: keys ? 'row' : 'other', name, text, definition: text }
  })
}

/** As `drop function` takes them, without what they are when they are left out. */
function argumentsOf(statement: string): string[] {
  return listOf(inParentheses(statement).inside).map((each) => each.replace(/ (?:default |= ).*$/s, ''))
}

/** Without its arguments. */
export const functionName = (name: string) => name.replace(/\(.*$/s, '')

/** What a function gives back: it cannot be replaced by one that gives something else. */
export function resultOf(statement: string): string {
  const { after } = inParentheses(statement)
  const end = after.indexOf(' language ')
  return after.slice(0, end < 0 ? undefined : end).trim()
}

/** Whether rights or a comment concern an object, by its name without arguments. */
export const concerns = (statement: string, name: string) =>
  /^(?:grant|revoke|comment) /.test(statement) &&
  [' ', '(', ','].some((end) => `${statement} `.includes(` ${name}${end}`))
