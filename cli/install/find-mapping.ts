import type { Mapping, MembersMapping, ProfilesMapping, TenantsMapping } from './mapping.ts'
import type { TheirColumn, TheirTable } from './their-tables.ts'

/** What somebody asked for. */
export interface MappingWish {
  /** Of the table with the users' names. */
  readonly profiles?: string
  /** Of the tables with companies, teams or workspaces, and with who is in them. */
  readonly tenants?: string
  readonly members?: string
  /** Which of our roles a role of theirs is. */
  readonly roles: Readonly<Record<string, string>>
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
const TENANT_NAMES = ['name', 'company_name', 'organization_name', 'team_name', 'title', 'display_name']
const OWNERS = ['owner_id', 'owner', 'created_by', 'creator_id', 'user_id']
const TENANT_KEYS =
  /^(?:organi[sz]ation|company|workspace|account|tenant|team|business|org|group|project)_?id$/
const ROLES = ['owner', 'admin', 'member'] as const
const AVATARS = ['avatar_url', 'avatar', 'picture', 'picture_url', 'photo_url', 'image_url']
const NONE = 'none'

/** @throws Error that says what is missing, and with which option it can be said */
export function findMapping(wish: MappingWish, tables: readonly TheirTable[], sawDatabase: boolean): Mapping {
  const found = (name: string, option: string) => tableOf(name, option, tables, sawDatabase)
  if ((wish.tenants === undefined) !== (wish.members === undefined))
    throw new Error('--tenants and --members belong together: say both tables.')
  const tenants = wish.tenants === undefined ? undefined : found(wish.tenants, '--tenants')
  const members = wish.members === undefined ? undefined : found(wish.members, '--members')
  return {
    ...(wish.profiles === undefined
      ? {}
      : { profiles: profilesIn(found(wish.profiles, '--profiles'), wish.columns) }),
    ...(tenants && members
      ? { tenants: tenantsIn(tenants, wish.columns), members: membersIn(members, tenants, wish) }
      : {}),
  }
}

/** What looks as if it could be read instead of ours, as the options that would do it. */
export function proposals(tables: readonly TheirTable[], current: Mapping): string[] {
  const profiles = tables
    .filter(({ name }) => /\.(?:user_?|public_)?(?:profiles?|users|people)$/.test(name))
    .flatMap((table) => proposed(() => `--profiles ${table.name} (${described(profilesIn(table, {}))})`))
  const tenants = tables
    .filter(({ name }) =>
      /\.(?:companies|organi[sz]ations|workspaces|accounts|tenants|teams|businesses)$/.test(name),
    )
    .flatMap((table) =>
      tables
        .filter(
          ({ name, columns }) =>
            /member|users?$/.test(name) && columns.some(({ references }) => references === table.name),
        )
        .flatMap((members) =>
          proposed(() => {
            tenantsIn(table, {})
            const wish = { columns: {}, roles: {} }
            return `--tenants ${table.name} --members ${members.name} (${described(membersIn(members, table, wish))})`
          }),
        ),
    )
  return [...(current.profiles ? [] : profiles.slice(0, 1)), ...(current.tenants ? [] : tenants.slice(0, 1))]
}

function proposed(option: () => string): string[] {
  try {
    return [option()]
  } catch {
    return []
  }
}

/** The columns, for people. */
export const described = ({ table: _, ...columns }: Readonly<Record<string, unknown>>): string =>
  Object.entries(columns)
    .filter(([, column]) => column !== undefined)
    .map(([what, column]) => `${what}: ${inWords(column)}`)
    .join(', ')

function inWords(value: unknown): string {
  if (Array.isArray(value)) return value.join(' + ')
  return typeof value === 'object' && value !== null
    ? Object.entries(value)
        .map(([theirs, ours]) => `${theirs} is ${String(ours)}`)
        .join(', ')
    : String(value)
}

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

function tenantsIn(table: TheirTable, said: MappingWish['columns']): TenantsMapping {
  const column = (what: string) => chosenColumn(table, `tenants.${what}`, said)
  const id =
    column('id') ??
    idOf(
      table,
      table.columns.find(({ name }) => name === 'id'),
      'tenants.id',
    )
  const name = column('name') ?? firstOf(table, TENANT_NAMES)
  if (!name)
    throw new Error(`${table.name} has no column with names that is known. Say --column tenants.name=COLUMN.`)
  const owners = table.columns.filter(({ name: each, type }) => type === 'uuid' && OWNERS.includes(each))
  const owner = optional(
    column('owner') ?? OWNERS.find((each) => owners.some((found) => found.name === each)),
  )
  return { table: quoted(table.name), id, name, ...(owner && { owner }) }
}

function membersIn(
  table: TheirTable,
  tenants: TheirTable,
  { columns: said, roles }: Pick<MappingWish, 'columns' | 'roles'>,
): MembersMapping {
  const column = (what: string) => chosenColumn(table, `members.${what}`, said)
  const organization =
    column('organization') ??
    idOf(
      table,
      table.columns.find(({ references }) => references === tenants.name) ??
        table.columns.find(({ name }) => TENANT_KEYS.test(name)),
      'members.organization',
    )
  const others = { ...table, columns: table.columns.filter(({ name }) => name !== organization) }
  const user = column('user') ?? idOf(table, userColumn(others), 'members.user')
  const role = optional(column('role') ?? firstOf(table, ['role', 'member_role', 'membership_role']))
  const known = Object.entries(roles).map(([theirs, ours]) => [theirs.toLowerCase(), roleOf(ours)] as const)
  return {
    table: quoted(table.name),
    organization,
    user,
    ...(role && { role }),
    ...(known.length > 0 && { roles: Object.fromEntries(known) }),
  }
}

function roleOf(name: string): (typeof ROLES)[number] {
  const role = ROLES.find((each) => each === name)
  if (role) return role
  throw new Error(`--role: ${name} is no role of ours. Those are ${ROLES.join(', ')}.`)
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
      : `${table.name} has no column that is known for ${what}. Say --column ${what}=COLUMN.`,
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
