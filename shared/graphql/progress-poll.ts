import { z } from 'zod'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import { createSharedReads, type SharedReads } from '../kernel/shared-reads.ts'
import { causeAsProblem } from './errors.ts'
import { asProvisioningStatus, type ProvisioningStatus } from './provisioning-status.ts'

export interface Listener {
  readonly caller: Caller
  readonly organizationId: string
}

/** Tells each listener how the organization stands, and null when the caller may not see it any more. */
export type ProgressPoll = SharedReads<Listener, ProvisioningStatus>

const answer = z.object({
  progress: z.record(z.string(), z.unknown()),
  /** Of each caller, in the order in which they were given. */
  visible: z.array(z.array(z.string())),
})

/** Everybody who listens in this process is told from one statement, which reads each organization once. */
export function createProgressPoll(sql: Database, pollMs: number): ProgressPoll {
  return createSharedReads(pollMs, async (listeners: readonly Listener[]) => {
    const watched = new Map<string | null, Set<string>>()
    for (const { caller, organizationId } of listeners) {
      const ids = watched.get(userOf(caller)) ?? new Set()
      watched.set(userOf(caller), ids.add(organizationId))
    }
    const { progress, visible } = await readWatched(sql, watched)
    const status = new Map(Object.entries(progress).map(([id, found]) => [id, asProvisioningStatus(found)]))
    const visibleTo = new Map([...watched.keys()].map((userId, index) => [userId, new Set(visible[index])]))
    return listeners.map(({ caller, organizationId }) => {
      const maySee = visibleTo.get(userOf(caller))?.has(organizationId)
      return (maySee && status.get(organizationId)) || null
    })
  })
}

/** Null is the backend. */
function userOf(caller: Caller): string | null {
  return caller.type === 'user' ? caller.userId : null
}

async function readWatched(sql: Database, watched: ReadonlyMap<string | null, ReadonlySet<string>>) {
  const callers = [...watched].map(([user_id, ids]) => ({ user_id, organization_ids: [...ids] }))
  try {
    const [row] = await sql<{ found: unknown }[]>`
      select provisioning.watched_progress(${JSON.stringify(callers)}::text::jsonb) as found`
    return answer.parse(row?.found)
  } catch (error) {
    throw causeAsProblem(error)
  }
}
