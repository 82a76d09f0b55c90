import type postgres from 'postgres'
import { type Failure, failure as generalFailure } from '../../../kernel/failures.ts'
import { failed, type Result, success } from '../../../kernel/result.ts'
import { asAdmin } from '../as-admin.ts'
import { compare, readRelations, tablesOf } from './catalogue.ts'
import { inTheWay } from './check.ts'
import { failure } from './failures.ts'
import type { MoveContext } from './source.ts'

/** A table as both databases have it. */
export interface MovedTable {
  /** With its schema, quoted. */
  readonly name: string
  readonly columns: readonly MovedColumn[]
  /** Of the primary key, in its order. */
  readonly key: readonly MovedColumn[]
}

export interface MovedColumn {
  /** Quoted. */
  readonly name: string
  readonly type: string
}

/** Sessions in both databases, as the roles that came with them. */
export interface Sides {
  readonly source: postgres.Sql
  readonly target: postgres.Sql
  readonly tables: readonly MovedTable[]
}

/** What the source may say in one session altogether; the connection is cut beyond that, whatever its owner has made of it. */
export const MOST_BYTES = 64 * 1024 * 1024
/** In both the same value has the same text, whatever their owners have set. */
const SAME_TEXTS = `set extra_float_digits = 1; set bytea_output = 'hex'; set intervalstyle = 'postgres'; set xmloption = 'content'`

/**
 * Opens both databases and does the work. It fails before that when the source has not what the target has.
 * @param seconds that it may take
 */
export async function betweenDatabases<T>(
  { source, target, move, signal }: MoveContext,
  seconds: number,
  work: (sides: Sides) => Promise<Result<T>>,
): Promise<Result<T>> {
  if (signal.aborted) return failed(generalFailure('step_timed_out'))
  const limits = {
    lifeMs: (seconds + 10) * 1000,
    statementMs: seconds * 1000,
    maxBytes: MOST_BYTES,
  }
  const done = await asAdmin(
    target(),
    (targetSql) =>
      asAdmin(
        source,
        async (sourceSql): Promise<Result<T>> => {
          await Promise.all([sourceSql.unsafe(SAME_TEXTS), targetSql.unsafe(SAME_TEXTS)])
          const tables = await movedTables(sourceSql, targetSql, move.leaveExtraTables ?? false)
          if (!tables.ok) return tables
          return work({ source: sourceSql, target: targetSql, tables: tables.value })
        },
        limits,
      ),
    limits,
  )
  if (!done.ok) return done
  return done.value.ok ? done.value.value : done.value
}

async function movedTables(
  source: postgres.Sql,
  target: postgres.Sql,
  leaveExtraTables: boolean,
): Promise<Result<readonly MovedTable[]>> {
  const [there, wanted] = await Promise.all([readRelations(source), readRelations(target)])
  const expected = tablesOf(wanted)
  const blocked: Failure | undefined = inTheWay(compare(there, expected), leaveExtraTables)
  if (blocked) return failed(blocked)
  const tables = wanted
    .filter(({ name }) => expected.has(name))
    .map(({ name, columns }) => ({
      name,
      columns: columns.filter(({ isGenerated }) => !isGenerated),
      key: columns.filter(({ key }) => key !== null).sort((a, b) => (a.key ?? 0) - (b.key ?? 0)),
    }))
  // Texts of the other database become values of these types in it: those of its owner could bring code along.
  const odd = tables.find(({ key }) => key.length === 0 || key.some(({ isBuiltIn }) => !isBuiltIn))
  return odd ? failed(failure('move_tables_differ', `${odd.name} has no plain primary key`)) : success(tables)
}
