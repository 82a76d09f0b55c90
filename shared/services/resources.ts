import { z } from 'zod'
import type { StepOutcome, TenantFacts } from '../engine/step.ts'
import { failure } from '../kernel/failures.ts'

const resourceSchema = z
  .object({
    name: z.string(),
    external_id: z.string().nullable(),
    url: z.string().nullable(),
    state: z.enum(['planned', 'active', 'kept']),
    details: z.record(z.string(), z.unknown()),
    remove_at: z.coerce.date().nullable(),
  })
  .transform(({ name, external_id: externalId, url, state, details, remove_at: removeAt }) => ({
    name,
    externalId,
    url,
    state,
    details,
    removeAt,
  }))

/** A row of tenant_resources. */
export type TenantResource = z.infer<typeof resourceSchema>

/** What the organization has of this kind, or may have; undefined when nothing was ever asked for, or it is gone. */
export function resourceOf({ resources }: TenantFacts, kind: string): TenantResource | undefined {
  return z.record(z.string(), resourceSchema).parse(resources)[kind]
}

/** Puts a removal off until the time of grace is over; undefined when it may begin. */
export function duringGrace(resource: TenantResource | undefined): StepOutcome | undefined {
  const due = resource?.removeAt
  if (!due) return undefined
  const seconds = (due.getTime() - Date.now()) / 1000
  return seconds > 0
    ? { type: 'deferred', seconds, reason: failure('grace_period', due.toISOString()) }
    : undefined
}
