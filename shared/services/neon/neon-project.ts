import { setTimeout as sleep } from 'node:timers/promises'
import type { StepOutcome } from '../../engine/step.ts'
import { leavesOpen } from '../../kernel/failures.ts'
import { isLocalHost } from '../../kernel/local-host.ts'
import { type Result, success } from '../../kernel/result.ts'
import type { NeonConnection } from './client.ts'
import { failure, neonFailures } from './failures.ts'
import { API_PASSWORD } from './host.ts'
import { refusals } from './plan-limits.ts'
import type { NeonStep, NeonStepContext } from './step.ts'
import { NEON_PROJECT, projectName, tenantRoleName } from './tenant.ts'

/** Neon finishes an operation within 2 s as a rule; what takes longer is put off instead of waited for. */
const POLL_MS = [50, 100, 200, 400, 800, 1_600, 2_000]
const PUT_OFF_SECONDS = 5
const REFUSED = 'refused by the plan of the Neon account'

/**
 * One Neon project for the organization, with its limits applied. The recorded one holds the tenant's data, whatever it is
 * called by now and whatever else has its name. Without one: Neon has no idempotency keys, so the project has a name that
 * only this organization's can have; look for exactly that, and create only what is certainly absent.
 */
export const neonProject: NeonStep = async (context) => {
  const { tenant, neon } = context
  if (tenant.neonProjectId) {
    const exists = await neon.projectExists(tenant.neonProjectId)
    if (!exists.ok) return { type: 'failed', failure: exists.failure }
    if (exists.value) return adopt(context, tenant.neonProjectId)
  }
  const found = await neon.findProject(projectName(tenant.organizationId))
  if (!found.ok) return { type: 'failed', failure: found.failure }
  return found.value ? adopt(context, found.value.projectId) : create(context)
}

/**
 * The new project's operations go on after the reply. They are not waited for: the next step connects, and Neon's proxy
 * holds a connection until the compute is up.
 */
async function create(context: NeonStepContext): Promise<StepOutcome> {
  const { tenant, neon } = context
  const role = tenantRoleName(tenant.organizationId)
  const { region, limits } = tenant
  const spec = {
    name: projectName(tenant.organizationId),
    region,
    roleName: role,
    databaseName: role,
    limits,
  }
  let planned = false
  const created = await neon.createProject(spec, async () => {
    await context.planResource(NEON_PROJECT, spec.name, { region })
    planned = true
  })
  if (created.ok) return succeeded(context, created.value, refusals(limits, created.refused))
  // Nothing was made for certain, so that the region may still be changed.
  if (planned && !leavesOpen(created.failure, neonFailures)) await context.unplanResource(NEON_PROJECT)
  return { type: 'failed', failure: created.failure }
}

/** A project from an earlier attempt, or whose size is to change. Changes are refused while an operation is under way. */
async function adopt(context: NeonStepContext, projectId: string): Promise<StepOutcome> {
  const { tenant, neon } = context
  const settled = await waitUntilSettled(context, projectId)
  if (!settled.ok) return { type: 'failed', failure: settled.failure }
  if (!settled.value)
    return { type: 'deferred', seconds: PUT_OFF_SECONDS, reason: failure('neon_project_busy') }
  await context.assertLease()
  const limited = await neon.applyLimits(projectId, tenant.limits)
  if (!limited.ok) return { type: 'failed', failure: limited.failure }
  const role = tenantRoleName(tenant.organizationId)
  const connection = await neon.connection(projectId, role, role)
  const { suspendRefused } = refusals(tenant.limits, limited.refused)
  return connection.ok
    ? succeeded(context, connection.value, { suspendRefused, historyRefused: null })
    : { type: 'failed', failure: connection.failure }
}

async function waitUntilSettled(
  { neon, signal }: NeonStepContext,
  projectId: string,
): Promise<Result<boolean>> {
  for (const delay of POLL_MS) {
    const settled = await neon.isSettled(projectId)
    if (!settled.ok || settled.value) return settled
    await sleep(delay, undefined, { signal })
  }
  return success(false)
}

/** Null: it was not asked for. */
interface Refusals {
  readonly suspendRefused: boolean | null
  readonly historyRefused: boolean | null
}

function succeeded(
  context: NeonStepContext,
  connection: NeonConnection,
  { suspendRefused, historyRefused }: Refusals,
): StepOutcome {
  const { sql, job, tenant, secrets } = context
  const { projectId, branchId, endpointId, host, pooledHost, port, databaseName } = connection
  const sslMode = isLocalHost(host) ? 'disable' : 'verify-full'
  secrets.set(API_PASSWORD, connection.password)
  return {
    type: 'succeeded',
    output: {
      resourceId: projectId,
      region: tenant.region,
      size: tenant.size,
      ...(suspendRefused ? { suspendTimeout: REFUSED } : {}),
      ...(historyRefused ? { historyRetention: REFUSED } : {}),
    },
    record: sql`provisioning.record_neon_project(${job.id}, ${job.leaseToken}, ${projectId}, ${branchId}, ${endpointId},
      ${host}, ${pooledHost}, ${port}, ${databaseName}, ${sslMode}, ${projectName(tenant.organizationId)},
      ${suspendRefused}, ${historyRefused})`,
  }
}
