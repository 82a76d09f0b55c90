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
}

export const stepTitle = (step: string) => STEPS[step]?.title ?? sentenceCase(step)
export const stepText = (step: string) => STEPS[step]?.does

const SERVICES: Readonly<Record<string, string>> = {
  stripe: 'Billing',
  neon: 'Database',
  graphql: 'GraphQL API',
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
  unreachable: 'The project does not answer at the moment. Try again shortly.',
  forbidden: 'Your role in this organization does not allow this. Ask an owner or admin.',
  organization_not_found: 'There is no such organization, or you are not a member of it.',
  database_not_found: 'The organization has no database yet.',
  database_unavailable: 'The service is busy. Nothing was changed; try again in a moment.',
  internal_error: 'Something went wrong on our side.',
  key_unauthorized: 'This API key is not valid: it has a slip in it, has ended, or was revoked.',
  tenant_not_ready: 'The database is being set up. Its progress is in the overview.',
  tenant_schema_behind: 'The tables are being brought up to date. Try again in a moment.',
  tenant_database_unavailable: 'The database cannot be reached at the moment. Try again shortly.',
}

/** What a person is told, with what helps to find it in the log. */
export function errorText({ code, message, retryAfterSeconds, requestId }: ApiError): string {
  const text = ERRORS[code] ?? message
  if (code === 'internal_error' && requestId) return `${text} Tell support this number: ${requestId}.`
  return retryAfterSeconds && !/\d+ s/.test(text) ? `${text} Try again in ${retryAfterSeconds} s.` : text
}
