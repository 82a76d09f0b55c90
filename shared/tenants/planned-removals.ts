import { type Database, publicSchema } from '../kernel/database/client.ts'

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
    select t.kind, k.label, t.external_id as "externalId", ${withGrace} and k.kept_on_deletion as kept,
      case when ${withGrace} and not k.kept_on_deletion then k.grace_hours else 0 end as "removedAfterHours"
    from ${publicSchema}.tenant_resources t join provisioning.resource_kinds k using (kind)
    where t.organization_id = ${organizationId} and t.state in ('planned', 'active') order by t.created_at, t.kind`
}
