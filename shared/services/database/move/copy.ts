import type { StepOutcome } from '../../../engine/step.ts'
import { type Result, success } from '../../../kernel/result.ts'
import { failure } from './failures.ts'
import { copyPage } from './rows.ts'
import { betweenDatabases, type MovedTable, type Sides } from './sides.ts'
import type { Move, MoveContext } from './source.ts'

/** A pass that changes fewer rows leaves little for the last look, in which nobody may write. */
const FEW_CHANGES = 1_000
const MOST_PASSES = 3
/** A source that says this much in one part has had its turn; the next part goes on. */
const FAILURES_OF_SIZE = ['tenant_database_answer_too_large', 'tenant_database_too_slow']

type Progress = Move['tables'][string]
const NOTHING: Progress = { after: null, pageRows: 2_000, passes: 0, changed: 0, changedInPass: 0 }

/**
 * Copies the rows while the tenant works, table by table, by primary key, in parts that each end in time. How far it has come is in
 * our own rows, so that whoever takes over goes on from there.
 */
export async function moveCopy(context: MoveContext): Promise<StepOutcome> {
  const { move } = context
  if (!move.withData) return { type: 'succeeded', output: { copied: false } }
  const at: { table?: string; progress: Progress } = { progress: NOTHING }
  const done = await betweenDatabases(context, move.sliceSeconds, (sides) => copyPart(context, sides, at))
  if (!done.ok) {
    if (!FAILURES_OF_SIZE.includes(done.failure.code) || !at.table)
      return { type: 'failed', failure: done.failure }
    if (at.progress.pageRows === 1)
      return { type: 'failed', failure: failure('move_row_too_large', at.table) }
    await record(
      context,
      at.table,
      { ...at.progress, pageRows: Math.ceil(at.progress.pageRows / 8) },
      0,
      false,
    )
    return putOff(at.table)
  }
  return done.value === undefined
    ? { type: 'succeeded', output: { copied: true, table: null } }
    : putOff(done.value)
}

const putOff = (table: string): StepOutcome => ({
  type: 'deferred',
  seconds: 0,
  reason: failure('move_copying', table),
  output: { table },
})

/** @returns the table at which the time was over; undefined when there is nothing more to do */
async function copyPart(
  context: MoveContext,
  sides: Sides,
  at: { table?: string; progress: Progress },
): Promise<Result<string | undefined>> {
  const endsAt = Date.now() + context.move.sliceSeconds * 1000
  for (const table of sides.tables) {
    let progress = context.move.tables[table.name] ?? NOTHING
    while (!isCopied(progress)) {
      if (Date.now() > endsAt) return success(table.name)
      at.table = table.name
      at.progress = progress
      const next = await copyNext(context, sides, table, progress)
      if (!next.ok) return next
      progress = next.value
    }
  }
  return success(undefined)
}

function isCopied({ passes, changed }: Progress): boolean {
  return passes >= MOST_PASSES || (passes > 0 && changed <= FEW_CHANGES)
}

async function copyNext(
  context: MoveContext,
  sides: Sides,
  table: MovedTable,
  progress: Progress,
): Promise<Result<Progress>> {
  const page = await copyPage(sides, table, progress.after ?? undefined, progress.pageRows)
  if (!page.ok) return page
  const { after, changed } = page.value
  const isLast = after === undefined
  await record(context, table.name, { ...progress, after: after ? [...after] : null }, changed, isLast)
  const changedInPass = progress.changedInPass + changed
  return success(
    isLast
      ? { ...progress, after: null, passes: progress.passes + 1, changed: changedInPass, changedInPass: 0 }
      : { ...progress, after: [...after], changedInPass },
  )
}

async function record(
  { sql, job, saveRecord }: MoveContext,
  table: string,
  { after, pageRows }: Progress,
  changed: number,
  isLast: boolean,
): Promise<void> {
  await saveRecord(sql`provisioning.record_moved_page(${job.id}, ${job.leaseToken}, ${table}, ${after}, ${pageRows},
    ${changed}, ${isLast})`)
}
