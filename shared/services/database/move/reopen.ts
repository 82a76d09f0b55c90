import type { StepOutcome } from '../../../engine/step.ts'
import { asAdmin } from '../as-admin.ts'
import { openDatabase } from './closing.ts'
import type { MoveContext } from './source.ts'

/** Opens the database in use when a move that has closed it did not come to its switch. */
export async function reopenDatabase(context: MoveContext): Promise<StepOutcome> {
  const { sql, job, move, source } = context
  if (!move.isClosed) return { type: 'succeeded', output: {} }
  const opened = await asAdmin(source, openDatabase)
  if (!opened.ok) return { type: 'failed', failure: opened.failure }
  return {
    type: 'succeeded',
    output: { opened: true },
    record: sql`provisioning.record_reopened(${job.id}, ${job.leaseToken})`,
  }
}
