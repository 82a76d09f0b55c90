import type { StepOutcome } from '../../../engine/step.ts'
import { failed, type Result, success } from '../../../kernel/result.ts'
import { asAdmin } from '../as-admin.ts'
import { closeDatabase, endSessions, openDatabase } from './closing.ts'
import { failure } from './failures.ts'
import { type Checksum, checksumOf, copyPage, setSequences } from './rows.ts'
import { betweenDatabases, type MovedTable, type Sides } from './sides.ts'
import type { MoveContext } from './source.ts'

/** In the last look; an address that has passed from one row to another takes one pass more. */
const MOST_PASSES = 4
const PAGE_ROWS = 2_000
/** After a look that took too long, the next comes ever later. */
const PUT_OFF_SECONDS = 60

interface MovedRows extends Checksum {
  readonly table: string
}

/**
 * The end of a move. The database in use is closed, what has changed since the copy is copied, counts and checksums of all tables are
 * compared, and the statement that ends this step makes the other database the tenant's. When that takes too long, or fails, the
 * database is opened again before anything else.
 */
export async function moveSwitch(context: MoveContext): Promise<StepOutcome> {
  const { sql, job, move, source, saveRecord } = context
  if ((move.closings ?? 0) >= move.mostClosings)
    return giveUp(context, { type: 'failed', failure: failure('move_never_closed_in_time') })
  // Longer than we work: whoever takes over after a crash goes on, and only if nobody does, a sweep opens it.
  await saveRecord(sql`provisioning.close_for_move(${job.id}, ${job.leaseToken}, ${move.closedSeconds + 15})`)
  const closed = await asAdmin(source, closeDatabase)
  const done = !closed.ok ? closed : closed.value.ok ? await lastLook(context) : closed.value
  if (done.ok)
    return {
      type: 'succeeded',
      output: { rows: done.value.reduce((sum, { rows }) => sum + rows, 0), tables: done.value.length },
      record: sql`provisioning.switch_tenant(${job.id}, ${job.leaseToken}, ${sql.json(done.value.map((each) => ({ ...each })))})`,
    }
  const isSlow = ['tenant_database_too_slow', 'move_too_slow'].includes(done.failure.code)
  return giveUp(
    context,
    isSlow
      ? {
          type: 'deferred',
          seconds: PUT_OFF_SECONDS * ((move.closings ?? 0) + 1),
          reason: failure('move_too_slow'),
        }
      : { type: 'failed', failure: done.failure },
  )
}

/** Where it cannot be opened now, a sweep sees to it. */
async function giveUp(
  { sql, job, source, saveRecord }: MoveContext,
  outcome: StepOutcome,
): Promise<StepOutcome> {
  const opened = await asAdmin(source, openDatabase)
  if (opened.ok) await saveRecord(sql`provisioning.record_reopened(${job.id}, ${job.leaseToken})`)
  return outcome
}

async function lastLook(context: MoveContext): Promise<Result<readonly MovedRows[]>> {
  const { move } = context
  if (!move.withData) return success([])
  const endsAt = Date.now() + move.closedSeconds * 1000
  return betweenDatabases(context, move.closedSeconds, async (sides) => {
    const moved: MovedRows[] = []
    for (const table of sides.tables) {
      const same = await makeSame(sides, table, endsAt)
      if (!same.ok) return same
      moved.push({ table: table.name, ...same.value })
    }
    await setSequences(sides.target, sides.tables)
    // Whoever was there could have written behind us.
    return (await endSessions(sides.source)) > 0 ? failed(failure('move_not_closed')) : success(moved)
  })
}

async function makeSame(sides: Sides, table: MovedTable, endsAt: number): Promise<Result<Checksum>> {
  let found: readonly [Checksum, Checksum] | undefined
  for (let pass = 0; pass <= MOST_PASSES; pass++) {
    if (Date.now() > endsAt) return failed(failure('move_too_slow'))
    const [here, there] = await Promise.all([
      checksumOf(sides.source, table),
      checksumOf(sides.target, table),
    ])
    if (here.rows === there.rows && here.checksum === there.checksum) return success(here)
    found = [here, there]
    if (pass === MOST_PASSES) break
    const copied = await copyAll(sides, table, endsAt)
    if (!copied.ok) return copied
  }
  return failed(
    failure('move_rows_differ', `${table.name}: ${found?.[0].rows} rows there, ${found?.[1].rows} here`),
  )
}

async function copyAll(sides: Sides, table: MovedTable, endsAt: number): Promise<Result<void>> {
  let after: readonly string[] | undefined
  do {
    if (Date.now() > endsAt) return failed(failure('move_too_slow'))
    const page = await copyPage(sides, table, after, PAGE_ROWS)
    if (!page.ok) return page
    after = page.value.after
  } while (after)
  return success(undefined)
}
