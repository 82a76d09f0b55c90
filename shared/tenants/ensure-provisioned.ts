import { type Database, publicSchema } from '../kernel/database/client.ts'

/**
 * `provisioned`: the user has an organization. `not_eligible`: none is due (yet) to this user, see
 * provisioning.ensure_user_provisioned. `recorded`: the rows could not be made; the sweep tries again.
 */
export type SignUpOutcome =
  | { readonly outcome: 'provisioned'; readonly userId: string; readonly organizationId: string }
  | { readonly outcome: 'not_eligible' | 'recorded' | 'user_not_found'; readonly userId: string }

/** What the trigger on auth.users does, for a user whose row is committed. All but the id is read from that row. */
export async function ensureProvisioned(sql: Database, userId: string): Promise<SignUpOutcome> {
  const [tried] = await sql<{ exists: boolean; done: boolean }[]>`
    select exists (select from auth.users where id = ${userId}) as exists,
      provisioning.try_to_provision_user(${userId}) as done`
  if (!tried?.exists) return { outcome: 'user_not_found', userId }
  if (!tried.done) return { outcome: 'recorded', userId }
  // A statement of its own: the first one's snapshot is older than the rows that it made.
  const [profile] = await sql<{ organizationId: string | null }[]>`
    select organization_id as "organizationId" from ${publicSchema}.profiles where id = ${userId}`
  const organizationId = profile?.organizationId
  return organizationId
    ? { outcome: 'provisioned', userId, organizationId }
    : { outcome: 'not_eligible', userId }
}
