import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOCAL_METRICS_KEY } from '../../local/project-services.ts'
import { EVERY_FUNCTION, methodOf } from '../functions/every-function.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'

/** npm run test:long attacks for longer. */
const ATTACK_SECONDS = Number(process.env.ATTACK_SECONDS ?? 5)
/** So many connections are killed and so many calls answered, however slow the machine is. */
const AT_LEAST = ATTACK_SECONDS * 20
const EVERY_MS = 15
/** Requests to each function at any time. */
const CALLERS = 3

let project: TestProject

beforeAll(async () => {
  project = await startTestProject({ settings: { lease_seconds: 45 } })
})

afterAll(() => project?.stop())

/** Something that each function asks the database for; whatever it answers. */
const BODIES: Readonly<Record<string, unknown>> = {
  graphql: { query: '{ tenants(first: 3) { nodes { organizationId } } }' },
  'reconcile-tenants': {},
  'deliver-alerts': {},
  'tenant-graphql': { query: '{ contacts(first: 1) { totalCount } }' },
}

async function call(name: string): Promise<number> {
  const reply = await fetch(`${project.services.url}/functions/v1/${name}`, {
    ...(methodOf(name) === 'GET'
      ? { headers: { authorization: `Bearer ${LOCAL_METRICS_KEY}` } }
      : {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            apikey: project.keys.secretKey,
            'x-organization-id': crypto.randomUUID(),
          },
          body: JSON.stringify(BODIES[name] ?? { organizationId: crypto.randomUUID() }),
        }),
    signal: AbortSignal.timeout(20_000),
  })
  await reply.text()
  return reply.status
}

interface Attack {
  readonly beganAt: number
  killed: number
  readonly statuses: number[]
}

const goesOn = ({ beganAt, killed, statuses }: Attack) =>
  performance.now() - beganAt < ATTACK_SECONDS * 1_000 || killed <= AT_LEAST || statuses.length <= AT_LEAST

/** Ends every connection of the functions, again and again. */
async function killDuring(attack: Attack): Promise<void> {
  while (goesOn(attack)) {
    const [row] = await project.superuser<{ count: number }[]>`
      select count(pg_terminate_backend(pid))::int as count from pg_stat_activity
      where datname = current_database() and application_name = 'tenant-provisioning'`
    attack.killed += row?.count ?? 0
    await sleep(EVERY_MS)
  }
}

async function callDuring(attack: Attack, name: string): Promise<void> {
  while (goesOn(attack)) attack.statuses.push(await call(name))
}

const processes = () =>
  project.services.gateway.functions
    .processes()
    .map(({ name, pid }) => `${name} ${pid}`)
    .sort()

/**
 * What happens when the leases of lost claims have run out, without the time that this takes. Once, since nothing is lost any
 * more: whoever took the lease of a living worker again and again would let a slow machine never come to an end.
 */
async function finish(people: readonly SignedUp[]): Promise<void> {
  await project.expireLeases()
  await project.whileTimePasses('three ready tenants', async () => {
    const states = await Promise.all(people.map(({ organizationId }) => project.provisioning(organizationId)))
    return states.every(({ overall }) => overall === 'ready') || undefined
  })
}

describe('functions whose connections are killed every 15 ms for seconds', () => {
  it(
    'lose no process, answer again at once, and finish what was asked meanwhile',
    async () => {
      await Promise.all(EVERY_FUNCTION.map(call))
      const before = processes()
      expect(before).toHaveLength(EVERY_FUNCTION.length)
      const attack: Attack = { beganAt: performance.now(), killed: 0, statuses: [] }
      const callers = EVERY_FUNCTION.flatMap((name) =>
        Array.from({ length: CALLERS }, () => callDuring(attack, name)),
      )
      const people = Promise.all([project.signUp(), project.signUp(), project.signUp()])
      await Promise.all([killDuring(attack), ...callers])

      const startedAt = performance.now()
      const healthy = await Promise.all(EVERY_FUNCTION.map(call))
      expect(healthy.filter((status) => status >= 500)).toEqual([])
      expect(performance.now() - startedAt).toBeLessThan(10_000)
      expect(processes()).toEqual(before)
      await finish(await people)
    },
    90_000 + ATTACK_SECONDS * 1_000,
  )
})
