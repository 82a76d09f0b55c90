import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { CONNECTION, type Harm, HarmedTier, type Limits } from './harmed-tier.ts'

/** What each step asks for that is tried here: the one request after which there is something more outside, where it has such a one. */
const REQUESTS: Readonly<Record<string, string>> = {
  supabase_project: 'v1CreateAProject',
  project_ready: 'v1ListAllProjects',
  credentials: CONNECTION,
  tenant_schema: CONNECTION,
  verify_connection: CONNECTION,
  project_keys: 'v1GetProjectApiKeys',
  graphql_endpoint: CONNECTION,
  github_repository: 'repos/create-using-template',
  github_secrets: 'actions/create-or-update-repo-secret',
  vercel_project: 'createProject',
  vercel_deployment: 'createDeployment',
  n8n_workflows: 'createWorkflow',
  new_login: CONNECTION,
  limit_former_login: CONNECTION,
  new_project_password: 'v1UpdateDatabasePassword',
  new_secret_key: 'v1CreateProjectApiKey',
  hand_on_to_repository: 'actions/create-or-update-repo-secret',
  hand_on_to_deployment: 'createProjectEnv',
  deploy_anew: 'createDeployment',
  hand_on_to_workflows: 'updateCredential',
  end_former_keys: 'v1DeleteProjectApiKey',
  delete_n8n_workflows: 'deleteWorkflow',
  delete_vercel_project: 'deleteProject',
  delete_github_repository: 'repos/delete',
  delete_supabase_project: 'v1DeleteAProject',
}
/** They write rows of ours, and nothing else. */
const ASK_NOBODY = ['delete_credentials', 'limit_former_key']
const KINDS = ['provision', 'rotate_credentials', 'end_project_keys', 'undo']

/** npm run test:long tries each request of each step. */
const TRIES_ALL = process.env.EVERY_REQUEST !== undefined
const TEST_MS = TRIES_ALL ? 1_200_000 : 300_000
/** Below every limit of a client, 15 s for a connection and 20 s for a request, so that who ignores the deadline is noticed. */
const IN_TIME_SECONDS = 14
/** What a harmed attempt has; after one that came to nothing before it was struck, as beside other work, twice as much. */
const CALL_MS = 200
const STEP_SECONDS = 0.4

let tier: HarmedTier

beforeAll(async () => {
  tier = await HarmedTier.open()
})
afterAll(() => tier?.[Symbol.asyncDispose]())
afterEach(() => {
  tier.harms.clear()
  tier.attempts.length = 0
})

/** Works until the newest job has ended. Whatever was harmed in a round has failed in it, in time, and with the code of who did not answer. */
async function endure(id: string, limits: (patience: number) => Limits): Promise<string> {
  for (let round = 0, patience = 1; round < 500; round++) {
    const status = await tier.jobStatus(id)
    if (status !== 'queued' && status !== 'running') return status
    const before = tier.attempts.length
    await tier.work(id, limits(patience))
    const struck = tier.attempts.slice(before)
    for (const { step, harm, seconds } of struck) {
      const what = `${step}, ${harm.operation}${harm.acts ? ' that is done' : ''}`
      const { service, ...state } = await tier.step(id, step)
      expect(state, what).toEqual({ status: 'retrying', code: codeOf(harm, service) })
      expect(seconds, what).toBeLessThan(IN_TIME_SECONDS)
    }
    patience = struck.length > 0 ? 1 : Math.min(patience * 2, 64)
  }
  throw new Error(`the job goes on: ${JSON.stringify([...tier.harms])}`)
}

function codeOf({ operation }: Harm, service: string): unknown {
  if (operation === CONNECTION) return expect.stringMatching(/^tenant_database_(too_slow|unreachable)$/)
  // The step for the keys belongs to the database.
  return `${operation.startsWith('v1') ? 'supabase' : service}_unreachable`
}

/** The same with one worker after another that dies. @param deaths see MortalWorker.dieInSteps */
async function outlive(id: string, deaths: Map<string, number>): Promise<string> {
  for (let round = 0; round < 1_000; round++) {
    const status = await tier.jobStatus(id)
    if (status !== 'queued' && status !== 'running') return status
    await tier.workUntilDeath(id, deaths)
  }
  throw new Error(`the job goes on: ${JSON.stringify([...deaths])}`)
}

/**
 * A tenant from its beginning to its end, with what there is outside after each part.
 * @param toEnd works until the newest job has ended, and says how
 */
async function live(toEnd: (id: string) => Promise<string>) {
  const before = await tier.outside()
  const id = await tier.tenant()
  const more = async () => {
    const now = await tier.outside()
    return Object.fromEntries(Object.entries(now).map(([what, count]) => [what, count - (before[what] ?? 0)]))
  }
  const part = async (begin: () => Promise<unknown>) => {
    await begin()
    expect(await toEnd(id)).toBe('succeeded')
    return more()
  }
  const provisioned = await part(async () => undefined)
  const rotated = await part(() => tier.enqueue(id, 'rotate_credentials'))
  const ended = await part(async () => {
    await tier.sql`update provisioning.former_project_keys set ends_at = now(), look_at = now() - interval '1 second'`
    await tier.sql`select provisioning.enqueue_key_ends(100)`
  })
  const removed = await part(async () => {
    await tier.sql`select provisioning.release_resources(${id}, false)`
    await tier.enqueue(id, 'undo')
  })
  const steps = await tier.sql<{ step: string }[]>`
    select s.step from public.provisioning_steps s join public.provisioning_jobs j on j.id = s.job_id
    where j.organization_id = ${id} and j.kind = 'undo' order by s.finished_at`
  expectReverseOrder(steps.map(({ step }) => step))
  return { provisioned, rotated, ended, removed }
}

