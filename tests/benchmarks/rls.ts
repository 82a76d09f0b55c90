import { readFile } from 'node:fs/promises'
import postgres from 'postgres'
import type { PostgresServer } from '../../local/postgres/server.ts'
import { applyTenantSchema } from '../../shared/tenant-database/apply-schema.ts'
import { makeRolesOf } from '../support/tenant-logins.ts'
import type { Benchmark, BenchmarkOptions, Measurement } from './benchmark.ts'
import { QUERIES } from './rls-queries.ts'
import { withConnections, withServer } from './servers.ts'
import { median } from './statistics.ts'

const ROWS = 100_000
/** As many databases get all files, one after the other; a server that has just been started takes longer with its first one. */
const APPLIED = 7
const POLICIES = 'rls_policies'
const NOTHING = 'rls_nothing'
const CLAIMS = JSON.stringify({
  organization_id: '00000000-0000-4000-8000-00000000000a',
  sub: '00000000-0000-4000-8000-000000000001',
  organization_role: 'member',
})

/**
 * The queries that the tenants' endpoint makes, each in a transaction as there, by the role `_app`: once with the policies, and once
 * in a copy without row level security whose indexes leave out the column that only the policies ask for. Both take turns within a
 * run. `overhead_percent` is of the time of all together, `worst_query_overhead_percent` of the query that loses most;
 * `apply_0001_ms` is the median time of tenant-schema/ in a new database. The report has each query, and says where the two run differently.
 */
export const rls: Benchmark = {
  name: 'rls',
  summary: 'queries of a tenant’s endpoint with and without row level security, 100,000 rows a table',
  defaultRuns: 5,
  aims: [
    { metric: 'overhead_percent', is: 'at most', value: 5 },
    { metric: 'apply_0001_ms', is: 'at most', value: 400 },
  ],
  run: (options) =>
    withServer({ fsync: 'off', shared_buffers: '512MB', autovacuum: 'off' }, async (server) => {
      const rows = options.quick ? 500 : ROWS
      const applied: number[] = []
      options.progress('applying all files')
      for (let number = 1; number <= (options.quick ? 1 : APPLIED); number++)
        applied.push(await makeTenantDatabase(server, `rls_applied_${number}`))
      for (const name of [POLICIES, NOTHING]) {
        options.progress(`making a database with ${rows} rows a table`)
        await makeTenantDatabase(server, name)
        await fill(server, name, rows)
      }
      return measure(server, applied, options)
    }),
}

function connectOnce(url: string, search_path: string): postgres.Sql {
  const options = { max: 1, prepare: false, fetch_types: false, max_lifetime: null }
  return postgres(url, { ...options, onnotice: () => undefined, connection: { search_path } })
}

/** @returns how long the files took, in ms */
async function makeTenantDatabase(server: PostgresServer, name: string): Promise<number> {
  await withConnections(server.url('template1'), 1, (sql) =>
    sql.unsafe(`create database ${name} template template0`),
  )
  const admin = connectOnce(server.url(name), 'pg_catalog')
  const passwords = await makeRolesOf(admin, ['schema']).finally(() => admin.end())
  const url = new URL(server.url(name, `${name}_schema`))
  url.password = passwords.schema ?? ''
  const schema = connectOnce(url.href, 'pg_catalog')
  const startedAt = performance.now()
  const applied = await applyTenantSchema(schema)
  const took = performance.now() - startedAt
  await schema.end()
  if (!applied.ok) throw new Error(applied.failure.message)
  return took
}

async function fill(server: PostgresServer, name: string, rows: number): Promise<void> {
  const admin = connectOnce(server.url(name), 'pg_catalog')
  // Before the rows come, so that the indexes of both sides have grown with them.
  if (name === NOTHING) await admin.unsafe(WITHOUT_POLICIES)
  const statements = await readFile(new URL('rls-rows.sql', import.meta.url), 'utf8')
  await admin.unsafe(statements.replaceAll(':rows', String(rows)))
  await admin.unsafe('vacuum analyze')
  await admin.end()
}

const WITHOUT_POLICIES = `do $$
declare
  v_each record;
begin
  for v_each in select c.oid::regclass as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' loop
    execute format('alter table %s disable row level security', v_each.name);
  end loop;
  for v_each in
    select i.indexrelid::regclass as name, pg_get_indexdef(i.indexrelid) as definition from pg_index i
    where i.indrelid::regclass::text like 'public.%' and pg_get_indexdef(i.indexrelid) ~ '[(,] ?organization_id, '
  loop
    execute format('drop index %s', v_each.name);
    execute replace(v_each.definition, 'organization_id, ', '');
  end loop;
end
$$`

