import type { StepOutcome } from '../../engine/step.ts'
import { type Result, success } from '../../kernel/result.ts'
import { projectSecrets } from '../project-secrets.ts'
import { type Deployment, type VercelProject, withoutValues } from './client.ts'
import { failure } from './failures.ts'
import { VERCEL_PROJECT, type VercelStep, type VercelStepContext } from './step.ts'

const LOOK_AGAIN_SECONDS = 2
const LONGEST_LOOK_AGAIN_SECONDS = 30
/** Vercel ends a build after 45 minutes. */
const STUCK_SECONDS = 3_600

/**
 * The first deployment of the project, followed until it is ready. One that this job has started, or that is recorded, is followed
 * by its id; after a reply that was lost it is found by its metadata. Only one that has failed is replaced by another, and only by
 * somebody's retry.
 */
export const vercelDeployment: VercelStep = (context) => {
  const { organizationId, recorded } = context.tenant
  return deploy(context, organizationId, recorded?.details.deploymentId)
}

/** Another deployment, with the values that the variables have now. One for each job, found by its metadata as the first one is. */
export const deployAnew: VercelStep = async (context) => {
  const { tenant, job } = context
  if (tenant.recorded?.state !== 'active') return { type: 'succeeded', output: { changed: false } }
  return deploy(context, `${tenant.organizationId}/${job.id}`, undefined)
}

/** @param mark in the metadata of the deployment @param known the id of one that may be followed, too */
async function deploy(context: VercelStepContext, mark: string, known: unknown): Promise<StepOutcome> {
  const { tenant, vercel } = context
  const project = tenant.recorded?.externalId
    ? await vercel.projectById(tenant.recorded.externalId)
    : undefined
  if (project?.ok === false) return { type: 'failed', failure: project.failure }
  if (!project?.value)
    return { type: 'failed', failure: failure('vercel_project_gone', tenant.recorded?.name) }
  const started = await followed(context, known)
  if (!started.ok) return { type: 'failed', failure: started.failure }
  if (started.value) return follow(context, started.value)
  const found = await vercel.findDeployment(project.value.id, mark)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value && !hasFailed(found.value)) return follow(context, found.value)
  return start(context, project.value, mark)
}

/** The one that this job looks at, failed or not; else the recorded one, unless it has failed. */
async function followed(
  { vercel, output }: VercelStepContext,
  recorded: unknown,
): Promise<Result<Deployment | undefined>> {
  if (typeof output.deploymentId === 'string') return vercel.deployment(output.deploymentId)
  if (typeof recorded !== 'string') return success(undefined)
  const known = await vercel.deployment(recorded)
  return known.ok && known.value && hasFailed(known.value) ? success(undefined) : known
}

function hasFailed({ state }: Deployment): boolean {
  return state === 'failed' || state === 'canceled'
}

async function start(context: VercelStepContext, project: VercelProject, mark: string): Promise<StepOutcome> {
  const { tenant, vercel } = context
  if (!tenant.repository) return { type: 'failed', failure: failure('vercel_repository_unknown') }
  const spec = { project, mark, branch: tenant.repository.defaultBranch }
  const started = await vercel.startDeployment(spec, context.assertLease)
  return started.ok ? follow(context, started.value) : { type: 'failed', failure: started.failure }
}

async function follow(context: VercelStepContext, deployment: Deployment): Promise<StepOutcome> {
  const { id, state } = deployment
  if (state === 'ready') return succeeded(context, deployment)
  // The next attempt is somebody's retry, and starts another one.
  if (hasFailed(deployment))
    return { type: 'failed', failure: await whyFailed(context, deployment), output: { deploymentId: null } }
  const seconds = (Date.now() - deployment.createdAtMs) / 1000
  if (seconds > STUCK_SECONDS)
    return { type: 'failed', failure: failure('vercel_deployment_stuck', id), output: { deploymentId: null } }
  return {
    type: 'deferred',
    // Less often, the longer it takes.
    seconds: Math.min(LONGEST_LOOK_AGAIN_SECONDS, Math.max(LOOK_AGAIN_SECONDS, seconds / 10)),
    reason: failure('vercel_deployment_building'),
    output: { deploymentId: id },
  }
}

/** A build may print what it was given, and Vercel quote it. */
async function whyFailed({ sql, tenant }: VercelStepContext, { id, state, problem }: Deployment) {
  const secrets = await projectSecrets(sql, tenant.organizationId)
  const values = Object.values(secrets).filter((value) => typeof value === 'string')
  const said = withoutValues(problem, values)
  return state === 'canceled'
    ? failure('vercel_deployment_canceled', id)
    : failure('vercel_build_failed', said ? `${id}: ${said}` : id)
}

function succeeded(
  { sql, tenant }: VercelStepContext,
  { id, host, productionHost = host }: Deployment,
): StepOutcome {
  const { recorded, organizationId } = tenant
  const url = `https://${productionHost}`
  const details = { deploymentId: id, parts: [{ id, name: 'deployment', url: `https://${host}` }] }
  return {
    type: 'succeeded',
    output: { resourceId: id },
    record: sql`provisioning.record_resource(${organizationId}, ${VERCEL_PROJECT}, ${recorded?.name ?? ''},
      ${recorded?.externalId ?? ''}, ${url}, ${JSON.stringify(details)}::text::jsonb)`,
  }
}
