import type postgres from 'postgres'
import { LEASE_SECONDS } from './plan.ts'

/**
 * How long ago a holder must have renewed its lease before the suite lets it run out ahead of its time. A worker renews
 * right before it creates something, and then has the whole lease for it: one that is taken from it at once would be a
 * failure that no clock can bring about. What a create takes in the emulators, delays included, stays below this.
 */
export const SETTLED_SECONDS = 3

/** Now, by the database's clock. */
export async function databaseNow(sql: postgres.Sql): Promise<Date> {
  const [row] = await sql<{ now: Date }[]>`select clock_timestamp() as now`
  if (!row) throw new Error('The database does not know the time.')
  return row.now
}

/** Workers renew three times in a lease; whoever has not done so for this long is dead, or has given the job up. */
const SILENCE_SECONDS = LEASE_SECONDS / 3 + 5

/**
 * Lets every lease run out whose holder renewed it last before the given moment; the sweep does the rest.
 * @returns how many ran out
 */
async function expireRenewedBefore(sql: postgres.Sql, moment: Date): Promise<number> {
  const { count } = await sql`
    update provisioning.job_leases set expires_at = now() - interval '1 second'
    where expires_at > now() and expires_at - make_interval(secs => ${LEASE_SECONDS}) < ${moment}`
  return count
}

/** Lets leases run out as if their holders, alive as they are, had stood still for long. `asOf` is when they stopped. */
export async function expireLeases(sql: postgres.Sql, asOf?: Date): Promise<number> {
  const moment = asOf ?? (await databaseNow(sql))
  return expireRenewedBefore(sql, new Date(moment.getTime() - SETTLED_SECONDS * 1000))
}

/** After the death of all workers at that moment: once what they had asked for is done, nobody acts on their leases. */
export async function expireLeasesOfTheDead(sql: postgres.Sql, diedAt: Date): Promise<number> {
  return expireRenewedBefore(sql, diedAt)
}

/** Spares a system at rest the rest of the leases that nobody renews any more. */
export async function expireSilentLeases(sql: postgres.Sql): Promise<number> {
  const now = await databaseNow(sql)
  return expireRenewedBefore(sql, new Date(now.getTime() - SILENCE_SECONDS * 1000))
}
