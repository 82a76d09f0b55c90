import type { Mapping, ProfilesMapping } from './mapping.ts'
import type { TheirColumn, TheirTable } from './their-tables.ts'

/** What somebody asked for. */
export interface MappingWish {
  /** Of the table with the users' names. */
  readonly profiles?: string
  /** Said instead of found, by `part.column`. */
  readonly columns: Readonly<Record<string, string>>
}

const USERS = 'auth.users'
const NAMES = [
  ['full_name'],
  ['display_name'],
  ['name'],
  ['first_name', 'last_name'],
  ['username'],
  ['user_name'],
]
const AVATARS = ['avatar_url', 'avatar', 'picture', 'picture_url', 'photo_url', 'image_url']
const NONE = 'none'

/** @throws Error that says what is missing, and with which option it can be said */
export function findMapping(wish: MappingWish, tables: readonly TheirTable[], sawDatabase: boolean): Mapping {
  const found = (name: string, option: string) => tableOf(name, option, tables, sawDatabase)
  return {
    ...(wish.profiles === undefined
      ? {}
      : { profiles: profilesIn(found(wish.profiles, '--profiles'), wish.columns) }),
  }
}

/** What looks as if it could be read instead of ours, as the options that would do it. */
export function proposals(tables: readonly TheirTable[], current: Mapping): string[] {
  if (current.profiles) return []
  return tables
    .filter(({ name }) => /\.(?:user_?|public_)?(?:profiles?|users|people)$/.test(name))
    .flatMap((table) => {
      try {
        return [`--profiles ${table.name} (${described(profilesIn(table, {}))})`]
      } catch {
        return []
      }
    })
    .slice(0, 1)
}

/** The columns, for people. */
export const described = ({ table: _, ...columns }: Readonly<Record<string, unknown>>): string =>
  Object.entries(columns)
    .filter(([, column]) => column !== undefined)
    .map(([what, column]) => `${what}: ${Array.isArray(column) ? column.join(' + ') : String(column)}`)
    .join(', ')

function tableOf(
  name: string,
  option: string,
  tables: readonly TheirTable[],
  sawDatabase: boolean,
): TheirTable {
  const full = name.includes('.') ? name : `public.${name}`
  const table = tables.find((each) => each.name === full)
  if (table) return table
  throw new Error(
    `${option}: there is no table ${full} in ${sawDatabase ? 'the database' : 'your migrations. With SUPABASE_DB_URL the database is looked at, too'}.`,
  )
}

function profilesIn(table: TheirTable, said: MappingWish['columns']): ProfilesMapping {
  const column = (what: string) => chosenColumn(table, `profiles.${what}`, said)
  const user = column('user') ?? idOf(table, userColumn(table), 'profiles.user')
  const name = said['profiles.name']
    ? said['profiles.name'].split('+').map((each) => existing(table, 'profiles.name', each))
    : NAMES.find((names) => names.every((each) => has(table, each)))
  if (!name)
    throw new Error(
      `${table.name} has no column with names that is known. Say --column profiles.name=COLUMN.`,
    )
  const email = optional(column('email') ?? firstOf(table, ['email']))
  const avatar = optional(column('avatar') ?? firstOf(table, AVATARS))
  return { table: quoted(table.name), user, name, ...(email && { email }), ...(avatar && { avatar }) }
}

/** By foreign key, then by name. */
function userColumn({ columns }: TheirTable): TheirColumn | undefined {
  return (
    columns.find(({ references }) => references === USERS) ??
    columns.find(({ name }) => name === 'user_id') ??
    columns.find(({ name }) => name === 'id')
  )
}

/** Ids are uuid in our tables. */
function idOf(table: TheirTable, column: TheirColumn | undefined, what: string): string {
  if (column?.type === 'uuid') return column.name
  throw new Error(
    column
      ? `${table.name}.${column.name} is ${column.type}, and ids are uuid here. Say --column ${what}=COLUMN, if another one is.`
      : `${table.name} has no column that leads to ${USERS}. Say --column ${what}=COLUMN.`,
  )
}

function chosenColumn(table: TheirTable, what: string, said: MappingWish['columns']): string | undefined {
  const name = said[what]
  return name === undefined || name === NONE ? name : existing(table, what, name)
}

function existing(table: TheirTable, what: string, name: string): string {
  if (has(table, name)) return name
  throw new Error(`--column ${what}: ${table.name} has no column ${name}.`)
}

const optional = (column: string | undefined) => (column === NONE ? undefined : column)
const has = ({ columns }: TheirTable, wanted: string) => columns.some(({ name }) => name === wanted)
const firstOf = (table: TheirTable, names: readonly string[]) => names.find((name) => has(table, name))

/** As SQL needs it. */
const quoted = (table: string) =>
  table
    .split('.')
    .map((part) => (/^[a-z_][a-z0-9_]*$/.test(part) ? part : `"${part.replaceAll('"', '""')}"`))
    .join('.')
