import type { StepOutcome } from '../../engine/step.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import type { TenantAddress } from '../../tenant-database/address.ts'
import { withTenantDatabase } from '../../tenant-database/connection.ts'
import { databaseTenant } from '../database/tenant.ts'
import { keepProjectSecrets, projectSecrets } from '../project-secrets.ts'
import { databaseUrls } from './database-urls.ts'
import { failure } from './failures.ts'
import { adminRoleOf } from './host.ts'
import { isLeftAlone, LEFT_ASLEEP } from './left-alone.ts'
import { newDatabasePassword } from './password.ts'
import { recordedProject, type SupabaseStepContext } from './step.ts'

const ANSWER_LIMITS = { lifeMs: 20_000 }

/**
 * Gives the role that came with the project's database another password. There is no time in which both are valid: sessions go on, and
 * new connections need the new one. It is in Vault beside the present one before Supabase is asked, and whoever is refused with
 * one tries the other; so a reply that is lost, or a worker that dies, leaves no database that nobody can open.
 */
export async function newProjectPassword(context: SupabaseStepContext): Promise<StepOutcome> {
  const { sql, job, tenant, supabase, assertLease } = context
  const ref = recordedProject(tenant)?.externalId
  if (!ref) return { type: 'failed', failure: failure('supabase_project_gone') }
  const alone = await isLeftAlone(context, ref)
  if (!alone.ok) return { type: 'failed', failure: alone.failure }
  if (alone.value) return LEFT_ASLEEP
  const address = databaseTenant.parse(tenant)
  const { nextDatabasePassword: begun } = await projectSecrets(sql, job.organizationId)
  const next = begun ?? newDatabasePassword()
  // One that an earlier attempt has asked for may be valid already.
  const isValid = begun ? await opens(context, address, begun) : success(false)
  if (!isValid.ok) return { type: 'failed', failure: isValid.failure }
  if (!isValid.value) {
    if (!begun) await keepProjectSecrets(context, { nextDatabasePassword: next })
    const changed = await supabase.setDatabasePassword(ref, next, assertLease)
    if (!changed.ok) return { type: 'failed', failure: changed.failure }
    const opened = await opens(context, address, next)
    if (!opened.ok) return { type: 'failed', failure: opened.failure }
    if (!opened.value) return { type: 'failed', failure: failure('supabase_password_not_taken', ref) }
  }
  await keepProjectSecrets(context, {
    databasePassword: next,
    nextDatabasePassword: null,
    ...databaseUrls(address, next),
  })
  return {
    type: 'succeeded',
    output: { storedIn: 'vault' },
    record: sql`provisioning.record_project_password(${job.id}, ${job.leaseToken})`,
  }
}

/** Whether the database lets the role in with this password. Fails when it could not be found out. */
async function opens(
  { signal }: SupabaseStepContext,
  address: TenantAddress,
  password: string,
): Promise<Result<boolean>> {
  const tenant = { ...address, roleName: adminRoleOf(address.databaseName) }
  const tried = await withTenantDatabase(
    { tenant, signal },
    password,
    'direct',
    (sql) => sql`select 1`,
    ANSWER_LIMITS,
  )
  if (tried.ok) return success(true)
  return tried.failure.code === 'tenant_database_login_refused' ? success(false) : failed(tried.failure)
}
