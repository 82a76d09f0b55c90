import { type FailureCatalogue, failuresOf } from '../../kernel/failures.ts'

export const neonFailures = {
  neon_key_missing: {
    retryable: false,
    sentence: 'There is no Neon key.',
    docs: 'The function secret is not set.',
    remedy: {
      text: 'Set the function secret NEON_API_KEY, then retry.',
      commands: [
        { command: 'set_secret', name: 'NEON_API_KEY' },
        { command: 'retry', service: 'neon' },
      ],
    },
  },
  neon_key_rejected: {
    retryable: false,
    sentence: 'Neon does not accept NEON_API_KEY.',
    docs: 'Neon answered 401, or 403: the key lacks a right.',
    remedy: {
      text: 'Put a valid key into the function secrets, then retry.',
      commands: [
        { command: 'set_secret', name: 'NEON_API_KEY' },
        { command: 'retry', service: 'neon' },
      ],
    },
  },
  neon_project_limit_reached: {
    retryable: false,
    sentence: 'The Neon plan allows no more projects.',
    docs: 'The plan is full.',
    remedy: {
      text: 'Delete projects or upgrade the plan at console.neon.tech, then retry.',
      commands: [{ command: 'retry', service: 'neon' }],
    },
  },
  neon_branch_limit_reached: {
    retryable: false,
    sentence: 'The Neon plan allows this project no more branches.',
    docs: 'Seen when the tenant schema is tried on a branch: the plans Free and Launch include 10 for each project, Scale 25.',
    remedy: {
      text: 'Delete branches of the project at console.neon.tech, or upgrade the plan, then try again.',
      commands: [],
    },
  },
  neon_limit_refused: {
    retryable: false,
    sentence: 'The plan of the Neon account refuses a limit.',
    docs: 'Seen only when the request failed again without the refused limit; the message quotes Neon.',
    remedy: {
      text: 'Lower the limit in provisioning.database_sizes or provisioning.plans, or upgrade the plan at console.neon.tech, then retry.',
      commands: [{ command: 'retry', service: 'neon' }],
    },
  },
  neon_region_unknown: {
    retryable: false,
    sentence: 'Neon does not offer this region.',
    docs: 'A plain retry keeps the old region.',
    remedy: {
      text: 'Provision it in another region. When provisioning.regions is wrong, correct it first.',
      commands: [{ command: 'choose_region' }],
    },
  },
  neon_request_refused: {
    retryable: false,
    sentence: 'Neon refused the request.',
    docs: 'Another 4xx, or a project without a compute; the message quotes Neon.',
    remedy: {
      text: 'Mend what Neon names, then retry.',
      commands: [{ command: 'retry', service: 'neon' }],
    },
  },
  neon_operation_failed: {
    retryable: true,
    sentence: 'An operation on the Neon project failed.',
    continuation: 'It will be looked at again.',
    docs: 'The project’s newest operation ended in an error. If it stays, look at it in Neon’s console.',
  },
  neon_project_busy: {
    retryable: true,
    sentence: 'Another operation is running on the Neon project.',
    docs: '423, or an operation is still running; then the attempt does not count.',
  },
  neon_rate_limited: {
    retryable: true,
    sentence: 'Neon asks for fewer requests.',
    docs: '429. When it is frequent, lower [`rate_limits`](operations.md#rate-limits-regions-sizes-plans).',
    rateLimited: true,
  },
  neon_unavailable: {
    retryable: true,
    sentence: 'Neon is not working properly.',
    docs: '5xx. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  neon_unreachable: {
    retryable: true,
    sentence: 'Neon cannot be reached.',
    docs: 'No answer came. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  neon_list_incomplete: {
    retryable: true,
    sentence: 'Neon could not list every project, so it is not certain that ours is absent.',
    docs: 'What an incomplete list does not hold may exist all the same, so nothing is created.',
  },
  neon_paused: {
    retryable: true,
    sentence: 'Neon is left alone for a while.',
    continuation: '',
    docs: 'The circuit breaker is open, or the token bucket is empty for more than 5 s. The attempt does not count.',
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(neonFailures)
