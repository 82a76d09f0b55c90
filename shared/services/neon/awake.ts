import { type Result, success } from '../../kernel/result.ts'
import { createSingleFlight } from '../../kernel/single-flight.ts'
import type { NeonProvider } from './client.ts'
import type { NeonTenant } from './tenant.ts'

/** How long a list counts as new. What it shows to be awake is so for as long as it says, however old the list is. */
const LIST_MS = 60_000
/** Of a fleet with more pages each project is asked for by itself. */
const MOST_PAGES = 50
/** Before a compute would fall asleep if nobody used it, so that we are in before that. */
const MARGIN_MS = 20_000
const DEFAULT_SUSPEND_SECONDS = 300

/** Tells whether a tenant's compute is awake, so that a connection wakes nobody. */
export type Awake = (tenant: NeonTenant) => Promise<Result<boolean>>

type ListProvider = Pick<NeonProvider, 'projectPage' | 'compute'>

/**
 * Looks at all projects at once, 400 a call: whoever goes through a fleet would need a call for each otherwise, and the rate
 * limits of the account allow 10 a second. A compute that was used less than its suspend timeout ago is awake, unless somebody has
 * suspended it by hand just now. Of any other one the provider is asked.
 * @param now milliseconds, of the clock that the provider's times are compared with
 */
export function knowAwake(neon: ListProvider, now: () => number = Date.now): Awake {
  let usedAt: ReadonlyMap<string, number> = new Map()
  let readAt = Number.NEGATIVE_INFINITY

  const list = createSingleFlight(async () => {
    usedAt = await readList(neon)
    readAt = now()
  })
  const isCertain = ({ neonProjectId, limits }: NeonTenant) => {
    const used = usedAt.get(neonProjectId ?? '')
    const seconds = limits.suspendTimeoutSeconds || DEFAULT_SUSPEND_SECONDS
    return used !== undefined && (seconds < 0 || used + seconds * 1000 - MARGIN_MS > now())
  }
  return async (tenant) => {
    if (isCertain(tenant)) return success(true)
    if (now() - readAt > LIST_MS) await list.read()
    if (isCertain(tenant)) return success(true)
    if (!tenant.neonProjectId) return success(false)
    const compute = await neon.compute(tenant.neonProjectId)
    return compute.ok ? success(compute.value.state === 'active') : compute
  }
}

/** @returns when each project was last used, as far as a list of that many pages says; what is missing is asked for by itself */
async function readList(neon: ListProvider): Promise<ReadonlyMap<string, number>> {
  const usedAt = new Map<string, number>()
  let cursor: string | undefined
  for (let pages = 0; pages < MOST_PAGES; pages++) {
    const page = await neon.projectPage(cursor)
    if (!page.ok) return usedAt
    for (const { projectId, lastActiveAt } of page.value.projects)
      if (lastActiveAt !== undefined) usedAt.set(projectId, Date.parse(lastActiveAt))
    cursor = page.value.nextCursor
    if (cursor === undefined) return usedAt
  }
  return usedAt
}
