import type { ApiError } from './api'

/** What each step does, for people who have never heard of it. Steps that are not here are shown by their names. */
const STEPS: Readonly<Record<string, { readonly title: string; readonly does: string }>> = {
  stripe_customer: { title: 'Billing account', does: 'Opens an account for invoices and payments.' },
  neon_project: { title: 'Database', does: 'Creates a Postgres database that is yours alone.' },
  credentials: { title: 'Logins', does: 'Makes the logins and puts their passwords into a vault.' },
  tenant_schema: { title: 'Tables', does: 'Creates the tables and the rules of who may read what.' },
  verify_connection: {
    title: 'Connection check',
    does: 'Connects once over verified TLS, as your programs will.',
  },
  graphql_endpoint: { title: 'GraphQL endpoint', does: 'Opens the GraphQL API of your database.' },
  supabase_project: { title: 'Supabase project', does: 'Creates a Supabase project that is yours alone.' },
  project_ready: { title: 'Start of the project', does: 'Waits until the project has started.' },
  project_keys: {
    title: 'Keys of the project',
    does: 'Reads the keys of the project and puts them into a vault.',
  },
  github_repository: { title: 'Repository', does: 'Creates a repository with the code of your application.' },
  github_secrets: { title: 'Secrets', does: 'Gives the repository what it needs for its deployments.' },
  vercel_project: { title: 'Hosting', does: 'Connects the repository with a host for your application.' },
  vercel_deployment: { title: 'First deployment', does: 'Publishes your application.' },
  n8n_workflows: { title: 'Workflows', does: 'Creates the automations of your organization.' },
}

export const stepTitle = (step: string) => STEPS[step]?.title ?? sentenceCase(step)
export const stepText = (step: string) => STEPS[step]?.does

const SERVICES: Readonly<Record<string, string>> = {
  stripe: 'Billing',
  neon: 'Database',
  graphql: 'GraphQL API',
  supabase: 'Supabase project',
  github: 'Repository',
  vercel: 'Deployment',
  n8n: 'Workflows',
}
export const serviceTitle = (service: string) => SERVICES[service] ?? sentenceCase(service)

/** `NOT_REQUESTED` → `Not requested`. */
export function sentenceCase(word: string): string {
  const text = word.replaceAll('_', ' ').toLowerCase()
  return text.charAt(0).toUpperCase() + text.slice(1)
}

const ERRORS: Readonly<Record<string, string>> = {
  signed_out: 'You are signed out. Sign in again to go on.',
  offline: 'You are offline. This page goes on when the connection is back.',
  page_not_loaded: 'This part of the console could not be loaded. It may have been updated: try again.',
  unreachable: 'The project does not answer at the moment. Try again shortly.',
  forbidden: 'Your role in this organization does not allow this. Ask an owner or admin.',
  organization_not_found: 'There is no such organization, or you are not a member of it.',
  database_not_found: 'The organization has no database yet.',
  database_unavailable: 'The service is busy. Nothing was changed; try again in a moment.',
  internal_error: 'Something went wrong on our side.',
  not_configured: 'The project is not set up for this. Whoever runs it can mend that.',
  project_copied: 'This is a copy of another project, whose databases it does not touch.',
  key_unauthorized: 'This API key is not valid: it has a slip in it, has ended, or was revoked.',
  tenant_not_ready: 'The database is being set up. Its progress is in the overview.',
  tenant_schema_behind: 'The tables are being brought up to date. Try again in a moment.',
  tenant_moving: 'The database is being moved, and cannot be written to for a moment. Try again shortly.',
  tenant_database_unavailable: 'The database cannot be reached at the moment. Try again shortly.',
}

/** Where the API says nothing better itself: it knows which value, which size or which name was meant. */
const OTHERWISE: Readonly<Record<string, string>> = {
  invalid_json: 'The page has sent something that the project could not read. Reload it.',
  invalid_body: 'The page has sent something that the project could not read. Reload it.',
  invalid_argument: 'One of the values is not valid. Check what you have entered.',
  invalid_query: 'The query is not valid. Check its names and brackets.',
  query_too_complex: 'The query asks for too much at once. Ask for fewer fields or smaller pages.',
  unauthorized: 'You are signed out. Sign in again to go on.',
  size_not_in_plan: 'Your plan does not have this size. Choose another one.',
  user_not_found: 'There is no such person.',
  key_not_found: 'There is no such key. It may have been deleted.',
  not_expected: 'Nobody expects you in an organization with this address.',
  method_not_allowed: 'The page has asked in a wrong way. Reload it.',
  not_acceptable: 'The page has asked in a wrong way. Reload it.',
  nothing_to_cancel: 'There is nothing to cancel: it has ended already.',
  region_is_fixed: 'The region cannot be changed any more.',
  move_not_possible: 'This tenant cannot be moved at the moment.',
  undo_in_progress: 'What was made is being removed. Try again when that is done.',
  former_password_valid: 'The former password is still valid. Wait until it has ended.',
  already_member: 'This person is a member already.',
  owner_is_needed: 'An organization needs an owner. Make somebody else an owner first.',
  too_many_organizations: 'You own as many organizations as you may.',
  key_has_ended: 'This key has ended. Make a new one.',
  body_too_large: 'That is too much at once. Send less.',
  unknown_choice: 'This is not offered. Choose something else.',
  user_not_eligible: 'Nothing is set up for this account.',
  user_too_old: 'This account is no new one.',
  confirmation_required: 'Confirm first that you mean it.',
  under_legal_hold: 'This organization has to be kept for legal reasons. Ask the support.',
  several_accounts: 'Several accounts have this address. Ask the support.',
  service_just_redone: 'This was done again just now. Wait a moment.',
  schema_drift:
    'A table or column that is needed was changed in the database. Change it back, or ask the support.',
  already_exists: 'There is one with this value already.',
  value_refused: 'The database does not take one of the values, or one is missing.',
  answer_too_large: 'The answer would be too large. Ask for fewer or shorter values.',
  unknown_document: 'Only stored queries may run here, and this is none of them.',
  too_many_requests: 'That was too often. Try again in a moment.',
  too_many_attempts: 'That was too often. Try again later.',
  too_many_waiting: 'Too many are waiting. Try again in a moment.',
  tenant_database_busy: 'The database has too much to do. Try again in a moment.',
  tenant_database_too_slow: 'The database took too long and was stopped. Ask for less.',
  provider_unavailable: 'A service that we need does not answer. It is tried again by itself.',
}

/** What a person is told, with what helps to find it in the log. */
export function errorText({ code, message, retryAfterSeconds, requestId }: ApiError): string {
  const text = ERRORS[code] ?? (message || (OTHERWISE[code] ?? 'That was refused.'))
  if (code === 'internal_error' && requestId) return `${text} Tell support this number: ${requestId}.`
  return retryAfterSeconds && !/\d s/.test(text) ? `${text} Try again in ${retryAfterSeconds} s.` : text
}
