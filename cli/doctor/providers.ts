import { z } from 'zod'
import type { Variables } from '../../shared/kernel/environment.ts'
import { maskSecrets } from '../../shared/kernel/masking.ts'
import { remedyFor } from '../../shared/services/failures.ts'
import { services } from '../../shared/services/registry.ts'
import type { KeyCheck } from '../../shared/services/service.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import { localVariables } from '../../tools/emulators.ts'
import { nameElsewhere, withFunctionNames } from '../../tools/function-names.ts'
import { printable } from '../../tools/printable.ts'
import type { ProjectAddress } from '../../tools/project-address.ts'
import { time } from '../../tools/terminal.ts'
import type { Diagnosis } from './diagnosis.ts'
import { type Finding, finding, type Repair } from './finding.ts'

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

/** Of each key only once: a service may have several breakers, and a failed job does not say which it met. */
function blamedKeyFindings({ failed_jobs: failed }: Diagnosis): Finding[] {
  return services.flatMap(({ label, secret }) => {
    const blaming = failed.filter(({ code }) => asksForSecret(code, secret))
    const [first] = blaming
    if (!first) return []
    const jobs = blaming.reduce((sum, each) => sum + each.jobs, 0)
    return finding(
      'providers',
      `${label} key of the functions`,
      `${jobs} job${jobs === 1 ? '' : 's'} failed with ${first.code}: ${first.message ?? ''}`,
      '',
      {
        fix: 'Set the key of the functions, then retry.',
        command: `npx supabase secrets set ${secret}=…`,
      },
    )
  })
}

function asksForSecret(code: string | null, secret: string): boolean {
  return remedyFor(code).commands.some((each) => each.command === 'set_secret' && each.name === secret)
}

/**
 * One harmless call (a list of one) with each key that this machine has: the functions' own are in their secrets, where
 * nobody can read them. For the local stack, whose keys are known, the emulators are called.
 */
export async function keyFindings(
  project: ProjectAddress,
  environment: NodeJS.ProcessEnv,
  stop: AbortSignal,
): Promise<Finding[]> {
  const given = withFunctionNames(environment)
  const configuration = project.isLocal ? await readConfiguration(environment) : undefined
  const emulated = configuration ? localVariables(services, configuration) : {}
  const variables = { ...given, ...(configuration ? keysOf(configuration) : {}), ...emulated }
  return Promise.all(
    services.map((service) =>
      keyFinding(
        `${service.label} ${service.secret in emulated ? 'emulator' : 'key'}`,
        service.secret,
        service.keyCheck(variables),
        stop,
      ),
    ),
  )
}

/** The keys that .env has for the local stack. */
function keysOf(configuration: Readonly<Record<string, unknown>>): Variables {
  const keys = services.map(({ secret }) => [secret, configuration[secret]] as const)
  return Object.fromEntries(keys.flatMap(([name, key]) => (typeof key === 'string' ? [[name, key]] : [])))
}

async function keyFinding(
  name: string,
  variable: string,
  { url, key, header, wanted }: KeyCheck,
  stop: AbortSignal,
): Promise<Finding> {
  if (!key)
    return {
      area: 'providers',
      check: name,
      status: 'skipped',
      found: `${variable}${elsewhere(variable)} is not set here; the functions have theirs in their secrets.`,
    }
  const signal = AbortSignal.any([stop, AbortSignal.timeout(CALL_LIMIT_MS)])
  const headers: Record<string, string> = header ? { [header]: key } : { authorization: `Bearer ${key}` }
  // Followed, an answer that leads elsewhere would take the key along.
  const reply = await fetch(url, { headers, signal, redirect: 'manual' }).catch((error: unknown) => error)
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
  if (reply.ok) {
    await reply.body?.cancel()
    return finding('providers', name, undefined, `accepted (${new URL(url).host})`)
  }
  const message = messageIn(await reply.text().catch(() => ''))
  const found = [`A call with ${variable} was answered ${reply.status}.`, message].filter(Boolean).join(' ')
  return finding('providers', name, found, '', refusalRepair(reply.status, variable, wanted?.(message)))
}

/** @param wanted the variable that the answer asks for */
function refusalRepair(status: number, variable: string, wanted: string | undefined): Repair {
  if (wanted)
    return {
      fix: `Set ${wanted}, here and in the secrets of the functions.`,
      command: `npx supabase secrets set ${wanted}=…`,
    }
  if (status === 401 || status === 403)
    return {
      fix: `Replace the key, here${elsewhere(variable)} and in the secrets of the functions.`,
      command: `npx supabase secrets set ${variable}=…`,
    }
  // What is wrong with a request stays wrong.
  if (status < 500 && status !== 408 && status !== 429) return { fix: 'Mend what the answer names.' }
  return { fix: 'Try again later.' }
}

/** Names the variable of this machine where it is called otherwise: secrets of functions may not begin with SUPABASE_. */
function elsewhere(variable: string): string {
  const name = nameElsewhere(variable)
  return name ? ` (${name})` : ''
}

const answered = z.object({ message: z.string(), error: z.object({ message: z.string() }) }).partial()

/** What a provider says in words, as it may be printed: Neon in `message`, Stripe in `error.message`. */
function messageIn(body: string): string {
  let found: z.infer<typeof answered> | undefined
  try {
    found = answered.safeParse(JSON.parse(body)).data
  } catch {
    // A proxy's page, for example.
  }
  return printable(maskSecrets(found?.message ?? found?.error?.message ?? '')).slice(0, 300)
}

function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return maskSecrets(error.cause instanceof Error ? error.cause.message : error.message)
}
