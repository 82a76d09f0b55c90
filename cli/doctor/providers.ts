import { maskSecrets } from '../../shared/kernel/masking.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import type { ProjectAddress } from '../../tools/project-address.ts'
import { time } from '../../tools/terminal.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type Finding, finding } from './finding.ts'

const CALL_LIMIT_MS = 10_000

/** How the functions fare with the providers: their circuit breakers, and failures that blame a key. */
export function providerFindings(diagnosis: Diagnosis): Finding[] {
  return [...diagnosis.providers.map(breakerFinding), ...blamedKeyFindings(diagnosis)]
}

function breakerFinding({
  label,
  state,
  consecutive_failures: failures,
  next_try_at: next,
  last_error: error,
}: Diagnosis['providers'][number]): Finding {
  return finding(
    'providers',
    label,
    state !== 'closed' &&
      `The circuit breaker is ${state}; next try at ${time(next)} UTC. ${error ?? ''}`.trim(),
    failures > 0 ? `answers, after ${failures} failures in a row` : 'circuit breaker closed',
    {
      fix: 'The provider is down or cannot be reached; the jobs wait, and go on by themselves.',
      command: 'npm run tenants -- list --status provisioning',
    },
    state === 'half_open' ? 'warning' : 'failed',
  )
}

/** Of each key only once: Stripe has a breaker for each of its modes, and a failed job does not say in which it was. */
function blamedKeyFindings({ failed_jobs: failed }: Diagnosis): Finding[] {
  return FUNCTION_KEYS.flatMap(({ check, codes, variable }) => {
    const blaming = failed.filter(({ code }) => code !== null && codes.includes(code))
    const [first] = blaming
    if (!first) return []
    const jobs = blaming.reduce((sum, each) => sum + each.jobs, 0)
    return finding(
      'providers',
      check,
      `${jobs} job${jobs === 1 ? '' : 's'} failed with ${first.code}: ${first.message ?? ''}`,
      '',
      {
        fix: 'Set the key of the functions, then retry.',
        command: `npx supabase secrets set ${variable}=…`,
      },
    )
  })
}

const FUNCTION_KEYS: readonly { check: string; codes: readonly string[]; variable: string }[] = [
  {
    check: 'Neon key of the functions',
    codes: ['neon_key_missing', 'neon_key_rejected'],
    variable: 'NEON_API_KEY',
  },
  {
    check: 'Stripe key of the functions',
    codes: ['stripe_key_missing', 'stripe_key_rejected'],
    variable: 'STRIPE_SECRET_KEY',
  },
]

interface KeyCheck {
  readonly name: string
  readonly variable: string
  readonly url: string
  readonly key: string | undefined
}

/**
 * One harmless call (a list of one) with each key that this machine has: the functions' own are in their secrets, where
 * nobody can read them. For the local stack, whose keys are known, the emulators are called.
 */
export async function keyFindings(project: ProjectAddress, stop: AbortSignal): Promise<Finding[]> {
  const checks = project.isLocal ? await localKeys() : ownKeys()
  return Promise.all(checks.map((check) => keyFinding(check, stop)))
}

function ownKeys(): KeyCheck[] {
  const { NEON_API_KEY, STRIPE_SECRET_KEY, NEON_ORG_ID, NEON_API_URL, STRIPE_API_URL } = process.env
  const organization = NEON_ORG_ID ? `&org_id=${encodeURIComponent(NEON_ORG_ID)}` : ''
  const neon = NEON_API_URL || 'https://console.neon.tech/api/v2'
  const stripe = STRIPE_API_URL || 'https://api.stripe.com'
  return [
    {
      name: 'Neon key',
      variable: 'NEON_API_KEY',
      url: `${neon}/projects?limit=1${organization}`,
      key: NEON_API_KEY,
    },
    {
      name: 'Stripe key',
      variable: 'STRIPE_SECRET_KEY',
      url: `${stripe}/v1/customers?limit=1`,
      key: STRIPE_SECRET_KEY,
    },
  ]
}

async function localKeys(): Promise<KeyCheck[]> {
  const { LOCAL_NEON_PORT: neon, LOCAL_STRIPE_PORT: stripe, ...keys } = await readConfiguration()
  const own = ownKeys()
  const emulated = [
    { url: `http://127.0.0.1:${neon}/api/v2/projects?limit=1`, key: 'napi_localemulator' },
    { url: `http://127.0.0.1:${stripe}/v1/customers?limit=1`, key: 'sk_test_localemulator' },
  ]
  const given = [keys.NEON_API_KEY, keys.STRIPE_SECRET_KEY]
  return own.map((check, index) => ({
    ...check,
    ...(given[index]
      ? { key: given[index] }
      : { name: check.name.replace('key', 'emulator'), ...emulated[index] }),
  }))
}

async function keyFinding({ name, variable, url, key }: KeyCheck, stop: AbortSignal): Promise<Finding> {
  if (!key)
    return {
      area: 'providers',
      check: name,
      status: 'skipped',
      found: `${variable} is not set here; the functions have theirs in their secrets.`,
    }
  const signal = AbortSignal.any([stop, AbortSignal.timeout(CALL_LIMIT_MS)])
  const reply = await fetch(url, { headers: { authorization: `Bearer ${key}` }, signal }).catch(
    (error: unknown) => error,
  )
  stop.throwIfAborted()
  if (!(reply instanceof Response))
    return finding(
      'providers',
      name,
      `There was no answer: ${reason(reply)}`,
      '',
      { fix: 'Look at the network of this machine.' },
      'warning',
    )
  await reply.body?.cancel()
  const refused = reply.status === 401 || reply.status === 403
  return finding(
    'providers',
    name,
    !reply.ok && `A call with ${variable} was answered ${reply.status}.`,
    `accepted (${new URL(url).host})`,
    {
      fix: refused ? 'Replace the key, here and in the secrets of the functions.' : 'Try again later.',
      ...(refused ? { command: `npx supabase secrets set ${variable}=…` } : {}),
    },
  )
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return maskSecrets(error.cause instanceof Error ? error.cause.message : error.message)
}
