import type postgres from 'postgres'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { type Benchmark, type BenchmarkOptions, interruptible, type Metrics } from './benchmark.ts'
import { type BenchProject, withProject } from './project.ts'
import { median, percentile } from './statistics.ts'
import { untilReady } from './tenants.ts'

const FUNCTION = 'graphql'
/** Of other tenants, and of the one that asks. */
const OTHER_EVENTS = 100_000
const OWN_EVENTS = 500

const MY_ORGANIZATIONS = `{ myOrganizations { id name slug plan stripeCustomerId stripeSubscriptionId stripeSubscriptionStatus
  billingEmail dataRegion hostingRegion provisioningStatus createdAt updatedAt } }`
const EVENTS_PAGE = `query ($id: ID!) { provisioningEvents(organizationId: $id, first: 50) {
  id eventType resourceType resourceId status errorMessage metadata startedAt completedAt } }`

/** Over HTTP through the gateway, by a signed-in member, with a token that is checked each time. */
export const graphql: Benchmark = {
  name: 'graphql',
  summary: 'what the GraphQL function takes for an answer',
  defaultRuns: 3,
  aims: [
    { metric: 'my_organizations_p50_ms', is: 'at most', value: 15 },
    { metric: 'events_page_p50_ms', is: 'at most', value: 15 },
    { metric: 'my_organizations_statements', is: 'at most', value: 2 },
    { metric: 'events_page_statements', is: 'at most', value: 2 },
  ],
  run: async (options) => {
    const amounts = options.quick ? { requests: 20, coldStarts: 1 } : { requests: 500, coldStarts: 5 }
    const settings = { shared_preload_libraries: 'pg_stat_statements' }
    return withProject({ spareDatabases: 1, authConnections: 1, settings }, options, async (project) => {
      await project.services.worker.pauseCron()
      const member = await signUp(project, options.signal)
      await insertEvents(project.superuser, member.organizationId)
      const runs: Metrics[] = []
      while (runs.length < options.runs) {
        options.progress(`run ${runs.length + 1} of ${options.runs}`)
        runs.push(await measure(project, member, amounts, options))
      }
      const names = Object.keys(runs[0] ?? {})
      return {
        metrics: Object.fromEntries(
          names.map((name) => [name, median(runs.map((run) => run[name] ?? Number.NaN))]),
        ),
      }
    })
  },
}

interface Member {
  readonly accessToken: string
  readonly organizationId: string
}

async function signUp({ services, keys, superuser }: BenchProject, signal: AbortSignal): Promise<Member> {
  const { data, error } = await supabaseClient(services.url, keys.publishableKey).auth.signUp({
    email: `${crypto.randomUUID()}@example.com`,
    password: crypto.randomUUID(),
  })
  if (error || !data.user || !data.session) throw new Error(`The sign-up failed: ${error?.message}`)
  await untilReady(superuser, data.user.id, signal)
  const [row] = await superuser<{ id: string }[]>`
    select id from public.organizations where owner_id = ${data.user.id}`
  if (!row) throw new Error('The sign-up made no organization.')
  return { accessToken: data.session.access_token, organizationId: row.id }
}

async function insertEvents(superuser: postgres.Sql, organizationId: string): Promise<void> {
  await superuser`
    insert into public.provisioning_events (organization_id, event_type, resource_type, status, metadata, started_at, completed_at)
    select case when n <= ${OWN_EVENTS} then ${organizationId}::uuid else gen_random_uuid() end, 'step.succeeded', 'neon_project',
      'succeeded', '{"attempt": 1, "region": "aws-us-east-1"}', now() - n * interval '1 minute', now() - n * interval '1 minute'
    from generate_series(1, ${OWN_EVENTS + OTHER_EVENTS}) n`
  await superuser`vacuum analyze public.provisioning_events`
}

async function measure(
  project: BenchProject,
  member: Member,
  { requests, coldStarts }: { requests: number; coldStarts: number },
  { signal }: BenchmarkOptions,
): Promise<Metrics> {
  const cold: number[] = []
  while (cold.length < coldStarts) {
    project.services.gateway.functions.kill(FUNCTION, 'SIGKILL')
    cold.push(await timeOf(() => ask(project, member, MY_ORGANIZATIONS)))
  }
  const mine = await measureOperation(project, member, MY_ORGANIZATIONS, requests, signal)
  const events = await measureOperation(project, member, EVENTS_PAGE, requests, signal)
  return {
    my_organizations_p50_ms: percentile(mine.times, 50),
    my_organizations_p99_ms: percentile(mine.times, 99),
    my_organizations_statements: mine.statements,
    events_page_p50_ms: percentile(events.times, 50),
    events_page_p99_ms: percentile(events.times, 99),
    events_page_statements: events.statements,
    first_answer_of_a_new_process_ms: median(cold),
  }
}

async function measureOperation(
  project: BenchProject,
  member: Member,
  query: string,
  requests: number,
  signal: AbortSignal,
): Promise<{ times: number[]; statements: number }> {
  for (let warmUp = 0; warmUp < 10; warmUp++) await ask(project, member, query)
  const before = await statementsOfFunctions(project)
  const times: number[] = []
  while (times.length < requests)
    times.push(
      await interruptible(
        timeOf(() => ask(project, member, query)),
        signal,
      ),
    )
  return { times, statements: ((await statementsOfFunctions(project)) - before) / requests }
}

/** Functions connect as postgres; nobody else does while cron pauses. Only what they sent, not what that called. */
async function statementsOfFunctions({ superuser }: BenchProject): Promise<number> {
  const [row] = await superuser<{ calls: number }[]>`
    select coalesce(sum(calls), 0)::float8 as calls from extensions.pg_stat_statements where userid = 'postgres'::regrole`
  return row?.calls ?? Number.NaN
}

async function timeOf(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return performance.now() - startedAt
}

/** @throws Error unless it is answered without errors */
async function ask({ services }: BenchProject, member: Member, query: string): Promise<void> {
  const reply = await fetch(`${services.url}/functions/v1/${FUNCTION}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${member.accessToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ query, variables: { id: member.organizationId } }),
  })
  const text = await reply.text()
  if (!reply.ok || text.includes('"errors"')) throw new Error(`GraphQL answered ${reply.status}: ${text}`)
}
