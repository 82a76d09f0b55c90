import { setTimeout as sleep } from 'node:timers/promises'
import type { SupabaseClient } from '@supabase/supabase-js'
import type { Database } from '../../shared/generated/database-types.ts'
import type { PUBLIC_SCHEMA } from '../../shared/kernel/database/schema.ts'
import { dim, green, red, yellow } from '../../tools/command.ts'

type Client = SupabaseClient<Database>
type StepRow = Database[typeof PUBLIC_SCHEMA]['Tables']['provisioning_steps']['Row']

const POLL_MS = 40
const SIGNS: Readonly<Record<string, string>> = {
  running: yellow('…'),
  retrying: yellow('↻'),
  succeeded: green('✓'),
  failed: red('✗'),
}

/**
 * Prints each step of a user's organization as it changes, read as that user under row level security, until the
 * organization is ready or has failed. @throws Error that says where it stands when it is not ready in time.
 */
export async function watchSteps(client: Client, timeoutMs: number): Promise<void> {
  const shown = new Map<string, string>()
  const deadline = Date.now() + timeoutMs
  while (Date.now() < deadline) {
    const overall = await overallStatus(client)
    for (const step of await readSteps(client)) {
      if (step.status === 'pending' || shown.get(step.step) === step.status) continue
      shown.set(step.step, step.status)
      console.log(`  ${SIGNS[step.status] ?? ' '} ${step.step.padEnd(18)} ${describe(step)}`)
    }
    if (overall === 'ready') return
    if (overall === 'failed') throw new Error('Provisioning failed; the step above says why.')
    await sleep(POLL_MS)
  }
  throw new Error(
    `The tenant is not ready after ${timeoutMs / 1000} s; it is ${await overallStatus(client)}.`,
  )
}

/** Waits silently. @returns milliseconds until ready */
export async function waitUntilReady(client: Client, timeoutMs: number): Promise<number> {
  const startedAt = performance.now()
  while (performance.now() - startedAt < timeoutMs) {
    const overall = await overallStatus(client)
    if (overall === 'ready') return performance.now() - startedAt
    if (overall === 'failed') throw new Error('Provisioning failed.')
    await sleep(POLL_MS * 2)
  }
  throw new Error(`The tenant is not ready after ${timeoutMs / 1000} s.`)
}

export async function overallStatus(client: Client): Promise<string> {
  const { data, error } = await client.from('organizations').select('provisioning_status').single()
  if (error) throw new Error(`The organization cannot be read: ${error.message}`)
  const status = data.provisioning_status
  return typeof status === 'object' && status !== null && !Array.isArray(status)
    ? String(status.overall)
    : 'unknown'
}

async function readSteps(client: Client): Promise<StepRow[]> {
  const { data, error } = await client.from('provisioning_steps').select('*').order('position')
  if (error) throw new Error(`The steps cannot be read: ${error.message}`)
  return data
}

function describe(step: StepRow): string {
  if (step.status === 'succeeded' && step.started_at && step.finished_at) {
    const ms = Date.parse(step.finished_at) - Date.parse(step.started_at)
    return `${String(ms).padStart(5)} ms  ${dim(summary(step))}`
  }
  if (step.status === 'running')
    return dim(step.attempts > 1 ? `running, attempt ${step.attempts}` : 'running')
  const { error } = step
  const message =
    typeof error === 'object' && error !== null && !Array.isArray(error) ? error.message : undefined
  return `${step.status}: ${String(message ?? 'no reason given')}`
}

function summary(step: StepRow): string {
  const { output } = step
  if (typeof output !== 'object' || output === null || Array.isArray(output)) return ''
  return Object.entries(output)
    .map(([name, value]) => (name === 'resourceId' ? String(value) : `${name} ${inWords(value)}`))
    .join(', ')
}

/** Of what has several parts, how many. */
function inWords(value: unknown): string {
  return Array.isArray(value) && value.some((part) => typeof part === 'object')
    ? String(value.length)
    : String(value)
}
