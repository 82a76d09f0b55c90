import { setTimeout as sleep } from 'node:timers/promises'
import type { NeonConnection } from '../../providers/neon.ts'
import { type Result, success } from '../../result.ts'
import { failure } from '../failures.ts'
import type { StepContext, StepOutcome, TenantStep } from '../step.ts'
import { isLocalHost, projectName, tenantRoleName } from '../tenant.ts'

/** Neon finishes a new project within 2 s as a rule; what takes longer is put off instead of waited for. */
const POLL_MS = [50, 100, 200, 400, 800, 1_600, 2_000]
const PUT_OFF_SECONDS = 5

/**
 * One Neon project for the organization, with its limits applied. Neon has no idempotency keys, so the project has a
 * name that only this organization's can have: look for exactly that, and create only what is certainly absent.
 */
export const neonProject: TenantStep = async (context) => {
  const connection = await findOrCreate(context)
  if (!connection.ok) return { type: 'failed', failure: connection.failure }
  const settled = await waitUntilSettled(context, connection.value.projectId)
  if (!settled.ok) return { type: 'failed', failure: settled.failure }
  if (!settled.value)
    return { type: 'deferred', seconds: PUT_OFF_SECONDS, reason: failure('neon_project_busy') }
  context.secrets.set('databasePassword', connection.value.password)
  return succeeded(context, connection.value)
}

async function findOrCreate(context: StepContext): Promise<Result<NeonConnection>> {
  const { tenant, providers } = context
  const found = await providers.neon.findProject(projectName(tenant.organizationId))
  if (!found.ok) return found
  if (found.value) return adopt(context, found.value.projectId)
  const role = tenantRoleName(tenant.organizationId)
  // The last thing before the call: two workers that both believe they hold the job must not both create.
  await context.assertLease()
  return providers.neon.createProject({
    name: projectName(tenant.organizationId),
    region: tenant.region,
    roleName: role,
    databaseName: role,
    limits: tenant.limits,
  })
}

async function adopt(context: StepContext, projectId: string): Promise<Result<NeonConnection>> {
  const { tenant, providers } = context
  const settled = await waitUntilSettled(context, projectId)
  if (!settled.ok) return settled
  await context.assertLease()
  const limited = await providers.neon.applyLimits(projectId, tenant.limits)
  if (!limited.ok) return limited
  const role = tenantRoleName(tenant.organizationId)
  return providers.neon.connection(projectId, role, role)
}

async function waitUntilSettled(
  { providers, signal }: StepContext,
  projectId: string,
): Promise<Result<boolean>> {
  for (const delay of POLL_MS) {
    const settled = await providers.neon.isSettled(projectId)
    if (!settled.ok || settled.value) return settled
    await sleep(delay, undefined, { signal })
  }
  return success(false)
}

function succeeded({ sql, job, tenant }: StepContext, connection: NeonConnection): StepOutcome {
  const { projectId, branchId, endpointId, host, pooledHost, port, databaseName, roleName } = connection
  const sslMode = isLocalHost(host) ? 'disable' : 'verify-full'
  return {
    type: 'succeeded',
    output: { resourceId: projectId, region: tenant.region, size: tenant.size },
    record: sql`provisioning.record_neon_project(${job.id}, ${job.leaseToken}, ${projectId}, ${branchId}, ${endpointId},
      ${host}, ${pooledHost}, ${port}, ${databaseName}, ${roleName}, ${sslMode})`,
  }
}
