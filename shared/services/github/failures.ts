import { type FailureCatalogue, failuresOf } from '../../kernel/failures.ts'

export const githubFailures = {
  github_key_missing: {
    retryable: false,
    sentence: 'There is no key for GitHub.',
    docs: 'Neither `GITHUB_TOKEN` nor `GITHUB_APP_ID` and `GITHUB_APP_PRIVATE_KEY` are among the function secrets.',
    remedy: {
      text:
        'Make a fine-grained token at github.com/settings/personal-access-tokens, with the organization as its owner and the ' +
        'rights to write Administration, Contents, Secrets and Variables of all repositories; set it as GITHUB_TOKEN, then retry.',
      commands: [
        { command: 'set_secret', name: 'GITHUB_TOKEN' },
        { command: 'retry', service: 'github' },
      ],
    },
  },
  github_organization_unset: {
    retryable: false,
    sentence: 'It is not said in which GitHub organization repositories are made.',
    docs: 'The function secret `GITHUB_ORG` is not set.',
    remedy: {
      text: 'Set GITHUB_ORG to the name of the organization as in its address, then retry.',
      commands: [
        { command: 'set_secret', name: 'GITHUB_ORG' },
        { command: 'retry', service: 'github' },
      ],
    },
  },
  github_template_unset: {
    retryable: false,
    sentence: 'It is not said of which template repositories are made.',
    docs: 'The function secret `GITHUB_TEMPLATE_REPOSITORY` is not set.',
    remedy: {
      text: 'Set GITHUB_TEMPLATE_REPOSITORY to OWNER/NAME of a template repository, then retry.',
      commands: [
        { command: 'set_secret', name: 'GITHUB_TEMPLATE_REPOSITORY' },
        { command: 'retry', service: 'github' },
      ],
    },
  },
  github_key_rejected: {
    retryable: false,
    sentence: 'GitHub does not accept the key.',
    docs: '401: the token or the App’s key is wrong, has expired or was revoked.',
    remedy: {
      text: 'Put a valid GITHUB_TOKEN, or the key of the App, into the function secrets, then retry.',
      commands: [
        { command: 'set_secret', name: 'GITHUB_TOKEN' },
        { command: 'retry', service: 'github' },
      ],
    },
  },
  github_app_not_installed: {
    retryable: false,
    sentence: 'The GitHub App is not installed in the organization.',
    docs: 'GitHub knows no installation of `GITHUB_APP_ID` in `GITHUB_ORG`.',
    remedy: {
      text: 'Install the App in the organization, for all repositories, then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_permission_missing: {
    retryable: false,
    sentence: 'The key may not do this at GitHub.',
    docs: '403 “Resource not accessible …”: the token or the App lacks a permission, or the organization forbids it.',
    remedy: {
      text:
        'Give the token or the App the rights to write Administration, Contents, Secrets and Variables of all repositories of ' +
        'the organization, then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_template_not_found: {
    retryable: false,
    sentence: 'GitHub knows no such template repository, or does not show it to the key.',
    docs: '404 to the request that makes a repository. GitHub answers so, too, when the repository is no template.',
    remedy: {
      text:
        'See that GITHUB_TEMPLATE_REPOSITORY is there, is marked as a template and can be read with the key, and that GITHUB_ORG ' +
        'is right; then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_name_taken: {
    retryable: false,
    sentence: 'A repository of this name is there, and is not this organization’s.',
    docs:
      'A repository is adopted only when it was made of the template and its description names the organization. Nothing is ' +
      'changed in another one.',
    remedy: {
      text: 'Rename or delete that repository at GitHub, or change the slug of the organization, then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_repository_filling: {
    retryable: true,
    sentence: 'GitHub is still copying the template into the repository.',
    continuation: 'It is looked at again soon.',
    docs: 'Its default branch is not there yet. The attempt does not count.',
  },
  github_repository_stays_empty: {
    retryable: false,
    sentence: 'The repository has had no content for ten minutes.',
    docs: 'The template has no commit, or GitHub has given up copying it.',
    remedy: {
      text: 'See that the template has a commit on its default branch, delete the empty repository at GitHub, then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_repository_gone: {
    retryable: false,
    sentence: 'The repository is not there any more.',
    docs: 'Somebody deleted it between two steps.',
    remedy: {
      text: 'Retry: another one is made.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_repository_renamed: {
    retryable: false,
    sentence:
      'The repository that is to be removed has another name, or another owner, than when it was made.',
    docs: 'Somebody has given it another purpose. It is neither archived nor deleted.',
    remedy: {
      text:
        'Rename it back and retry, to have it removed. To keep it, rename it, take the organization’s id out of its description and ' +
        'delete the row of tenant_resources.',
      commands: [{ command: 'retry' }],
    },
  },
  github_project_keys_missing: {
    retryable: false,
    sentence: 'The keys of the Supabase project are not known.',
    docs: 'Neither Vault nor the project’s row has what is to be given to the repository.',
    remedy: {
      text: 'Retry: the keys are read again first.',
      commands: [{ command: 'retry' }],
    },
  },
  github_plan_refused: {
    retryable: false,
    sentence: 'The plan of the GitHub organization does not allow this.',
    docs: 'A refusal that speaks of a plan, an upgrade, a quota or seats; the message quotes GitHub.',
    remedy: {
      text: 'Upgrade the organization’s plan at GitHub, or make room in it, then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_payment_required: {
    retryable: false,
    sentence: 'GitHub asks for a payment first.',
    docs: '402, or a refusal that speaks of billing or payments, and of no plan; the message quotes GitHub.',
    remedy: {
      text: 'Settle what is open in the billing settings of the organization at GitHub, then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_request_refused: {
    retryable: false,
    sentence: 'GitHub refused the request.',
    docs: 'Another 4xx; the message quotes GitHub.',
    remedy: {
      text: 'Mend what GitHub names, then retry.',
      commands: [{ command: 'retry', service: 'github' }],
    },
  },
  github_rate_limited: {
    retryable: true,
    sentence: 'GitHub asks for fewer requests.',
    docs:
      '403 or 429 with the primary or the secondary limit. When it is frequent, lower ' +
      '[`rate_limits`](operations.md#rate-limits-regions-sizes-plans).',
    rateLimited: true,
  },
  github_unavailable: {
    retryable: true,
    sentence: 'GitHub is not working properly.',
    docs: '5xx, or a reply that is not as described. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  github_unreachable: {
    retryable: true,
    sentence: 'GitHub cannot be reached.',
    docs: 'No answer came. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  github_paused: {
    retryable: true,
    sentence: 'GitHub is left alone for a while.',
    continuation: '',
    docs: 'The circuit breaker is open, or the token bucket is empty for more than 5 s. The attempt does not count.',
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(githubFailures)
