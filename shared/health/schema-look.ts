import type postgres from 'postgres'
import { type Difference, readDifferences, readFingerprint } from '../tenant-database/fingerprint.ts'
import type { Metrics } from './evaluate.ts'
import type { ExpectedSchema } from './expected-schemas.ts'
import type { ClaimedTenant } from './health-store.ts'

/** The catalogue costs a small compute a tenth of a second to put into words, so not every check looks. */
const LOOK_EVERY_MS = 3_600_000
/** While something is known to be wrong. */
const LOOK_AGAIN_MS = 300_000

/** @param asked somebody waits for this check */
export function isSchemaDue(
  { metrics, schemaDriftAt }: Pick<ClaimedTenant, 'metrics' | 'schemaDriftAt'>,
  asked: boolean,
  now: number,
): boolean {
  const { schema_looked_at: lookedAt, schema_differences: differences } = metrics
  if (asked || lookedAt === undefined) return true
  const missedSince = schemaDriftAt !== null && differences === undefined
  return now - Date.parse(lookedAt) > (differences || missedSince ? LOOK_AGAIN_MS : LOOK_EVERY_MS)
}

/** What stays known of the schema until the next look. */
export function knownOfSchema({
  schema_looked_at: lookedAt,
  schema_differences: differences,
}: Metrics): Metrics {
  return {
    ...(lookedAt === undefined ? {} : { schema_looked_at: lookedAt }),
    ...(differences === undefined ? {} : { schema_differences: differences }),
  }
}

/**
 * Compares the catalogue with what the files of the schema have made: one round trip, and a second one when something differs. Never
 * throws: a check that could not look says what it has measured all the same, and what was known before stays.
 */
export async function lookAtSchema(
  sql: postgres.Sql,
  expected: ExpectedSchema | undefined,
  previous: Metrics,
): Promise<Metrics> {
  const found = expected && (await compare(sql, expected).catch(() => undefined))
  if (!found) return knownOfSchema(previous)
  return {
    schema_looked_at: new Date().toISOString(),
    ...(found.length > 0 ? { schema_differences: found.map(inWords) } : {}),
  }
}

/** @returns undefined when it cannot be told */
async function compare(
  sql: postgres.Sql,
  expected: ExpectedSchema,
): Promise<readonly Difference[] | undefined> {
  const found = await readFingerprint(sql, expected.names)
  const wanted = found && expected.fingerprint(found.serverMajor)
  if (wanted === undefined) return undefined
  if (found?.fingerprint === wanted) return []
  const objects = await expected.objects(wanted)
  return objects && readDifferences(sql, expected.names, objects)
}

function inWords({ object, is }: Difference): string {
  return `${object} is ${is}`
}
