import type { Database } from '../kernel/database/client.ts'

/** What would become of something that an organization has outside. */
export interface PlannedRemoval {
  /** As in provisioning.resource_kinds. */
  readonly kind: string
  readonly label: string
  /** Null while it is not certain that it exists. */
  readonly externalId: string | null
  readonly kept: boolean
  /** How long after the deletion of the organization. */
  readonly removedAfterHours: number
}

/** What would be removed if the organization were deleted now, and what kept; or, without grace, if its provisioning were undone. */
export async function plannedRemovals(
  sql: Database,
  organizationId: string,
  withGrace: boolean,
): Promise<PlannedRemoval[]> {
  return sql<PlannedRemoval[]>`
    select r.kind, r.label, r.external_id as "externalId", r.kept, r.removed_after_hours as "removedAfterHours"
    from provisioning.planned_removals(${organizationId}, ${withGrace}) r`
}
