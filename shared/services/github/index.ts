import { forTenant, type Step } from '../../engine/step.ts'
import { defineService } from '../service.ts'
import { appToken } from './app-token.ts'
import { connectGithub } from './client.ts'
import { deleteGithubRepository } from './delete-github-repository.ts'
import { githubEnvironment } from './environment.ts'
import { githubFailures } from './failures.ts'
import { githubRepository } from './github-repository.ts'
import { githubSecrets } from './github-secrets.ts'
import { githubInventory } from './inventory.ts'
import { GITHUB_REPOSITORY, type GithubStep, githubTenant } from './step.ts'

const NOTHING_TO_TELL = Promise.resolve({ type: 'succeeded', output: { changed: false } } as const)

/** A repository of its own, made of a template, for each client that has a Supabase project. */
export const github = defineService({
  name: 'github',
  label: 'GitHub',
  secret: 'GITHUB_TOKEN',
  address: 'GITHUB_API_URL',
  environment: githubEnvironment,
  failures: githubFailures,
  emulator: {
    key: 'github_pat_localemulator',
    path: '',
    variables: {
      GITHUB_ORG: 'local-clients',
      GITHUB_TEMPLATE_REPOSITORY: 'local-clients/client-template',
    },
  },
  connect(environment, sql) {
    const connected = connectGithub(environment, sql)
    const withRows = (step: GithubStep): Step =>
      forTenant(githubTenant, (context) => step({ ...context, github: connected(context.signal) }))
    return {
      steps: {
        github_repository: withRows(githubRepository),
        github_secrets: withRows(githubSecrets),
        // Who has no repository of ours needs no key.
        hand_on_to_repository: withRows((context) =>
          context.tenant.recorded?.state === 'active' ? githubSecrets(context) : NOTHING_TO_TELL,
        ),
        delete_github_repository: (context) => deleteGithubRepository(context, connected(context.signal)),
      },
      inventories: { [GITHUB_REPOSITORY]: githubInventory(connected(), sql) },
    }
  },
  keyCheck({ GITHUB_TOKEN, GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY, GITHUB_API_URL: url }) {
    // Asking how much is left is free, and counts as no request.
    if (GITHUB_TOKEN || !GITHUB_APP_ID || !GITHUB_APP_PRIVATE_KEY)
      return { url: `${url}/rate_limit`, key: GITHUB_TOKEN }
    return { url: `${url}/app`, key: appToken(GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY) }
  },
})
