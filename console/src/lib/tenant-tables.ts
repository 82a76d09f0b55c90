import type { ProjectAccess } from '../components/tenants/lib/api.ts'
import { askTenant } from './tenant-query.ts'

/** A list of rows that the endpoint gives: a field of Query which takes `first`. */
export interface TenantTable {
  readonly field: string
  /** Of what the field gives: a page of rows. */
  readonly pageType: string
}

/** Works in every new tenant: whoever asks is in it. */
export const FIRST_QUERY = `# Who is in this organization, as its database knows it.
query People($first: Int!) {
  users(first: $first) {
    totalCount
    nodes {
      fullName
      email
      role
      createdAt
    }
  }
}
`
export const FIRST_VARIABLES = '{ "first": 10 }'
export const FIRST_TABLE = 'users'

const TABLES = `{ __schema { queryType { fields {
  name args { name } type { name ofType { name } } } } } }`

/** No deeper: lists of fields in each other are refused from the third on. */
const COLUMNS = `query ($type: String!) { __type(name: $type) { fields {
  name type { ofType { ofType { name fields { name args { name } type { kind ofType { kind } } } } } } } } }`

interface TypeShape {
  readonly kind?: string
  readonly name?: string | null
  readonly ofType?: TypeShape | null
  readonly fields?: readonly FieldShape[] | null
}

interface FieldShape {
  readonly name: string
  readonly args?: readonly { readonly name: string }[]
  readonly type: TypeShape
}

/** All lists, by name; none where operators have switched introspection off. @throws ApiError */
export async function readTables(
  access: ProjectAccess,
  organizationId: string,
  signal: AbortSignal,
): Promise<TenantTable[]> {
  const { data } = await askTenant(
    access,
    organizationId,
    undefined,
    { query: TABLES, variables: {} },
    signal,
  )
  const found = data as { __schema?: { queryType?: TypeShape } } | null
  return (found?.__schema?.queryType?.fields ?? [])
    .filter(({ args = [] }) => args.some(({ name }) => name === 'first'))
    .map(({ name, type }) => ({ field: name, pageType: type.name ?? type.ofType?.name ?? '' }))
    .sort((one, other) => one.field.localeCompare(other.field))
}

/** A query for the first rows of a table, with everything that is no relation. @throws ApiError */
export async function queryForTable(
  access: ProjectAccess,
  organizationId: string,
  { field, pageType }: TenantTable,
): Promise<string> {
  const { data } = await askTenant(access, organizationId, undefined, {
    query: COLUMNS,
    variables: { type: pageType },
  })
  const page = (data as { __type?: TypeShape } | null)?.__type
  const row = page?.fields?.find(({ name }) => name === 'nodes')?.type.ofType?.ofType
  const columns = (row?.fields ?? [])
    .filter(({ args = [], type }) => args.length === 0 && isValue(type))
    .map(({ name }) => name)
  return printQuery(field, columns)
}

function isValue({ kind, ofType }: TypeShape): boolean {
  const inner = kind === 'NON_NULL' ? ofType?.kind : kind
  return inner === 'SCALAR' || inner === 'ENUM'
}

function printQuery(field: string, columns: readonly string[]): string {
  const nodes = columns.length > 0 ? columns : ['__typename']
  return [
    'query ($first: Int!) {',
    `  ${field}(first: $first) {`,
    '    totalCount',
    '    nodes {',
    ...nodes.map((column) => `      ${column}`),
    '    }',
    '  }',
    '}',
    '',
  ].join('\n')
}
