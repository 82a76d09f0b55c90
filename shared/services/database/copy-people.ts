import type { StepOutcome } from '../../engine/step.ts'
import { copyPeople, type TenantPeople } from '../../tenant-database/copy-people.ts'
import { asLogin } from './as-login.ts'
import type { DatabaseStep } from './step.ts'

/** Copies the organization's members into the tenant's database after they have changed. One that sleeps is not woken for that. */
export const copyPeopleStep: DatabaseStep = async (context): Promise<StepOutcome> => {
  const { sql, job, tenant, hosted } = context
  const [changed] = await sql<{ upTo: string | null; people: TenantPeople | null }[]>`
    select up_to as "upTo", people from provisioning.people_to_copy(${tenant.organizationId})`
  if (!changed?.upTo || !changed.people) return { type: 'succeeded', output: {} }
  const { upTo, people } = changed
  const found = await hosted.isListedAwake()
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (!found.value) {
    const record = sql`provisioning.leave_people_asleep(${job.id}, ${job.leaseToken})`
    return { type: 'succeeded', output: { left: 'asleep' }, record }
  }
  const copied = await asLogin(context, 'schema', 'direct', (tenantSql) => copyPeople(tenantSql, people))
  if (!copied.ok) return { type: 'failed', failure: copied.failure }
  if (!copied.value.ok) return { type: 'failed', failure: copied.value.failure }
  const record = sql`provisioning.record_copied_people(${job.id}, ${job.leaseToken}, ${upTo})`
  return { type: 'succeeded', output: { left: null }, record }
}
