import { afterAll, afterEach, beforeAll, expect } from 'vitest'
import type { FaultRule } from '../../local/emulators/http/faults.ts'
import { type Provisioning, type SignedUp, startTestProject, type TestProject } from '../support/project.ts'

/** The project of a test file about failures; whatever a test has set is put back after it. */
export let project: TestProject
/** How far the clock that Stripe's idempotency keys and search go by is ahead. */
export const stripeClock = { aheadMs: 0 }

/** Called at the top of a file, whose own hooks these become: files share this module where they share a process. */
export function useFailingProject(): void {
  beforeAll(async () => {
    project = await startTestProject({ stripe: { clock: () => Date.now() + stripeClock.aheadMs } })
  })

  afterAll(() => project?.stop())

  afterEach(async () => {
    const { neonEmulator, stripeEmulator } = project
    await project.sql`delete from provisioning.token_buckets`
    await project.sql`update provisioning.settings set max_step_attempts = 8, breaker_failures = 1000`
    for (const { faults } of [neonEmulator, stripeEmulator]) faults.clear()
    neonEmulator.setTimings({ operationMs: 0, createMs: 0 })
    neonEmulator.setLimits({ maxProjects: 100_000 })
    stripeEmulator.setTimings({ searchLagMs: 0 })
  })
}

export type Action = FaultRule['action']

export const neonFault = (operation: string, action: Action, times?: number) =>
  project.neonEmulator.faults.add({ match: { operation }, action, ...(times ? { times } : {}) })
export const stripeFault = (operation: string, action: Action, times?: number) =>
  project.stripeEmulator.faults.add({ match: { operation }, action, ...(times ? { times } : {}) })

export const status = (code: number, more: Partial<Extract<Action, { type: 'status' }>> = {}) =>
  ({ type: 'status', status: code, ...more }) as const

export interface Attempt {
  readonly code: string
  readonly message: string
  readonly attempt: number
  /** Seconds from the failure to the next attempt. */
  readonly waits: number
}

/** The failed attempts that the history tells of. */
export async function attempts({ organizationId }: SignedUp): Promise<Attempt[]> {
  const rows = await project.sql<Attempt[]>`
    select metadata ->> 'code' as code, error_message as message, (metadata ->> 'attempt')::int as attempt,
      extract(epoch from (metadata ->> 'next_attempt_at')::timestamptz - completed_at)::float8 as waits
    from public.provisioning_events
    where organization_id = ${organizationId} and event_type in ('step.retrying', 'step.failed') order by completed_at`
  return [...rows]
}

/** Does not wait for the retries that are put off: they are made due until the job ends. */
export async function hurryTo(person: SignedUp, overall: string): Promise<Provisioning> {
  const reached = async () => {
    const state = await project.provisioning(person.organizationId)
    return state.overall === overall ? state : undefined
  }
  return project.whileTimePasses(`${overall} organization`, reached, person.organizationId)
}

export async function expectOneOfEach({ organizationId }: SignedUp): Promise<void> {
  const { projects, customers } = await project.resources(organizationId)
  expect({ projects: projects.length, customers: customers.length }).toEqual({ projects: 1, customers: 1 })
}

/** Signs up, with these columns in the organization's row before anything is made for it. */
export function signUpWith(columns: Record<string, string | null>): Promise<SignedUp> {
  return project.whileHeld(async () => {
    const person = await project.signUp()
    await change(person, columns)
    return person
  })
}

export async function change(
  { organizationId }: SignedUp,
  columns: Record<string, string | null>,
): Promise<void> {
  await project.sql`update public.organizations set ${project.sql(columns)} where id = ${organizationId}`
}

export const retry = (person: SignedUp, wish: Record<string, unknown> = {}) =>
  project.request({ organizationId: person.organizationId, wait: true, ...wish })
