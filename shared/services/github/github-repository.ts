import { setTimeout as sleep } from 'node:timers/promises'
import type { SideRecord } from '../../engine/jobs.ts'
import type { StepOutcome } from '../../engine/step.ts'
import { leavesOpen } from '../../kernel/failures.ts'
import { type Result, success } from '../../kernel/result.ts'
import type { Repository } from './client.ts'
import { failure, githubFailures } from './failures.ts'
import { GITHUB_REPOSITORY, type GithubStep, type GithubStepContext, isOurs, markOf } from './step.ts'

/** The template's content is there within a second or two as a rule; what takes longer is put off instead of waited for. */
const POLL_MS = [200, 400, 800]
const PUT_OFF_SECONDS = 3
const STAYS_EMPTY_MS = 10 * 60_000

/**
 * One private repository for the organization, of the template, with content. The recorded one is the client's, whatever it is
 * called by now. Without one: the name is that of the first attempt, and whatever has it is adopted only when it was made for this
 * organization; GitHub makes no second one of a name.
 */
export const githubRepository: GithubStep = async (context) => {
  const { tenant, github } = context
  if (tenant.recorded?.externalId) {
    const known = await github.repositoryById(tenant.recorded.externalId)
    if (!known.ok) return { type: 'failed', failure: known.failure }
    if (known.value) return adopt(context, known.value)
  }
  const name = tenant.recorded?.name ?? `client-${tenant.slug}`
  const found = await findOwn(context, name)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (found.value) return adopt(context, found.value)
  return create(context, name)
}

/** Undefined when the name is free. Fails when it is not, and the repository is somebody else's. */
async function findOwn(
  { tenant, github }: GithubStepContext,
  name: string,
): Promise<Result<Repository | undefined>> {
  const found = await github.findRepository(name)
  if (!found.ok || !found.value) return found
  return isOurs(found.value, tenant.organizationId, github)
    ? found
    : { ok: false, failure: failure('github_name_taken', found.value.fullName) }
}

async function create(context: GithubStepContext, name: string): Promise<StepOutcome> {
  const { tenant, github } = context
  let planned = false
  const created = await github.createRepository(name, markOf(tenant.organizationId), async () => {
    await context.planResource(GITHUB_REPOSITORY, name)
    planned = true
  })
  if (created.ok) return adopt(context, created.value)
  if (created.failure.code === 'github_name_taken') {
    // An earlier request of ours may have been late.
    const found = await findOwn(context, name)
    if (found.ok && found.value) return adopt(context, found.value)
  }
  if (planned && !leavesOpen(created.failure, githubFailures)) await context.unplanResource(GITHUB_REPOSITORY)
  return { type: 'failed', failure: created.failure }
}

async function adopt(context: GithubStepContext, repository: Repository): Promise<StepOutcome> {
  const { github, tenant, output } = context
  // Known from here on, so that nobody looks for it by its name again.
  if (tenant.recorded?.externalId !== repository.id) await context.saveRecord(recordOf(context, repository))
  if (repository.archived) {
    const opened = await github.setArchived(repository, false, context.assertLease)
    if (!opened.ok) return { type: 'failed', failure: opened.failure }
  }
  const filled = await waitUntilFilled(context, repository)
  if (!filled.ok) return { type: 'failed', failure: filled.failure }
  if (filled.value)
    return {
      type: 'succeeded',
      // Not its name, which may be a person's.
      output: { resourceId: repository.id },
      record: recordOf(context, repository),
    }
  const since = typeof output.emptySince === 'string' ? output.emptySince : new Date().toISOString()
  const emptyMs = Date.now() - Date.parse(since)
  if (emptyMs > STAYS_EMPTY_MS)
    return {
      type: 'failed',
      failure: failure('github_repository_stays_empty', repository.fullName),
      output: { emptySince: null },
    }
  return {
    type: 'deferred',
    // Less often, the longer it has taken.
    seconds: Math.max(PUT_OFF_SECONDS, emptyMs / 10_000),
    reason: failure('github_repository_filling'),
    output: { emptySince: since },
  }
}

async function waitUntilFilled(
  { github, signal }: GithubStepContext,
  repository: Repository,
): Promise<Result<boolean>> {
  for (const delay of POLL_MS) {
    const filled = await github.isFilled(repository)
    if (!filled.ok || filled.value) return filled
    await sleep(delay, undefined, { signal })
  }
  return success(false)
}

function recordOf({ sql, tenant }: GithubStepContext, repository: Repository): SideRecord {
  const { id, name, fullName, url, defaultBranch } = repository
  const details = { fullName, defaultBranch }
  return sql`provisioning.record_resource(${tenant.organizationId}, ${GITHUB_REPOSITORY}, ${name}, ${id}, ${url},
    ${sql.json(details)})`
}
