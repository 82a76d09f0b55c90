import { type FailureCatalogue, failuresOf } from '../../kernel/failures.ts'

export const supabaseFailures = {
  supabase_key_missing: {
    retryable: false,
    sentence: 'There is no token for Supabase’s Management API.',
    docs: 'The function secret is not set.',
    remedy: {
      text: 'Make an access token at supabase.com/dashboard/account/tokens, set the function secret MANAGEMENT_TOKEN, then retry.',
      commands: [
        { command: 'set_secret', name: 'MANAGEMENT_TOKEN' },
        { command: 'retry', service: 'supabase' },
      ],
    },
  },
  supabase_organization_unset: {
    retryable: false,
    sentence: 'It is not said to which Supabase organization new projects belong.',
    docs: 'The function secret is not set.',
    remedy: {
      text: 'Set the function secret MANAGEMENT_ORG_ID to the organization’s slug, which is in the address of its page at supabase.com/dashboard, then retry.',
      commands: [
        { command: 'set_secret', name: 'MANAGEMENT_ORG_ID' },
        { command: 'retry', service: 'supabase' },
      ],
    },
  },
  supabase_organization_unknown: {
    retryable: false,
    sentence: 'The token does not reach the Supabase organization of MANAGEMENT_ORG_ID.',
    docs: '404, or 403, for the organization.',
    remedy: {
      text: 'Correct MANAGEMENT_ORG_ID, or take a token of a member of that organization, then retry.',
      commands: [
        { command: 'set_secret', name: 'MANAGEMENT_ORG_ID' },
        { command: 'retry', service: 'supabase' },
      ],
    },
  },
  supabase_key_rejected: {
    retryable: false,
    sentence: 'Supabase does not accept MANAGEMENT_TOKEN.',
    docs: '401: the token is wrong, or it has expired.',
    remedy: {
      text: 'Put a valid token into the function secrets, then retry.',
      commands: [
        { command: 'set_secret', name: 'MANAGEMENT_TOKEN' },
        { command: 'retry', service: 'supabase' },
      ],
    },
  },
  supabase_permission_missing: {
    retryable: false,
    sentence: 'MANAGEMENT_TOKEN lacks a permission.',
    docs: '403. A scoped token needs to read and write projects, to read the organization, and to read API keys with their values.',
    remedy: {
      text: 'Give the token the permission, or take one of an owner or administrator of the organization, then retry.',
      commands: [
        { command: 'set_secret', name: 'MANAGEMENT_TOKEN' },
        { command: 'retry', service: 'supabase' },
      ],
    },
  },
  supabase_project_limit_reached: {
    retryable: false,
    sentence: 'The plan of the Supabase organization allows no more projects.',
    docs: 'A free plan has two active projects for each owner or administrator. The message quotes Supabase.',
    remedy: {
      text: 'Upgrade the organization, or pause or delete projects, then retry.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_payment_required: {
    retryable: false,
    sentence: 'Supabase asks for a payment first.',
    docs: '402. The message quotes Supabase.',
    remedy: {
      text: 'Settle the invoices of the organization at supabase.com/dashboard, then retry.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_size_refused: {
    retryable: false,
    sentence: 'The plan of the Supabase organization has no choice of instance sizes.',
    docs: 'Found before anything is made, or 402.',
    remedy: {
      text: 'Set provisioning.settings.supabase_instance_size to null, or upgrade the organization, then retry.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_region_not_offered: {
    retryable: false,
    sentence: 'Supabase offers no projects in the organization’s data region.',
    docs: 'The message names the nearest regions that it offers. A plain retry keeps the region. `af-south-1` is among those that it does not offer.',
    remedy: {
      text: 'Provision it in another region, or set provisioning.settings.default_supabase_region for all such regions.',
      commands: [{ command: 'choose_region' }],
    },
  },
  supabase_request_refused: {
    retryable: false,
    sentence: 'Supabase refused the request.',
    docs: 'Another 4xx; the message quotes Supabase.',
    remedy: {
      text: 'Mend what Supabase names, then retry.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_project_coming_up: {
    retryable: true,
    sentence: 'The Supabase project is coming up.',
    continuation: 'It is looked at again in a moment.',
    docs: 'One to three minutes are usual. The message has the state of the project, or the services that are not healthy yet. The attempt does not count.',
  },
  supabase_project_slow: {
    retryable: true,
    sentence: 'The Supabase project has been coming up for longer than is usual.',
    continuation: 'It is looked at ever less often, and the rest is made by itself when it is up.',
    docs: 'After `settings.project_slow_minutes`. An alert is open until it is up. Projects have stayed in COMING_UP, PAUSING or RESTORING for days. The attempt does not count.',
    remedy: {
      text: 'Look at status.supabase.com, and ask Supabase’s support about the project that the message names.',
      commands: [],
    },
  },
  supabase_project_failed: {
    retryable: false,
    sentence: 'The Supabase project did not come up.',
    docs: 'Supabase says INIT_FAILED, RESTORE_FAILED, PAUSE_FAILED, GOING_DOWN or REMOVED. The message has the state.',
    remedy: {
      text: 'Ask Supabase’s support, or delete the project at supabase.com/dashboard. Then retry: one that is gone is made anew.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_project_gone: {
    retryable: false,
    sentence: 'The organization’s Supabase project does not exist.',
    docs: 'It was deleted in the meantime, or the token does not reach it.',
    remedy: {
      text: 'Retry the service supabase, which makes another one.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_keys_missing: {
    retryable: true,
    sentence: 'The Supabase project has no keys yet.',
    docs: 'There is no publishable and no anon key, or no secret and no service_role key.',
  },
  supabase_new_key_refused: {
    retryable: true,
    sentence: 'The Supabase project does not take its new secret key yet.',
    docs: 'Its Data API was asked with the key. The former key stays valid, and is the one that is in Vault.',
  },
  supabase_legacy_keys: {
    retryable: false,
    sentence:
      'The Supabase project has keys of the old kind alone, anon and service_role, which its API cannot exchange.',
    docs: 'They are tokens, valid for ten years; only a new JWT secret ends them, with every session of the project’s users. The password of the database has been rotated before. A rotation that comes by itself leaves such a key.',
    remedy: {
      text: 'Make a publishable and a secret key at supabase.com/dashboard under Settings, API Keys, and retry the services database, github, vercel and n8n, which hand them on. Then rotate again.',
      commands: [{ command: 'retry', service: 'database' }],
    },
  },
  supabase_password_not_taken: {
    retryable: true,
    sentence: 'Supabase has taken a new password for the database, and the database refuses it yet.',
    docs: 'Both passwords are in Vault; each is tried before another one is set.',
  },
  supabase_name_differs: {
    retryable: false,
    sentence:
      'The Supabase project has another name than the one that it was made with, so it is not deleted.',
    docs: 'Only a project with the exact name is deleted. The message has the project’s ref.',
    remedy: {
      text: 'Give it its name back, or delete it at supabase.com/dashboard, then retry.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_project_pausing: {
    retryable: true,
    sentence: 'The Supabase project is being paused.',
    continuation: 'It is looked at again in a moment.',
    docs: 'Projects have stayed in PAUSING for days. The attempt does not count.',
  },
  supabase_pause_refused: {
    retryable: false,
    sentence: 'Supabase does not pause the project.',
    docs: 'Projects of paid plans cannot be paused. The message quotes Supabase.',
    remedy: {
      text: 'Set provisioning.settings.project_on_removal to delete, then retry.',
      commands: [{ command: 'retry', service: 'supabase' }],
    },
  },
  supabase_rate_limited: {
    retryable: true,
    sentence: 'Supabase asks for fewer requests.',
    docs: '429. When it is frequent, lower [`rate_limits`](operations.md#rate-limits-regions-sizes-plans).',
    rateLimited: true,
  },
  supabase_unavailable: {
    retryable: true,
    sentence: 'Supabase’s Management API is not working properly.',
    docs: '5xx, or a reply that is not as Supabase describes it. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  supabase_unreachable: {
    retryable: true,
    sentence: 'Supabase’s Management API cannot be reached.',
    docs: 'No answer came. Five in a row open the circuit breaker.',
    open: true,
    providerBroken: true,
  },
  supabase_paused: {
    retryable: true,
    sentence: 'Supabase’s Management API is left alone for a while.',
    continuation: '',
    docs: 'The circuit breaker is open, or the token bucket is empty for more than 5 s. The attempt does not count.',
  },
} as const satisfies FailureCatalogue

export const failure = failuresOf(supabaseFailures)
