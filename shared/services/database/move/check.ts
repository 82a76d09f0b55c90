import type { StepOutcome } from '../../../engine/step.ts'
import { tenantSchemaFiles } from '../../../generated/tenant-schema-files.ts'
import type { Failure } from '../../../kernel/failures.ts'
import { filesChecksum } from '../../../tenant-database/apply-schema.ts'
import { latestSchemaVersion } from '../../../tenant-database/latest-schema-version.ts'
import { asAdmin } from '../as-admin.ts'
import { type Comparison, compare, expectedOf, readRelations } from './catalogue.ts'
import { failure } from './failures.ts'
import type { MoveContext } from './source.ts'

/** Names in a message, and in what a look before a move tells. */
const MOST_NAMED = 20
const MOST_IN_OUTPUT = 200

/**
 * Looks at the database that the tenant leaves, and changes nothing. In a move, whatever is in the way ends it before anything is made;
 * a look before one only tells.
 */
export async function moveCheck(context: MoveContext): Promise<StepOutcome> {
  const { job, move, source } = context
  const isLook = job.kind === 'check_move'
  const { schemaVersion } = source.tenant
  if (schemaVersion !== latestSchemaVersion && !isLook)
    return { type: 'failed', failure: behind(schemaVersion) }
  const relations = await asAdmin(source, readRelations)
  if (!relations.ok) return { type: 'failed', failure: relations.failure }
  const objects = await expectedObjects(context)
  const found = objects ? compare(relations.value, expectedOf(objects)) : { differ: [], extra: [] }
  if (isLook)
    return {
      type: 'succeeded',
      output: {
        schemaVersion,
        newestVersion: latestSchemaVersion,
        tables: relations.value.length,
        differ: found.differ.slice(0, MOST_IN_OUTPUT),
        extra: found.extra.slice(0, MOST_IN_OUTPUT),
        extraCount: found.extra.length,
      },
    }
  const blocked = inTheWay(found, move.leaveExtraTables ?? false)
  if (blocked) return { type: 'failed', failure: blocked }
  return { type: 'succeeded', output: { schemaVersion, tables: relations.value.length } }
}

function behind(version: number | null): Failure {
  return failure('move_schema_behind', `${version ?? 'none'} instead of ${latestSchemaVersion}`)
}

/** Why rows cannot be copied from this database; undefined when they can. */
export function inTheWay({ differ, extra }: Comparison, leaveExtraTables: boolean): Failure | undefined {
  if (differ.length > 0) return failure('move_tables_differ', named(differ))
  if (extra.length > 0 && !leaveExtraTables) return failure('move_extra_tables', named(extra))
  return undefined
}

function named(names: readonly string[]): string {
  const more = names.length - MOST_NAMED
  return names.slice(0, MOST_NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/** Undefined where no database of the newest version is recorded: then the copy alone compares. */
async function expectedObjects({ sql }: MoveContext): Promise<Record<string, string> | undefined> {
  const checksum = filesChecksum(latestSchemaVersion, tenantSchemaFiles)
  if (checksum === undefined) return undefined
  const [row] = await sql<{ objects: Record<string, string> }[]>`
    select objects from provisioning.tenant_schemas
    where schema_version = ${latestSchemaVersion} and files_checksum = ${checksum} order by server_major desc limit 1`
  return row?.objects
}