/** The workflows stand beside repository and deployment. */
function expectReverseOrder(steps: readonly string[]): void {
  expect(steps.filter((step) => step !== 'delete_n8n_workflows')).toEqual([
    'delete_vercel_project',
    'delete_github_repository',
    'delete_credentials',
    'delete_supabase_project',
  ])
  expect(steps.indexOf('delete_n8n_workflows')).toBeLessThan(steps.indexOf('delete_credentials'))
}

const ONE_OF_EACH = {
  ...{ projects: 1, secretKeys: 1, repositories: 1, sites: 1, deployments: 1 },
  ...{ tags: 1, credentials: 2, workflows: 2 },
}
const WHOLE_LIFE = {
  provisioned: ONE_OF_EACH,
  rotated: { ...ONE_OF_EACH, secretKeys: 2, deployments: 2 },
  ended: { ...ONE_OF_EACH, deployments: 2 },
  removed: Object.fromEntries(Object.keys(ONE_OF_EACH).map((what) => [what, 0])),
}

/** @returns how many there are */
async function harm(ways: (operation: string) => readonly boolean[]): Promise<number> {
  const operations = TRIES_ALL
    ? await everyRequest()
    : new Map(Object.entries(REQUESTS).map(([step, one]) => [step, [one]]))
  for (const [step, ones] of operations)
    tier.harms.set(
      step,
      ones.flatMap((operation) => ways(operation).map((acts) => ({ operation, acts }))),
    )
  return [...tier.harms.values()].flat().length
}

/** Until each has struck. What one harm leaves behind can spare a step another request, which the next tenant makes. */
async function bearAll(count: number, toEnd: (id: string) => Promise<string>): Promise<void> {
  for (let struck = -1; struck < tier.attempts.length && tier.attempts.length < count; ) {
    struck = tier.attempts.length
    expect(await live(toEnd)).toEqual(WHOLE_LIFE)
  }
  expect([...tier.harms].filter(([, left]) => left.length > 0)).toEqual([])
  expect(tier.attempts).toHaveLength(count)
}

/** Of each step, from the life of a tenant that nothing harms. */
async function everyRequest(): Promise<ReadonlyMap<string, readonly string[]>> {
  if (tier.operations.size === 0) await live((id) => endure(id, () => ({ stepMaxSeconds: 60 })))
  // A new key is tried at the project itself, which the Management API does not know.
  const known = (operations: ReadonlySet<string>) => [...operations].filter((name) => name !== 'unknown')
  return new Map([...tier.operations].map(([step, operations]) => [step, known(operations)]))
}

test('each step of the tier is among those that are tried, or asks nobody', async () => {
  const rows = await tier.sql<{ step: string }[]>`
    select distinct step from provisioning.step_definitions where tier = 'project' and kind = any (${KINDS}) order by step`
  expect(rows.map(({ step }) => step)).toEqual([...Object.keys(REQUESTS), ...ASK_NOBODY].sort())
})

describe('each step, when it gets no answer to a request', () => {
  test(
    'ends as soon as the client gives the request up, says who did not answer, and makes one of everything',
    async () => {
      // What bounds a connection is no limit of a request.
      const count = await harm((operation) => (operation === CONNECTION ? [] : [false]))
      const limits = (patience: number) => ({ callMs: CALL_MS * patience, stepMaxSeconds: 60 })
      await bearAll(count, (id) => endure(id, limits))
    },
    TEST_MS,
  )

  test(
    'ends with its own deadline when that comes first, though what was asked for is done, and makes one of everything',
    async () => {
      const count = await harm((operation) =>
        TRIES_ALL || operation === CONNECTION ? [false, true] : [true],
      )
      const limits = (patience: number) => ({ stepMaxSeconds: STEP_SECONDS * patience })
      await bearAll(count, (id) => endure(id, limits))
    },
    TEST_MS,
  )
})

test('each step, whose workers die one place further each time, goes on with the next one, and makes one of everything', async () => {
  const deaths = new Map<string, number>()
  // Each of some hundred deaths is noted.
  vi.spyOn(console, 'warn').mockImplementation(() => undefined)
  expect(await live((id) => outlive(id, deaths))).toEqual(WHOLE_LIFE)
  expect([...deaths.keys()].sort()).toEqual([...Object.keys(REQUESTS), ...ASK_NOBODY].sort())
  // Before it has begun, and when all is done and nobody knows of it.
  expect([...deaths].filter(([, places]) => places < 2)).toEqual([])
}, 300_000)
