import type { StepOutcome } from '../../engine/step.ts'
import { leavesOpen } from '../../kernel/failures.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { keepProjectSecrets, projectSecrets } from '../project-secrets.ts'
import type { ProjectSpec } from './client.ts'
import { failure, supabaseFailures } from './failures.ts'
import { newDatabasePassword } from './password.ts'
import {
  projectName,
  readWishes,
  recordedProject,
  SUPABASE_PROJECT,
  type SupabaseStep,
  type SupabaseStepContext,
} from './step.ts'

/**
 * One Supabase project for the organization. The recorded one holds the tenant's data, whatever it is called by now. Without one: the
 * project has a name that only this organization's can have; look for exactly that, and create only what is certainly absent.
 */
export const supabaseProject: SupabaseStep = async (context) => {
  const { job, tenant, supabase } = context
  const ref = recordedProject(tenant)?.externalId
  if (ref) {
    const recorded = await supabase.project(ref)
    if (!recorded.ok) return { type: 'failed', failure: recorded.failure }
    if (recorded.value) return adopt(context, ref, recorded.value.name, recorded.value.region)
  }
  const name = projectName(job.organizationId)
  const found = await supabase.projectsNamed(name)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  const [oldest] = found.value
  return oldest ? adopt(context, oldest, name) : create(context, name)
}

/**
 * A project from an earlier attempt has the password that is in Vault. One whose password nobody knows, because Vault has none, gets
 * another as soon as it is up.
 */
async function adopt(
  context: SupabaseStepContext,
  ref: string,
  name: string,
  region?: string,
): Promise<StepOutcome> {
  const { databasePassword } = await projectSecrets(context.sql, context.job.organizationId)
  return succeeded(context, ref, name, {
    ...(region ? { region } : {}),
    ...(databasePassword ? {} : { passwordUnknown: true }),
  })
}

async function create(context: SupabaseStepContext, name: string): Promise<StepOutcome> {
  const wanted = await specOf(context, name)
  if (!wanted.ok) return { type: 'failed', failure: wanted.failure }
  const { region, instanceSize } = wanted.value
  let planned = false
  const created = await context.supabase.createProject(wanted.value, async () => {
    await context.planResource(SUPABASE_PROJECT, name, { region })
    planned = true
  })
  if (created.ok)
    return succeeded(context, created.value, name, { region, ...(instanceSize ? { instanceSize } : {}) })
  // Nothing was made for certain, so that the region may still be changed.
  if (planned && !leavesOpen(created.failure, supabaseFailures))
    await context.unplanResource(SUPABASE_PROJECT)
  return { type: 'failed', failure: created.failure }
}

/** The password is in Vault before the request: what a lost reply has made can be opened. */
async function specOf(context: SupabaseStepContext, name: string): Promise<Result<ProjectSpec>> {
  const { sql, job, supabase } = context
  const { dataRegion, region, nearest, instanceSize } = await readWishes(sql, job.organizationId)
  if (!region)
    return failed(
      failure('supabase_region_not_offered', `${dataRegion}; the nearest are ${nearest.join(', ')}`),
    )
  if (instanceSize) {
    const free = await supabase.isFreePlan()
    if (!free.ok) return free
    if (free.value) return failed(failure('supabase_size_refused', `${instanceSize} on the free plan`))
  }
  const known = await projectSecrets(sql, job.organizationId)
  const databasePassword = known.databasePassword ?? newDatabasePassword()
  if (!known.databasePassword) await keepProjectSecrets(context, { databasePassword })
  return success({ name, databasePassword, region, instanceSize })
}

function succeeded(
  { sql, job, supabase }: SupabaseStepContext,
  ref: string,
  name: string,
  details: Readonly<Record<string, string | boolean>>,
): StepOutcome {
  const shown = { ref, dashboardUrl: supabase.dashboardUrl(ref), ...details }
  return {
    type: 'succeeded',
    output: { resourceId: ref, ...(details.region ? { region: details.region } : {}) },
    record: sql`provisioning.record_supabase_project(${job.id}, ${job.leaseToken}, ${name}, ${ref},
      ${supabase.projectUrl(ref)}, ${sql.json(shown)})`,
  }
}
