import type { SideRecord } from '../../engine/jobs.ts'
import type { StepOutcome } from '../../engine/step.ts'
import { leavesOpen } from '../../kernel/failures.ts'
import { failed, type Result } from '../../kernel/result.ts'
import { projectSecrets } from '../project-secrets.ts'
import type { EnvironmentVariable, Target, VercelProject } from './client.ts'
import { failure, vercelFailures } from './failures.ts'
import { type LinkedRepository, VERCEL_PROJECT, type VercelStep, type VercelStepContext } from './step.ts'

/**
 * One project for the organization, linked to its repository, with what the deployment needs to know. The recorded one is the
 * client's, whatever it is called by now. Without one: it has the name of the repository, and whatever has that name is adopted
 * only when it is linked to the recorded repository; Vercel makes no second one of a name.
 */
export const vercelProject: VercelStep = async (context) => {
  const { tenant, vercel } = context
  const { repository } = tenant
  if (!repository) return { type: 'failed', failure: failure('vercel_repository_unknown') }
  const variables = await variablesOf(context)
  if (!variables) return { type: 'failed', failure: failure('vercel_project_keys_missing') }
  if (tenant.recorded?.externalId) {
    const known = await vercel.projectById(tenant.recorded.externalId)
    if (!known.ok) return { type: 'failed', failure: known.failure }
    if (known.value) return adopt(context, known.value, variables)
  }
  const name = tenant.recorded?.name ?? repository.name
  const found = await findOwn(context, name, repository)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value) return adopt(context, found.value, variables)
  return create(context, name, repository, variables)
}

/** Undefined when the name is free. Fails when it is not, and the project is another repository's. */
async function findOwn(
  { vercel }: VercelStepContext,
  name: string,
  repository: LinkedRepository,
): Promise<Result<VercelProject | undefined>> {
  const found = await vercel.findProject(name)
  if (!found.ok || !found.value) return found
  return found.value.repositoryId === repository.id ? found : failed(failure('vercel_name_taken', name))
}

async function create(
  context: VercelStepContext,
  name: string,
  repository: LinkedRepository,
  variables: readonly EnvironmentVariable[],
): Promise<StepOutcome> {
  let planned = false
  const created = await context.vercel.createProject(name, repository.fullName, async () => {
    await context.planResource(VERCEL_PROJECT, name)
    planned = true
  })
  if (created.ok) return adopt(context, created.value, variables)
  if (created.failure.code === 'vercel_name_taken') {
    // An earlier request of ours may have been late.
    const found = await findOwn(context, name, repository)
    if (found.ok && found.value) return adopt(context, found.value, variables)
  }
  if (planned && !leavesOpen(created.failure, vercelFailures)) await context.unplanResource(VERCEL_PROJECT)
  return { type: 'failed', failure: created.failure }
}

/** Gives the project that is recorded the values that there are now; whoever has none needs none. */
export const handOnToDeployment: VercelStep = async (context): Promise<StepOutcome> => {
  const { tenant, vercel, assertLease } = context
  const { recorded } = tenant
  if (recorded?.state !== 'active' || !recorded.externalId)
    return { type: 'succeeded', output: { changed: false } }
  const variables = await variablesOf(context)
  if (!variables) return { type: 'failed', failure: failure('vercel_project_keys_missing') }
  const given = await vercel.setVariables(recorded.externalId, variables, assertLease)
  return given.ok
    ? { type: 'succeeded', output: { resourceId: recorded.externalId } }
    : { type: 'failed', failure: given.failure }
}

async function adopt(
  context: VercelStepContext,
  project: VercelProject,
  variables: readonly EnvironmentVariable[],
): Promise<StepOutcome> {
  const { tenant, vercel } = context
  // Known from here on, so that nobody looks for it by its name again.
  if (tenant.recorded?.externalId !== project.id) await context.saveRecord(recordOf(context, project))
  const given = await vercel.setVariables(project.id, variables, context.assertLease)
  if (!given.ok) return { type: 'failed', failure: given.failure }
  return {
    type: 'succeeded',
    output: {
      // Not its name, which may be a person's.
      resourceId: project.id,
      variables: [...new Set(variables.map(({ key }) => key))],
    },
    record: recordOf(context, project),
  }
}

const EVERYWHERE: readonly Target[] = ['production', 'preview', 'development']

/** Undefined when the keys are not known. Nobody reads a secret one again, except where Vercel has no such variables. */
async function variablesOf({
  sql,
  tenant,
}: VercelStepContext): Promise<readonly EnvironmentVariable[] | undefined> {
  const { secretKey, serviceRoleKey } = await projectSecrets(sql, tenant.organizationId)
  if (!tenant.project || !secretKey) return undefined
  const { url, publishableKey } = tenant.project
  const shown = (key: string, value: string): EnvironmentVariable => ({
    key,
    value,
    type: 'plain',
    target: EVERYWHERE,
  })
  // https://vercel.com/docs/environment-variables/sensitive-environment-variables
  const hidden = (key: string, value: string): EnvironmentVariable[] => [
    { key, value, type: 'sensitive', target: ['production', 'preview'] },
    { key, value, type: 'encrypted', target: ['development'] },
  ]
  return [
    shown('NEXT_PUBLIC_SUPABASE_URL', url),
    shown('NEXT_PUBLIC_SUPABASE_PUBLISHABLE_KEY', publishableKey),
    ...hidden('SUPABASE_SECRET_KEY', secretKey),
    ...(serviceRoleKey && serviceRoleKey !== secretKey
      ? hidden('SUPABASE_SERVICE_ROLE_KEY', serviceRoleKey)
      : []),
  ]
}

/** What is known of a deployment stays. */
function recordOf({ sql, tenant }: VercelStepContext, { id, name }: VercelProject): SideRecord {
  const { recorded, organizationId } = tenant
  const same = recorded?.externalId === id && recorded.state === 'active' ? recorded : undefined
  return sql`provisioning.record_resource(${organizationId}, ${VERCEL_PROJECT}, ${name}, ${id}, ${same?.url ?? null},
    ${JSON.stringify(same?.details ?? {})}::text::jsonb)`
}
