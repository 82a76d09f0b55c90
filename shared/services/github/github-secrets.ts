import { projectSecrets } from '../project-secrets.ts'
import { failure } from './failures.ts'
import type { GithubStep } from './step.ts'

/**
 * Gives the workflows of the repository what they need to know of the client's Supabase project: its address and its publishable
 * key as variables, which everybody may read who reads the repository, and its secret keys as encrypted secrets. The password of
 * its database is not among them: who has it gets around row level security.
 */
export const githubSecrets: GithubStep = async (context) => {
  const { tenant, github, sql, assertLease } = context
  const { recorded, project } = tenant
  const { secretKey, serviceRoleKey } = await projectSecrets(sql, tenant.organizationId)
  if (!project || !secretKey) return { type: 'failed', failure: failure('github_project_keys_missing') }
  const found = recorded?.externalId ? await github.repositoryById(recorded.externalId) : undefined
  if (found?.ok === false) return { type: 'failed', failure: found.failure }
  const repository = found?.value
  if (!repository) return { type: 'failed', failure: failure('github_repository_gone', recorded?.name) }
  const variables = {
    SUPABASE_URL: project.url,
    SUPABASE_PUBLISHABLE_KEY: project.publishableKey,
  }
  const secrets = {
    SUPABASE_SECRET_KEY: secretKey,
    ...(serviceRoleKey && serviceRoleKey !== secretKey ? { SUPABASE_SERVICE_ROLE_KEY: serviceRoleKey } : {}),
  }
  const shown = await github.setVariables(repository, variables, assertLease)
  if (!shown.ok) return { type: 'failed', failure: shown.failure }
  const hidden = await github.setSecrets(repository, secrets, assertLease)
  if (!hidden.ok) return { type: 'failed', failure: hidden.failure }
  return {
    type: 'succeeded',
    output: { variables: Object.keys(variables), secrets: Object.keys(secrets) },
  }
}
