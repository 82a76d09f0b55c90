import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Reply } from '../http/exchange.ts'
import { InvalidTuningError } from '../http/tuning.ts'
import type { ComputeFleet } from './compute-fleet.ts'
import { type ProjectRecord, SUSPENDING_QUOTAS, withEndpoint } from './project.ts'
import type { ProjectStore } from './project-store.ts'

const changesSchema = z.strictObject({
  /** Refuse connections and starts as on a project whose quota is used up: the named one, or with true the compute time. */
  quotaExceeded: z.union([z.boolean(), z.enum(SUSPENDING_QUOTAS)]).optional(),
  /** true puts the compute to sleep at once, false wakes it. */
  suspended: z.boolean().optional(),
  /** Leave it out of lists, as Neon does with projects that it could not fetch in time. */
  unavailable: z.boolean().optional(),
})

interface Parts {
  readonly store: ProjectStore
  readonly fleet: ComputeFleet
  readonly clock: Clock
}

/** `PATCH /_emulator/projects/{id}`: what at Neon only time and bills bring about. */
export function changeProject(parts: Parts, method: string, path: string, body: unknown): Reply | undefined {
  const id = method === 'PATCH' ? /^\/projects\/([^/]+)$/.exec(path)?.[1] : undefined
  if (id === undefined) return undefined
  const project = parts.store.get(id)
  if (project === undefined) return { status: 404, body: { error: `There is no project ${id}.` } }
  const changes = changesSchema.safeParse(body)
  if (!changes.success) throw new InvalidTuningError(z.prettifyError(changes.error))
  const {
    quotaExceeded = project.exhaustedQuota,
    unavailable = project.unavailable,
    suspended,
  } = changes.data
  const exhaustedQuota = quotaExceeded === true ? 'compute_time_seconds' : quotaExceeded || undefined
  let changed = parts.store.save({ ...project, exhaustedQuota, unavailable })
  // Neon suspends the computes of a project that ran out.
  if (suspended === true || exhaustedQuota) changed = suspend(parts, changed)
  else if (suspended === false && parts.fleet.state(changed) === 'idle')
    changed = parts.fleet.wake(changed, 0).saved
  return {
    status: 200,
    body: { id, quotaExceeded: exhaustedQuota !== undefined, state: parts.fleet.state(changed) },
  }
}

function suspend({ store, fleet, clock }: Parts, project: ProjectRecord): ProjectRecord {
  fleet.disconnect(project.id)
  return store.save(withEndpoint(project, { suspendedAt: clock() }))
}
