import { type FailureCatalogue, failuresOf } from '../../kernel/failures.ts'

export const vercelFailures = {
  vercel_key_missing: {
    retryable: false,
    sentence: 'There is no token for Vercel.',
    docs: 'The function secret is not set.',
    remedy: {
      text:
        'Make a token at vercel.com/account/settings/tokens with the team as its scope, set it as VERCEL_TOKEN, and the team’s id ' +
        'as VERCEL_TEAM_ID; then retry.',
      commands: [
        { command: 'set_secret', name: 'VERCEL_TOKEN' },
        { command: 'retry', service: 'vercel' },
      ],
    },
  },
  vercel_key_rejected: {
    retryable: false,
    sentence: 'Vercel does not accept VERCEL_TOKEN.',
    docs: '401, or 403 with `invalidToken`: the token is wrong, has expired or was revoked.',
    remedy: {
      text: 'Put a valid token into the function secrets, then retry.',
      commands: [
        { command: 'set_secret', name: 'VERCEL_TOKEN' },
        { command: 'retry', service: 'vercel' },
      ],
    },
  },
  vercel_permission_missing: {
    retryable: false,
    sentence: 'The token may not do this at Vercel.',
    docs: '403. The scope of the token is not the team, `VERCEL_TEAM_ID` is that of another, or its person has too few rights.',
    remedy: {
      text: 'See that VERCEL_TEAM_ID is the team of the token and that its person may make projects there, then retry.',
      commands: [
        { command: 'set_secret', name: 'VERCEL_TEAM_ID' },
        { command: 'retry', service: 'vercel' },
      ],
    },
  },
  vercel_github_not_linked: {
    retryable: false,
    sentence: 'Vercel cannot read the GitHub repository.',
    docs: 'Vercel’s GitHub App is not installed in the organization, or not for this repository; the message quotes Vercel.',
    remedy: {
      text:
        'Install the App github.com/apps/vercel in the organization of GITHUB_ORG, for all repositories, and connect GitHub with ' +
        'the account of the token; then retry.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_repository_unknown: {
    retryable: false,
    sentence: 'It is not known of which repository the project is to be made.',
    docs: 'No GitHub repository is recorded. The service `github` must be on where `vercel` is.',
    remedy: { text: 'Retry: the repository is made first.', commands: [{ command: 'retry' }] },
  },
  vercel_name_taken: {
    retryable: false,
    sentence: 'A project of this name is at Vercel, and is not of this organization’s repository.',
    docs: 'A project is adopted only when it is linked to the recorded repository. Nothing is changed in another one.',
    remedy: {
      text: 'Rename or delete that project at Vercel, then retry.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_plan_refused: {
    retryable: false,
    sentence: 'The plan of the Vercel team does not allow this.',
    docs: 'A refusal that speaks of a plan, an upgrade, a quota or a limit; the message quotes Vercel.',
    remedy: {
      text: 'Upgrade the team’s plan at Vercel, or make room in it, then retry.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_payment_required: {
    retryable: false,
    sentence: 'Vercel asks for a payment first.',
    docs: '402, or a refusal that speaks of billing or payments, and of no plan; the message quotes Vercel.',
    remedy: {
      text: 'Settle what is open in the billing settings of the team at Vercel, then retry.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_project_keys_missing: {
    retryable: false,
    sentence: 'The keys of the Supabase project are not known.',
    docs: 'Neither Vault nor the project’s row has what the deployment is to be given.',
    remedy: { text: 'Retry: the keys are read again first.', commands: [{ command: 'retry' }] },
  },
  vercel_project_gone: {
    retryable: false,
    sentence: 'The project is not at Vercel any more.',
    docs: 'Somebody deleted it between two steps.',
    remedy: {
      text: 'Retry: another one is made.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_project_renamed: {
    retryable: false,
    sentence: 'The project that is to be deleted has another name than when it was made.',
    docs: 'Somebody has given it another purpose. It is not deleted.',
    remedy: {
      text: 'Rename it back at Vercel and retry, to have it deleted. To keep it, delete the row of tenant_resources.',
      commands: [{ command: 'retry' }],
    },
  },
  vercel_deployment_building: {
    retryable: true,
    sentence: 'Vercel is still building the deployment.',
    continuation: 'It is looked at again soon.',
    docs: 'The deployment waits or builds. The attempt does not count.',
  },
  vercel_deployment_stuck: {
    retryable: false,
    sentence: 'The deployment has not ended for an hour.',
    docs: 'Vercel ends a build after 45 minutes. Others may be waiting before it.',
    remedy: {
      text: 'Look at the deployment at Vercel, cancel it, then retry: another one is started.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_build_failed: {
    retryable: false,
    sentence: 'The deployment failed.',
    docs: 'Its state is ERROR; the message quotes Vercel. The log of the build is at Vercel.',
    remedy: {
      text: 'Mend the repository, or its template, then retry: another deployment is started.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_deployment_canceled: {
    retryable: false,
    sentence: 'The deployment was canceled.',
    docs: 'By somebody in the dashboard, or by a rule of the project.',
    remedy: {
      text: 'Retry: another deployment is started.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_request_refused: {
    retryable: false,
    sentence: 'Vercel refused the request.',
    docs: 'Another 4xx; the message quotes Vercel.',
    remedy: {
      text: 'Mend what Vercel names, then retry.',
      commands: [{ command: 'retry', service: 'vercel' }],
    },
  },
  vercel_rate_limited: {
    retryable: true,
    sentence: 'Vercel asks for fewer requests.',
    docs: '429. When it is frequent, lower [`rate_limits`](operations.md#rate-limits-regions-sizes-plans).',
    rateLimited: true,
  },
  vercel_unavailable: {
    retryable: true,
    sentence: 'Vercel is not working properly.',
    docs: '5xx, or a reply that is not as described. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  vercel_unreachable: {
    retryable: true,
    sentence: 'Vercel cannot be reached.',
    docs: 'No answer came. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  vercel_paused: {
    retryable: true,
    sentence: 'Vercel is left alone for a while.',
    continuation: '',
    docs: 'The circuit breaker is open, or the token bucket is empty for more than 5 s. The attempt does not count.',
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(vercelFailures)
