import { type Result, success } from '../kernel/result.ts'
import type { DatabaseList, DatabaseWatch, ListedDatabase } from '../services/database/watch.ts'
import type { CheckResult, HealthStore, ListedTenant } from './health-store.ts'
import { isUnlisted } from './reasons.ts'
import { writeResults } from './result-writer.ts'
import { asleep } from './tenant-check.ts'

/** The provider notes activity with some delay: a compute counts as asleep only when it must have been for so long. */
const SLACK_MS = 60_000

/** Of a host whose list is read page by page. */
export type ListedWatch = DatabaseWatch & { readonly list: DatabaseList }

/** A read of the provider's list that this worker has under way. */
export interface FleetRead {
  readonly token: string
  readonly cursor: string | undefined
}

/**
 * Reads one page of the fleet and writes down what is known of its sleepers; those awake become due for a closer look.
 * A page that is refused ends the read: its cursor may be from another account, or of a project that is gone.
 * @returns how the read goes on; undefined when it has ended or another worker has taken it over
 */
export async function readFleetPage(
  store: HealthStore,
  watch: ListedWatch,
  { token, cursor }: FleetRead,
  clock: () => number,
): Promise<Result<FleetRead | undefined>> {
  // When it was asked: whatever a check that begins from here on finds out is newer.
  const checkedAt = new Date().toISOString()
  const page = await watch.list.page(cursor)
  if (!page.ok) {
    if (cursor !== undefined && watch.list.refusesCursor(page.failure)) await store.endRead(token)
    return page
  }
  const { databases, unavailable, nextCursor } = page.value
  const now = clock()
  const tenants = await store.tenantsOf(databases.map(({ id }) => id))
  const byId = new Map(databases.map((database) => [database.id, database]))
  const awake: string[] = []
  const sleeping: CheckResult[] = []
  for (const tenant of tenants) {
    const database = byId.get(tenant.hostedAs)
    if (!database) continue
    if (needsLook(tenant, database, now)) awake.push(tenant.organizationId)
    else if (tenant.dueSoon) sleeping.push(asleep(watch, tenant, checkedAt, database.usage))
  }
  await writeResults(store, sleeping)
  const listed = tenants.map(({ organizationId }) => organizationId)
  const goesOn = await store.advance({
    token,
    nextCursor,
    incomplete: unavailable > 0,
    seen: databases.length,
    listed,
    awake,
  })
  return success(goesOn && nextCursor !== undefined ? { token, cursor: nextCursor } : undefined)
}

/** Whether its compute may be awake, is to be woken because it is time, or may be kept from waking by what no list tells. */
function needsLook(
  { suspendTimeoutSeconds, deepCheckDue, reasons, checkedSecondsAgo }: ListedTenant,
  { lastActiveAt }: ListedDatabase,
  now: number,
): boolean {
  if (deepCheckDue || suspendTimeoutSeconds === -1 || reasons.some(isUnlisted)) return true
  if (lastActiveAt === undefined) return false
  const activeAt = Date.parse(lastActiveAt)
  // Used since the last check: that may have used up a quota that no list tells of.
  if (checkedSecondsAgo !== null && activeAt > now - checkedSecondsAgo * 1000) return true
  return activeAt + suspendTimeoutSeconds * 1000 + SLACK_MS > now
}
