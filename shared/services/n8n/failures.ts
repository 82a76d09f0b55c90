import { type FailureCatalogue, failuresOf } from '../../kernel/failures.ts'

const retry = { command: 'retry', service: 'n8n' } as const
const setKey = { command: 'set_secret', name: 'N8N_API_KEY' } as const
const setAddress = { command: 'set_secret', name: 'N8N_URL' } as const

export const n8nFailures = {
  n8n_key_missing: {
    retryable: false,
    sentence: 'There is no n8n to make workflows in.',
    docs: 'The function secret N8N_URL or N8N_API_KEY is not set.',
    remedy: {
      text:
        'Set the function secrets N8N_URL, the address of your n8n, and N8N_API_KEY, which its owner or an admin makes under ' +
        'Settings, n8n API; then retry.',
      commands: [setAddress, setKey, retry],
    },
  },
  n8n_key_rejected: {
    retryable: false,
    sentence: 'n8n does not accept N8N_API_KEY.',
    docs: 'n8n answered 401: the key was deleted or has expired.',
    remedy: {
      text: 'Make a key under Settings, n8n API, as the owner or an admin, set it, then retry.',
      commands: [setKey, retry],
    },
  },
  n8n_permission_missing: {
    retryable: false,
    sentence: 'The person of N8N_API_KEY, or the key itself, lacks a right in n8n.',
    docs:
      'n8n answered 403. Credentials are listed, and tags deleted, by the owner or an admin of an instance alone. A key with scopes ' +
      'needs those of workflows, tags and credentials.',
    remedy: {
      text: 'Set a key that the owner or an admin of the n8n has made, with the rights to workflows, tags and credentials, then retry.',
      commands: [setKey, retry],
    },
  },
  n8n_plan_limit_reached: {
    retryable: false,
    sentence: 'The plan of the n8n allows no more active workflows.',
    docs: '402, or a refusal that speaks of the plan or of its limit. Plans of the cloud have one.',
    remedy: {
      text: 'Choose a larger plan, or deactivate workflows that are not needed, then retry.',
      commands: [retry],
    },
  },
  n8n_address_wrong: {
    retryable: false,
    sentence: 'At N8N_URL there is no public API of n8n.',
    docs:
      'The answer is a redirection, no JSON, or a 404 for the list of workflows. The public API is not part of trials, and can be ' +
      'switched off (N8N_PUBLIC_API_DISABLED).',
    // Whatever stands before n8n may have let a request through and spoiled its answer.
    open: true,
    remedy: {
      text: 'Set N8N_URL to the address at which the editor opens, without /api/v1, see that its public API is on, then retry.',
      commands: [setAddress, retry],
    },
  },
  n8n_version_too_old: {
    retryable: false,
    sentence: 'This version of n8n cannot list credentials, or give one other data.',
    docs: '404 or 405 for the list or for the change. The list is asked for after an interruption, since a credential is never made again without having looked; the change by a rotation, whose former key stays valid until then.',
    remedy: { text: 'Update n8n, then retry.', commands: [retry] },
  },
  n8n_workflow_refused: {
    retryable: false,
    sentence: 'n8n refused a workflow, a credential or a tag.',
    docs: 'Another 4xx; the message quotes n8n. A node of a template may be of a kind or version that this n8n does not have.',
    remedy: { text: 'Correct what n8n names, in the template or in n8n, then retry.', commands: [retry] },
  },
  n8n_activation_refused: {
    retryable: false,
    sentence: 'n8n does not activate a workflow.',
    docs: '400 for the activation; the message quotes n8n. Its trigger or its credentials are wrong, or another workflow has its address.',
    remedy: { text: 'Correct in n8n what it names, then retry.', commands: [retry] },
  },
  n8n_workflow_archived: {
    retryable: false,
    sentence: 'A workflow of the client is archived in n8n.',
    docs: 'Somebody has archived it. It is not made again, since it may be wanted back.',
    remedy: { text: 'Restore the workflow in n8n, or delete it for good, then retry.', commands: [retry] },
  },
  n8n_workflow_gone: {
    retryable: true,
    sentence: 'A workflow or tag was deleted in n8n while it was set up.',
    docs: '404 for what was there a moment ago. The next attempt makes what is missing.',
  },
  n8n_project_unknown: {
    retryable: true,
    sentence: 'The address or the key of the client’s Supabase project is not known yet.',
    docs: 'They are recorded by the steps before.',
  },
  n8n_rate_limited: {
    retryable: true,
    sentence: 'n8n asks for fewer requests.',
    docs: '429. When it is frequent, lower [`rate_limits`](operations.md#rate-limits-regions-sizes-plans).',
    rateLimited: true,
  },
  n8n_unavailable: {
    retryable: true,
    sentence: 'n8n is not working properly.',
    docs: '5xx, or an answer that cannot be read. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  n8n_unreachable: {
    retryable: true,
    sentence: 'n8n cannot be reached.',
    docs: 'No answer came. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  n8n_paused: {
    retryable: true,
    sentence: 'n8n is left alone for a while.',
    continuation: '',
    docs: 'The circuit breaker is open, or the token bucket is empty for more than 5 s. The attempt does not count.',
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(n8nFailures)
