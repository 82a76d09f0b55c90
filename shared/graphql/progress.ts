import { setTimeout as sleep } from 'node:timers/promises'
import type { SubscriptionProvisioningProgressArgs } from '../generated/resolver-types.ts'
import { Problem } from '../kernel/http/problem.ts'
import { organizationId } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { provisioningStatus } from './provisioning-status.ts'

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
    ) => untilStopped((signal) => watch(context, organizationId(id), signal)),
  },
}

/** The state now, and whenever it changes, until it is final or the time is up. @throws Problem */
async function* watch(
  { reader, caller, timing }: GraphqlContext,
  id: string,
  signal: AbortSignal,
): AsyncGenerator<Progress> {
  const expiresAtMs = caller.type === 'user' && caller.claims.exp ? caller.claims.exp * 1000 : Infinity
  const deadline = Math.min(Date.now() + timing.subscriptionMs, expiresAtMs)
  let lastRevision: string | undefined
  while (!signal.aborted) {
    // Each time as the caller: whoever is no longer a member is told so.
    const found = await provisioningStatus(reader, id)
    if (!found)
      throw new Problem('organization_not_found', `There is no organization ${id} that you may see.`)
    if (found.revision !== lastRevision) yield { provisioningProgress: found }
    lastRevision = found.revision
    if (ENDED.includes(found.overall) || Date.now() + timing.pollMs > deadline) return
    await sleep(timing.pollMs, undefined, { signal }).catch(() => undefined)
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
