import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOCAL_METRICS_KEY } from '../../local/project-services.ts'
import { EVERY_FUNCTION, methodOf } from '../functions/every-function.ts'
import { serverNames } from '../support/endpoint-connections.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'

/** npm run test:long attacks for longer. */
const ATTACK_SECONDS = Number(process.env.ATTACK_SECONDS ?? 10)
/** So many connections are killed and so many calls answered, however slow the machine is. */
const AT_LEAST = ATTACK_SECONDS * 10
const EVERY_MS = 15
/** Requests to each function at any time. */
const CALLERS = 3

let project: TestProject

beforeAll(async () => {
  project = await startTestProject({
    settings: { lease_seconds: 45, health_requests_per_minute: 100_000, tenant_requests_per_minute: 100_000 },
  })
})

afterAll(() => project?.stop())

interface Asked {
  readonly body: unknown
  /** A status, and what only the database can have said. */
  readonly answer: readonly [status: number, says: string]
}

const nobody = () => ({ organizationId: crypto.randomUUID() })
const NO_ORGANIZATION = [404, 'organization_not_found'] as const

/** What each function asks the database for. One that is not here fails the test. */
const ASKED: Readonly<Record<string, () => Asked>> = {
  'check-tenant-health': () => ({ body: nobody(), answer: NO_ORGANIZATION }),
  // It asks after it has answered.
  'deliver-alerts': () => ({ body: {}, answer: [202, 'accepted'] }),
  'deprovision-tenant-resources': () => ({ body: nobody(), answer: NO_ORGANIZATION }),
  graphql: () => ({ body: { query: '{ tenants { nodes { id } } }' }, answer: [200, '"nodes":['] }),
  'handle-new-user': () => ({ body: { userId: crypto.randomUUID() }, answer: [404, 'user_not_found'] }),
  metrics: () => ({ body: undefined, answer: [200, 'provisioning_paused'] }),
  'provision-tenant-resources': () => ({ body: nobody(), answer: NO_ORGANIZATION }),
  'reconcile-tenants': () => ({ body: {}, answer: [202, 'runId'] }),
  'tenant-graphql': () => ({
    body: { query: '{ contacts(first: 1) { totalCount } }' },
    answer: NO_ORGANIZATION,
  }),
}

/** @returns whether the answer was what the database says when it is there */
async function call(name: string): Promise<boolean> {
  const asked = ASKED[name]
  if (!asked) throw new Error(`say in ASKED what ${name} is asked, and what it answers`)
  return ask(name, asked())
}

/** @returns whether the answer was the one that is to come */
async function ask(
  name: string,
  { body, answer }: Asked,
  organizationId: string = crypto.randomUUID(),
): Promise<boolean> {
  const reply = await fetch(`${project.services.url}/functions/v1/${name}`, {
    ...(methodOf(name) === 'GET'
      ? { headers: { authorization: `Bearer ${LOCAL_METRICS_KEY}` } }
      : {
          method: 'POST',
          headers: {
            'content-type': 'application/json',
            apikey: project.keys.secretKey,
            'x-organization-id': organizationId,
          },
          body: JSON.stringify(body),
        }),
    signal: AbortSignal.timeout(20_000),
  })
  const text = await reply.text()
  return reply.status === answer[0] && text.includes(answer[1])
}

interface Attack {
  readonly beganAt: number
  killed: number
  answered: number
  /** Functions that show whether they got what they asked for. */
  readonly shown: readonly string[]
  /** Functions that did not get what they asked the database for, at least once. */
  readonly hit: Set<string>
}

/** One that asks the database after it has answered shows nothing of it. */
const SHOWN = EVERY_FUNCTION.filter((name) => name !== 'deliver-alerts')

const begin = (shown: readonly string[]): Attack => ({
  beganAt: performance.now(),
  ...{ killed: 0, answered: 0, shown, hit: new Set() },
})

const goesOn = ({ beganAt, killed, answered, shown, hit }: Attack) =>
  performance.now() - beganAt < ATTACK_SECONDS * 1_000 ||
  killed <= AT_LEAST ||
  answered <= AT_LEAST ||
  shown.some((name) => !hit.has(name))

