import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type SignedUp, until } from '../support/project.ts'
import { expectOneOfEach, hurryTo, project, status, useFailingProject } from './failing-project.ts'

useFailingProject()

describe('a provider that is down', () => {
  const count = (calls: Readonly<Record<string, number>>) =>
    Object.values(calls).reduce((sum, number) => sum + number, 0)
  const stripeCalls = () => count(project.stripeEmulator.stats.calls)
  const neonCalls = () => count(project.neonEmulator.stats.calls)
  const breaker = async () => {
    const [row] = await project.sql<{ state: string; nextTryAt: Date | null }[]>`
      select state, next_try_at as "nextTryAt" from provisioning.provider_status where provider = 'stripe_test'`
    return row
  }

  /** What the status rows tell a member of the organization. */
  async function toldOf({ client, jobId }: SignedUp, step: string): Promise<readonly string[]> {
    const { data: steps } = await client
      .from('provisioning_steps')
      .select('error')
      .match({ job_id: jobId, step })
    const { data: jobs } = await client.from('provisioning_jobs').select('error: last_error').eq('id', jobId)
    return [...(steps ?? []), ...(jobs ?? [])].map(({ error }) => String(Object(error).message))
  }

  /** The time of day then and in the seconds that the news may have taken to the row. */
  function secondsFrom(moment: Date | null): string[] {
    return [0, 1, 2, 3].map((later) =>
      new Date((moment?.getTime() ?? Number.NaN) + later * 1_000).toISOString().slice(11, 19),
    )
  }

  afterEach(async () => {
    await project.sql`update provisioning.settings set breaker_pause_seconds = 15, max_running_jobs = 40`
    await project.sql`update provisioning.provider_status
      set state = 'closed', consecutive_failures = 0, openings = 0, next_try_at = null`
    await project.sql`update public.provisioning_jobs set status = 'cancelled', finished_at = now() where status in ('queued', 'running')`
  })

  it('is called as often as it takes to find out, and not once for each tenant', async () => {
    const [failures, running, tenants] = [3, 5, 30]
    await project.sql`update provisioning.settings
      set breaker_failures = ${failures}, max_running_jobs = ${running}, breaker_pause_seconds = 120`
    project.neonEmulator.faults.add({ action: status(503) })
    const calls = neonCalls()
    await project.whileHeld(() => Promise.all(Array.from({ length: tenants }, () => project.signUp())))
    await until('every tenant put off', async () => {
      await project.sweep()
      const { count: putOff } = await project.sql`
        select from public.provisioning_steps s join public.provisioning_jobs j on j.id = s.job_id
        where j.status = 'queued' and s.step = 'neon_project' and s.error ->> 'message' like '%Next try%'`
      return putOff === tenants || undefined
    })
    // The last of the failures opens the breaker; whatever else was under way by then comes to nothing.
    expect(neonCalls() - calls).toBeLessThanOrEqual(failures + running - 1)
  })

  it('is left alone by all tenants but for one call at a time, and costs nobody an attempt', async () => {
    await project.sql`update provisioning.settings set breaker_failures = 3, breaker_pause_seconds = 120`
    project.stripeEmulator.faults.add({ action: status(503) })
    const people = await project.whileHeld(() =>
      Promise.all(Array.from({ length: 8 }, () => project.signUp())),
    )
    for (const { organizationId } of people) {
      await project.waitForStep(organizationId, 'verify_connection', 'succeeded')
      await project.waitForStep(organizationId, 'stripe_customer', 'retrying')
    }
    const { nextTryAt } = await until('open breaker', async () => {
      const row = await breaker()
      return row?.state === 'open' ? row : undefined
    })
    for (const person of people) {
      const messages = await until('put off step', async () => {
        const told = await toldOf(person, 'stripe_customer')
        return told.every((message) => message.includes('Next try')) ? told : undefined
      })
      expect(messages).toHaveLength(2)
      for (const message of messages) {
        const [, time] = /^Stripe .* Next try at (\d\d:\d\d:\d\d) UTC\.$/.exec(message) ?? []
        expect(secondsFrom(nextTryAt), message).toContain(time)
      }
    }
    const calls = stripeCalls()
    for (const _ of people) await project.call({ body: await project.signDoorbell() })
    await project.sweep()
    await sleep(500)
    expect(stripeCalls()).toBe(calls)
    await project.passTime()
    await until('trial', () => stripeCalls() > calls || undefined)
    await sleep(500)
    expect(stripeCalls()).toBe(calls + 1)
    const waiting = await Promise.all(people.map((person) => project.provisioning(person.organizationId)))
    for (const { error, services, steps } of waiting) {
      expect(services).toMatchObject({ neon: 'ready', stripe: 'retrying' })
      expect(steps.stripe_customer?.attempts).toBeLessThanOrEqual(3)
      expect(error?.message).toMatch(/Stripe/)
    }
    project.stripeEmulator.faults.clear()
    for (const person of people) {
      await hurryTo(person, 'ready')
      await expectOneOfEach(person)
    }
    expect((await breaker())?.state).toBe('closed')
  })
})
