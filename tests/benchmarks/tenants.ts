import { setTimeout as sleep } from 'node:timers/promises'
import type postgres from 'postgres'
import { signUp } from '../support/sign-up.ts'
import type { BenchProject } from './project.ts'

const POLL_MS = 10
const TIMEOUT_MS = 60_000

/**
 * Inserts one user as GoTrue does and waits until the tenant is ready.
 * @returns milliseconds from just before the insert to provisioned_at, both by the database's clock
 * @throws Error when it failed or is not ready within a minute
 */
export async function signUpAndWait({ auth, superuser }: BenchProject, signal: AbortSignal): Promise<number> {
  const { id } = await signUp(auth, { metadata: { full_name: 'Ann Archer', data_region: 'eu' } })
  return untilReady(superuser, id, signal)
}

/** @returns milliseconds from the start of the sign-up's transaction (auth.users.created_at) to provisioned_at */
export async function untilReady(
  superuser: postgres.Sql,
  userId: string,
  signal: AbortSignal,
): Promise<number> {
  const deadline = performance.now() + TIMEOUT_MS
  for (;;) {
    const [row] = await superuser<{ overall: string; readyMs: number | null }[]>`
      select o.provisioning_status ->> 'overall' as overall,
        extract(epoch from o.provisioned_at - u.created_at)::float8 * 1000 as "readyMs"
      from public.organizations o join auth.users u on u.id = o.owner_id where u.id = ${userId}`
    if (typeof row?.readyMs === 'number') return row.readyMs
    if (row?.overall === 'failed') throw new Error(`The provisioning of user ${userId} failed.`)
    if (performance.now() > deadline)
      throw new Error(`User ${userId} has waited ${TIMEOUT_MS / 1000} s; the tenant is ${row?.overall}.`)
    await sleep(POLL_MS, undefined, { signal })
  }
}

/** Where the time of the newest tenants went: medians in milliseconds, in the order in which things happen. */
export async function readPhases(
  superuser: postgres.Sql,
  tenants: number,
): Promise<readonly { phase: string; ms: number }[]> {
  return superuser<{ phase: string; ms: number }[]>`
    with newest as (
      select j.id, j.organization_id, j.created_at, j.started_at, j.finished_at
      from public.provisioning_jobs j where j.kind = 'provision' order by j.created_at desc limit ${tenants}
    ), phases as (
      select 0 as position, 'sign-up → claimed' as phase, started_at - created_at as took from newest
      union all
      select 1, 'claimed → first step', min(s.started_at) - n.started_at
      from newest n join public.provisioning_steps s on s.job_id = n.id group by n.id, n.started_at
      union all
      select 1 + s.position, 'step ' || s.step, s.finished_at - s.started_at
      from newest n join public.provisioning_steps s on s.job_id = n.id
      union all
      select 100, 'last step → ready', o.provisioned_at - max(s.finished_at)
      from newest n join public.provisioning_steps s on s.job_id = n.id
      join public.organizations o on o.id = n.organization_id group by n.id, o.provisioned_at
    )
    select phase, (percentile_cont(0.5) within group (order by extract(epoch from took)) * 1000)::float8 as ms
    from phases group by position, phase order by position`
}
