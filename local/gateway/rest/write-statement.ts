import type { Relation } from './catalog.ts'
import { RestError } from './errors.ts'
import type { Filter } from './filter-syntax.ts'
import { type Payload, payloadRows } from './payload.ts'
import type { Preferences } from './preferences.ts'
import { whereClause } from './read-statement.ts'
import { relationSource } from './read-tree.ts'
import { type Parameters, quoted } from './sql-text.ts'

/** Columns of the changed rows that the reply is made of; none when it has no rows. */
export type Returning = readonly string[] | '*'

/** Counts the rows that an upsert inserts, and not those that it updates: the reply's status tells them apart. */
const INSERTED_SETTING = 'local_rest.inserted'

export function insertStatement(
  relation: Relation,
  payload: Payload,
  conflictColumns: readonly string[],
  preferences: Preferences,
  returning: Returning,
  parameters: Parameters,
): string {
  const columns = payload.columns.map(({ name }) => quoted(name))
  const rows = payloadRows(payload, preferences.missing === 'default', parameters)
  const values = columns.map((name) => `_body.${name}`).join(', ')
  const list = columns.length === 0 ? '' : ` (${columns.join(', ')})`
  const merges = preferences.resolution === 'merge-duplicates' && conflictColumns.length > 0
  const counted = preferences.resolution === 'merge-duplicates' ? ` where ${countInserted(1)}` : ''
  const conflict = preferences.resolution ? conflictClause(columns, conflictColumns, merges) : ''
  return `insert into ${relationSource(relation).from}${list} select ${values} from ${rows}${counted}${conflict}${returningClause(relation, returning)}`
}

/** Undefined when the body names no column, in which case there is nothing to update. */
export function updateStatement(
  relation: Relation,
  payload: Payload,
  filters: readonly Filter[],
  preferences: Preferences,
  returning: Returning,
  parameters: Parameters,
): string {
  const source = relationSource(relation)
  const columns = payload.columns.map(({ name }) => quoted(name))
  if (columns.length === 0)
    return `select ${returnedColumns(relation, returning)} from ${source.from} where false`
  assertFiltered('UPDATE', filters)
  const rows = payloadRows(payload, preferences.missing === 'default', parameters)
  const changes = columns.map((name) => `${name} = _body.${name}`).join(', ')
  const where = whereClause(filters, source, parameters)
  return `update ${source.from} set ${changes} from ${rows}${where}${returningClause(relation, returning)}`
}

export function deleteStatement(
  relation: Relation,
  filters: readonly Filter[],
  returning: Returning,
  parameters: Parameters,
): string {
  assertFiltered('DELETE', filters)
  const source = relationSource(relation)
  return `delete from ${source.from}${whereClause(filters, source, parameters)}${returningClause(relation, returning)}`
}

/** How many rows the upsert inserted; null for other statements. */
export const INSERTED_COUNT = `nullif(current_setting('${INSERTED_SETTING}', true), '')::int`

function conflictClause(
  columns: readonly string[],
  conflictColumns: readonly string[],
  merges: boolean,
): string {
  if (conflictColumns.length === 0) return ''
  const target = ` on conflict (${conflictColumns.map(quoted).join(', ')})`
  if (!merges || columns.length === 0) return `${target} do nothing`
  const changes = columns.map((name) => `${name} = excluded.${name}`).join(', ')
  return `${target} do update set ${changes} where ${countInserted(-1)}`
}

/** Always true. */
function countInserted(step: 1 | -1): string {
  return `set_config('${INSERTED_SETTING}', (coalesce(${INSERTED_COUNT}, 0) + ${step})::text, true) is not null`
}

function returningClause(relation: Relation, returning: Returning): string {
  return ` returning ${returnedColumns(relation, returning)}`
}

function returnedColumns(relation: Relation, returning: Returning): string {
  const { alias } = relationSource(relation)
  if (returning === '*') return `${alias}.*`
  // Something to count.
  return returning.length === 0 ? '1' : returning.map((name) => `${alias}.${quoted(name)}`).join(', ')
}

/** Hosted projects load pg-safeupdate, which refuses what a forgotten filter would do. */
function assertFiltered(statement: 'UPDATE' | 'DELETE', filters: readonly Filter[]): void {
  if (filters.length === 0) throw new RestError(400, '21000', `${statement} requires a WHERE clause`)
}
