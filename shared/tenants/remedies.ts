import type { Remedy, RemedyCommand } from '../kernel/failures.ts'
import { remedyFor } from '../services/failures.ts'

/** A check of provisioning.describe_tenant, as the database reports it. */
export interface TenantCheck {
  readonly check: string
  readonly status: string
  /** Which kind of trouble it is; null when the check is ok. */
  readonly code: string | null
  /** Of the step or the resource. */
  readonly service: string | null
  /** Of the job that failed. */
  readonly failure_code: string | null
}

/** What is asked of the product for one user or tenant. Whoever prints it knows how: the CLI, SQL, or a button. */
export type TenantCommand =
  | RemedyCommand
  /** Makes whatever rows and resources the user lacks. */
  | { readonly command: 'provision_user' }
  /** Lets a user whose tenant was removed on purpose have one again. */
  | { readonly command: 'lift_removal' }
  | { readonly command: 'provision' }
  /** Tries a removal again that has failed. */
  | { readonly command: 'retry_removal' }
  | { readonly command: 'set_plan' }
  | { readonly command: 'watch' }
  | { readonly command: 'sweep' }
  | { readonly command: 'diagnose' }
  | { readonly command: 'check_health' }
  | { readonly command: 'list_alerts' }
  | { readonly command: 'list_pauses' }

export interface TenantRemedy {
  /** Complete sentences. */
  readonly text: string
  /** In order. */
  readonly commands: readonly TenantCommand[]
}

const provisionUser = [{ command: 'provision_user' }] as const
const goesOn = 'Nothing to do: it goes on by itself.'

/** By the code of the check; only `job_failed` and `removal_failed` depend on more. */
export const checkRemedies: Readonly<Record<string, TenantRemedy>> = {
  account_missing: {
    text: 'Check the spelling. Otherwise they have to sign up, or be invited, first.',
    commands: [],
  },
  account_anonymous: {
    text: 'Nothing to do: the tenant is made when they link an e-mail address.',
    commands: [],
  },
  account_unconfirmed: {
    text: 'The user has to follow the link in the confirmation mail; the rest happens by itself.',
    commands: [],
  },
  account_expected: {
    text: 'The user has to join or decline in your application; with the end, they get a tenant of their own by themselves.',
    commands: [],
  },
  account_not_provisioned: {
    text: 'Nothing to do: your backend has said so, and can take it back with the Auth admin API.',
    commands: [],
  },
  account_without_tenant: {
    text: 'Nothing to do until your application adds them there. Tenants from before the installation are made by a backfill.',
    commands: [],
  },
  sign_up_failed: {
    text: 'Mend the cause. The sweep tries again by itself; this does so now.',
    commands: provisionUser,
  },
  rows_missing: { text: 'Make what is missing.', commands: provisionUser },
  profile_email_differs: { text: 'Copy the address of the account.', commands: provisionUser },
  organization_missing: { text: 'Make one.', commands: provisionUser },
  organization_removed: {
    text: 'That is as it should be, unless the user may have one again.',
    commands: [{ command: 'lift_removal' }, { command: 'provision_user' }],
  },
  plan_missing: {
    text: 'Give it one that is in provisioning.plans.',
    commands: [{ command: 'set_plan' }],
  },
  region_unknown: {
    text: 'Insert the region or an alias into provisioning.regions, for the next ones.',
    commands: [],
  },
  job_open: { text: goesOn, commands: [{ command: 'watch' }] },
  job_overdue: {
    text: 'It should have been claimed by now. Examine the installation.',
    commands: [{ command: 'diagnose' }, { command: 'sweep' }],
  },
  job_paused: {
    text: 'Nothing to do: it goes on by itself when an operator ends the pause.',
    commands: [{ command: 'list_pauses' }],
  },
  job_cancelled: { text: 'Start it again.', commands: [{ command: 'provision' }] },
  job_missing: { text: 'Ask for it.', commands: [{ command: 'retry' }] },
  resource_pending: { text: 'It is being made.', commands: [] },
  resource_unmade: { text: 'It follows from the provisioning above.', commands: [] },
  resource_missing: {
    text: 'Have it looked at again; each step finds what exists.',
    commands: [{ command: 'retry' }],
  },
  service_not_ready: { text: 'Have it looked at again.', commands: [{ command: 'retry' }] },
  health_bad: { text: 'Look at the database itself.', commands: [{ command: 'check_health' }] },
  alerts_open: {
    text: 'An alert is resolved when what opened it has passed.',
    commands: [{ command: 'list_alerts' }],
  },
  removal_open: { text: goesOn, commands: [] },
}

/** @returns what a person does about a check; undefined when it is ok, and where nobody can do anything */
export function remedyOfCheck({
  code,
  service,
  failure_code: failure,
}: TenantCheck): TenantRemedy | undefined {
  if (code === 'job_failed') return remedyFor(failure, service ?? undefined)
  if (code === 'removal_failed') return ofRemoval(remedyFor(failure))
  const remedy = code === null ? undefined : checkRemedies[code]
  return remedy && service !== null
    ? { ...remedy, commands: remedy.commands.map(ofService(service)) }
    : remedy
}

function ofRemoval({ text, commands }: Remedy): TenantRemedy {
  const isNewAttempt = ({ command }: RemedyCommand) => command === 'retry' || command === 'choose_region'
  return {
    text,
    commands: commands.map((each) => (isNewAttempt(each) ? { command: 'retry_removal' } : each)),
  }
}

function ofService(service: string): (command: TenantCommand) => TenantCommand {
  return (each) => (each.command === 'retry' ? { ...each, service } : each)
}