async function measure(
  server: PostgresServer,
  applied: readonly number[],
  options: BenchmarkOptions,
): Promise<Measurement> {
  const sides = [POLICIES, NOTHING].map((name) => ({
    sql: connectOnce(server.url(name), 'public'),
    begin: `begin read only; select set_config('role', '${name}_app', true),
      set_config('request.jwt.claims', '${CLAIMS}', true), set_config('statement_timeout', '3000', true)`,
  }))
  const rounds = options.quick ? 2 : 100
  const overheads: number[] = []
  const perQuery = QUERIES.map(() => ({ percent: [] as number[], without: [] as number[] }))
  for (let run = 0; run < options.runs; run++) {
    options.progress(`run ${run + 1} of ${options.runs}`)
    let [withAll, withoutAll] = [0, 0]
    for (const [place, query] of QUERIES.entries()) {
      const [withPolicies = [], without = []] = await alternate(sides, query, rounds, options.signal)
      perQuery[place]?.percent.push(percent(median(withPolicies), median(without)))
      perQuery[place]?.without.push(median(without))
      withAll += median(withPolicies)
      withoutAll += median(without)
    }
    overheads.push(percent(withAll, withoutAll))
  }
  const plans: string[][] = []
  for (const side of sides) plans.push(await plansOf(side))
  await Promise.all(sides.map(({ sql }) => sql.end()))
  return {
    metrics: {
      overhead_percent: median(overheads),
      worst_query_overhead_percent: Math.max(...perQuery.map((each) => median(each.percent))),
      apply_0001_ms: median(applied),
    },
    details: QUERIES.map(({ name }, place) => {
      const { percent: lost = [], without = [] } = perQuery[place] ?? {}
      const [plan, plainPlan] = plans.map((each) => each[place])
      const other = plan === plainPlan ? '' : `; another plan: ${plan} for ${plainPlan}`
      return `${median(lost).toFixed(1).padStart(6)} % of ${median(without).toFixed(2)} ms: ${name}${other}`
    }),
  }
}

interface PlanNode {
  readonly 'Node Type': string
  readonly 'Index Name'?: string
  readonly 'Parent Relationship'?: string
  readonly Plans?: readonly PlanNode[]
}

/** How each query is run: the kinds of the plan's nodes, without the question who asks. */
async function plansOf({ sql, begin }: Side): Promise<string[]> {
  const shape = (node: PlanNode): string => {
    const inner = (node.Plans ?? [])
      .filter((each) => each['Parent Relationship'] !== 'InitPlan')
      .map(shape)
      .join(', ')
    return `${node['Node Type']}${node['Index Name'] ? ` ${node['Index Name']}` : ''}${inner ? ` (${inner})` : ''}`
  }
  const plans: string[] = []
  for (const { text, values } of QUERIES) {
    await sql.unsafe(begin)
    const rows = await sql.unsafe<{ 'QUERY PLAN': [{ Plan: PlanNode }] }[]>(`explain (format json) ${text}`, [
      ...values,
    ])
    await sql.unsafe('commit')
    for (const {
      'QUERY PLAN': [{ Plan: plan }],
    } of rows)
      plans.push(shape(plan))
  }
  return plans
}

interface Side {
  readonly sql: postgres.Sql
  readonly begin: string
}

/** @returns the times of each side in ms, beginning now with the one and now with the other */
async function alternate(
  sides: readonly Side[],
  { text, values }: (typeof QUERIES)[number],
  rounds: number,
  signal: AbortSignal,
): Promise<number[][]> {
  const times = sides.map((): number[] => [])
  for (let round = 0; round < rounds; round++) {
    signal.throwIfAborted()
    const order = round % 2 === 0 ? [0, 1] : [1, 0]
    for (const place of order) {
      const side = sides[place]
      if (!side) continue
      const startedAt = performance.now()
      await side.sql.unsafe(side.begin)
      await side.sql.unsafe(text, [...values])
      await side.sql.unsafe('commit')
      times[place]?.push(performance.now() - startedAt)
    }
  }
  return times
}

function percent(withPolicies: number, without: number): number {
  return (withPolicies / without - 1) * 100
}
