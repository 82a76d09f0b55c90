import type { DatabaseWatch } from '../services/database/watch.ts'
import type { Metrics } from './evaluate.ts'
import type { ClaimedTenant } from './health-store.ts'
import { notice, type Reason } from './reasons.ts'

/** While one of them is known to be ill. */
const LOOK_AGAIN_MS = 300_000

/**
 * Asks for the services beside the database when that is due, which takes a call of its own. Never fails: when there is no turn for it
 * now, what was known stays, and another check asks.
 * @param asked somebody waits for this check
 */
export async function lookAtServices(
  watch: DatabaseWatch,
  { hostedAs, metrics }: ClaimedTenant & { readonly hostedAs: string },
  asked: boolean,
  everyMs: number,
): Promise<Metrics> {
  if (!watch.illServices || !(asked || isDue(metrics, everyMs))) return knownOfServices(metrics)
  const found = await watch.illServices(hostedAs, asked)
  if (!found.ok) return knownOfServices(metrics)
  return {
    services_looked_at: new Date().toISOString(),
    ...(found.value.length > 0 ? { ill_services: found.value } : {}),
  }
}

function isDue({ services_looked_at: lookedAt, ill_services: ill }: Metrics, everyMs: number): boolean {
  if (lookedAt === undefined) return true
  return Date.now() - Date.parse(lookedAt) > (ill ? Math.min(LOOK_AGAIN_MS, everyMs) : everyMs)
}

/** What stays known of the services until the next look. */
export function knownOfServices({ services_looked_at: lookedAt, ill_services: ill }: Metrics): Metrics {
  return {
    ...(lookedAt === undefined ? {} : { services_looked_at: lookedAt }),
    ...(ill === undefined ? {} : { ill_services: ill }),
  }
}

export function illServices({ ill_services: ill = [] }: Metrics): readonly Reason[] {
  return ill.length > 0 ? [notice('services_unhealthy', ill.join(', '))] : []
}