/** Ends every connection of the functions into these databases, again and again. */
async function killDuring(attack: Attack, databases: readonly string[]): Promise<void> {
  while (goesOn(attack)) {
    const [row] = await project.superuser<{ count: number }[]>`
      select count(pg_terminate_backend(pid))::int as count from pg_stat_activity
      where datname = any (${databases}) and application_name in ('tenant-provisioning', 'tenant-graphql')`
    attack.killed += row?.count ?? 0
    await sleep(EVERY_MS)
  }
}

async function callDuring(attack: Attack, name: string, asks: () => Promise<boolean>): Promise<void> {
  while (goesOn(attack)) {
    if (!(await asks())) attack.hit.add(name)
    attack.answered++
  }
}

const answers = async () =>
  Object.fromEntries(await Promise.all(EVERY_FUNCTION.map(async (name) => [name, await call(name)] as const)))
const allAnswer = Object.fromEntries(EVERY_FUNCTION.map((name) => [name, true]))

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
      expect(await answers(), 'before').toEqual(allAnswer)
      const before = processes()
      expect(before).toHaveLength(EVERY_FUNCTION.length)
      const attack = begin(SHOWN)
      const [database] = await project.sql<{ name: string }[]>`select current_database() as name`
      const callers = EVERY_FUNCTION.flatMap((name) =>
        Array.from({ length: CALLERS }, () => callDuring(attack, name, () => call(name))),
      )
      const people = Promise.all([project.signUp(), project.signUp(), project.signUp()])
      await Promise.all([killDuring(attack, [database?.name ?? '']), ...callers])

      const startedAt = performance.now()
      expect(await answers(), 'afterwards').toEqual(allAnswer)
      expect(performance.now() - startedAt).toBeLessThan(10_000)
      expect(processes()).toEqual(before)
      await finish(await people)
    },
    90_000 + ATTACK_SECONDS * 1_000,
  )
})

/** What opens sessions into the database of a tenant, and what it answers when it is let. */
const INSIDE: Readonly<Record<string, (organizationId: string) => Asked>> = {
  'check-tenant-health': (organizationId) => ({
    body: { organizationId, deep: true },
    answer: [200, '"status":"healthy"'],
  }),
  'provision-tenant-resources': (organizationId) => ({
    body: { organizationId, services: ['neon'], wait: true },
    // Of the job, not of one of its steps.
    answer: [200, '"status":"succeeded","nextAttemptAt":'],
  }),
  'tenant-graphql': () => ({
    body: { query: '{ contacts(first: 1) { totalCount } }' },
    answer: [200, '"totalCount":'],
  }),
}

describe('functions whose sessions in the tenants’ databases are killed every 15 ms for seconds', () => {
  it(
    'lose no process, and do afterwards what they were asked for',
    async () => {
      const people = await Promise.all(Array.from({ length: CALLERS }, () => project.signUp()))
      for (const { organizationId } of people) await project.waitFor(organizationId)
      const databases = await serverNames(project, people)
      // A step that has failed is not tried again by itself, so that its answer comes, and the next retry.
      await project.sql`update provisioning.settings set max_step_attempts = 1`
      const inside = Object.entries(INSIDE).flatMap(([name, asked]) =>
        people.map(({ organizationId }) => ({
          name,
          asks: () => ask(name, asked(organizationId), organizationId),
        })),
      )
      const answersInside = () => Promise.all(inside.map(async ({ name, asks }) => [name, await asks()]))
      const allAnswerInside = inside.map(({ name }) => [name, true])
      // Every process is there, also in a run of this test alone.
      expect(await answers(), 'before').toEqual(allAnswer)
      expect(await answersInside(), 'before').toEqual(allAnswerInside)
      const before = processes()
      const attack = begin(Object.keys(INSIDE))
      const callers = inside.map(({ name, asks }) => callDuring(attack, name, asks))
      await Promise.all([killDuring(attack, databases), ...callers])

      expect(await answersInside(), 'afterwards').toEqual(allAnswerInside)
      expect(await answers(), 'afterwards').toEqual(allAnswer)
      expect(processes()).toEqual(before)
    },
    90_000 + ATTACK_SECONDS * 1_000,
  )
})
