import type { SubscriptionProvisioningProgressArgs } from '../generated/resolver-types.ts'
import { Problem } from '../kernel/http/problem.ts'
import { organizationId } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { type ProvisioningStatus, provisioningStatus } from './provisioning-status.ts'

const ENDED = ['ready', 'failed', 'cancelled']

interface Progress {
  readonly provisioningProgress: unknown
}

export const subscriptions = {
  provisioningProgress: {
    subscribe: (
      _: unknown,
      { organizationId: id }: SubscriptionProvisioningProgressArgs,
      context: GraphqlContext,
    ) => untilStopped((signal) => listen(context, organizationId(id), signal)),
  },
}

/** With a place for as long as it lasts. @throws Problem */
async function* listen(context: GraphqlContext, id: string, signal: AbortSignal): AsyncGenerator<Progress> {
  const leave = context.waiting.room.enter(context.caller)
  try {
    yield* watch(context, id, signal)
  } finally {
    leave()
  }
}

/** The state now, and whenever it changes, until it is final or the time is up. @throws Problem */
async function* watch(
  { reader, caller, timing, waiting }: GraphqlContext,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  const expiresAtMs = caller.type === 'user' && caller.claims.exp ? caller.claims.exp * 1000 : Infinity
  const deadline = Math.min(Date.now() + timing.subscriptionMs, expiresAtMs)
  let lastRevision: string | undefined
  let found: ProvisioningStatus | undefined = await provisioningStatus(reader, id)
  while (found !== undefined) {
    if (found === null)
      throw new Problem('organization_not_found', `There is no organization ${id} that you may see.`)
    if (found.revision !== lastRevision) yield { provisioningProgress: found }
    lastRevision = found.revision
    if (ENDED.includes(found.overall) || Date.now() + timing.pollMs > deadline) return
    // Each time for this caller: whoever is no longer a member is told so. Undefined when the client has gone.
    found = await waiting.progress.next({ caller, organizationId: id }, signal)
  }
}

/**
 * An iterator that can be stopped while it waits. A generator alone would take note of `return` at its next `yield` only, and
 * for as long as nothing changes there is none: it would go on asking the database for a client that has gone.
 */
function untilStopped<T>(start: (signal: AbortSignal) => AsyncGenerator<T>): AsyncIterableIterator<T> {
  const stop = new AbortController()
  const events = start(stop.signal)
  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: () => events.next(),
    return: () => {
      stop.abort()
      return events.return(undefined)
    },
  }
}
