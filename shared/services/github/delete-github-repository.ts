import type { StepContext, StepOutcome } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { duringGrace, resourceOf, type TenantResource } from '../resources.ts'
import type { GithubProvider, Repository } from './client.ts'
import { failure } from './failures.ts'
import { GITHUB_REPOSITORY, isOurs } from './step.ts'

/**
 * Archives or deletes the organization's repository, as the setting says, when its grace period is over. It must still have the
 * name that it was made with, and its number must be the recorded one; one of the same name that somebody else has made is left
 * alone. One that is gone already is fine.
 */
export async function deleteGithubRepository(
  { sql, job, tenant, assertLease }: StepContext,
  github: GithubProvider,
): Promise<StepOutcome> {
  const recorded = resourceOf(tenant, GITHUB_REPOSITORY)
  if (!recorded || recorded.state === 'kept') return { type: 'succeeded', output: { repository: 'none' } }
  const putOff = duringGrace(recorded)
  if (putOff) return putOff
  const found = await findRecorded(github, recorded, job.organizationId)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  if (!found.value)
    return {
      type: 'succeeded',
      output: { repository: 'none' },
      record: sql`provisioning.forget_resource(${job.organizationId}, ${GITHUB_REPOSITORY})`,
    }
  const removed = await removeRepository(sql, github, found.value, assertLease)
  if (!removed.ok) return { type: 'failed', failure: removed.failure }
  return {
    type: 'succeeded',
    output: { resourceId: found.value.id, repository: removed.value },
    record:
      removed.value === 'archived'
        ? sql`provisioning.keep_github_repository(${job.organizationId}, ${found.value.id})`
        : sql`provisioning.forget_resource(${job.organizationId}, ${GITHUB_REPOSITORY})`,
  }
}

/** By its number when that is known; a worker that was stopped in the middle may have made one whose number nobody knows. */
async function findRecorded(
  github: GithubProvider,
  { externalId, name }: TenantResource,
  organizationId: string,
): Promise<Result<Repository | undefined>> {
  if (!externalId) {
    const found = await github.findRepository(name)
    if (!found.ok || !found.value) return found
    return success(isOurs(found.value, organizationId, github) ? found.value : undefined)
  }
  const known = await github.repositoryById(externalId)
  if (!known.ok || !known.value) return known
  const { owner, name: present, fullName } = known.value
  return present === name && owner.toLowerCase() === github.organization.toLowerCase()
    ? known
    : failed(failure('github_repository_renamed', `${fullName} in the place of ${name}`))
}

/** @returns what has become of it */
export async function removeRepository(
  sql: Database,
  github: GithubProvider,
  repository: Repository,
  before: () => Promise<void>,
): Promise<Result<'archived' | 'deleted'>> {
  const [row] = await sql<{ removal: string }[]>`
    select s.repository_on_removal as removal from provisioning.settings s`
  if (row?.removal === 'delete') {
    const deleted = await github.deleteRepository(repository, before)
    return deleted.ok ? success('deleted') : deleted
  }
  if (repository.archived) return success('archived')
  const archived = await github.setArchived(repository, true, before)
  return archived.ok ? success('archived') : archived
}
