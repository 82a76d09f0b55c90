import postgres from 'postgres'
import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'
import { MORE_SHAPES } from '../install/more-shapes.ts'
import { makeProject, SHAPES, type Shape } from '../install/project-shapes.ts'
import { signUp } from '../support/sign-up.ts'
import { type Benchmark, type BenchmarkOptions, interruptible } from './benchmark.ts'
import { WITHOUT_DISK_WAITS, withServer } from './servers.ts'
import { median } from './statistics.ts'

/**
 * Puts tenant provisioning into projects of many shapes. Each is built twice from its own migrations, once with ours among them;
 * then the same acts on users are done in both, and their outcome and the rows in the project's own tables are compared.
 */
export const install: Benchmark = {
  name: 'install',
  summary: 'init in projects of other people, and whether any act of theirs changes',
  defaultRuns: 1,
  aims: [
    { metric: 'projects_refused', is: 'at most', value: 0 },
    { metric: 'acts_changed', is: 'at most', value: 0 },
    { metric: 'init_s', is: 'at most', value: 10 },
  ],
  run: (options) => withServer(WITHOUT_DISK_WAITS, (server) => measure(server, options)),
}

async function measure(server: PostgresServer, options: BenchmarkOptions) {
  const all = [...SHAPES, ...MORE_SHAPES]
  const shapes = options.quick ? all.slice(1, 2) : all
  const results: Result[] = []
  for (const [index, shape] of shapes.entries()) {
    options.progress(`project ${index + 1} of ${shapes.length}: ${shape.name}`)
    results.push(await interruptible(inOneProject(server, shape, index), options.signal))
  }
  const installed = results.filter(({ problem }) => problem === undefined)
  const acts = results.flatMap((each) => each.changed)
  return {
    metrics: {
      projects: results.length,
      installed: installed.length,
      projects_refused: results.length - installed.length,
      acts: installed.reduce((sum, { acts: count }) => sum + count, 0),
      acts_changed: acts.length,
      init_s: Math.max(...results.map(({ initSeconds }) => initSeconds)),
      init_median_s: median(results.map(({ initSeconds }) => initSeconds)),
    },
    problems: [...results.flatMap(({ problem }) => problem ?? []), ...acts],
  }
}

interface Result {
  readonly initSeconds: number
  /** Why it could not be installed. */
  readonly problem?: string
  readonly acts: number
  /** Acts that end otherwise with us. */
  readonly changed: readonly string[]
}

async function inOneProject(server: PostgresServer, shape: Shape, index: number): Promise<Result> {
  const { directory, remove } = await makeProject(shape)
  try {
    const [without, withUs] = [`without_${index}`, `with_${index}`]
    await createPlatformDatabase(server, without)
    await createPlatformDatabase(server, withUs)
    await migrate(server.url(without, 'postgres'), { workdir: directory })
    const startedAt = performance.now()
    await runProgram(
      process.execPath,
      ['--import', 'tsx', 'cli/tenants.ts', 'init', directory, '--yes', '--json', ...(shape.options ?? [])],
      { cwd: projectRoot },
    )
    const initSeconds = (performance.now() - startedAt) / 1000
    const problem = await migrate(server.url(withUs, 'postgres'), { workdir: directory }).then(
      () => undefined,
      (error: Error) => `${shape.name}: ${error.message.slice(0, 300)}`,
    )
    if (problem) return { initSeconds, problem, acts: 0, changed: [] }
    const tables = await tablesOf(server, without)
    // Their own tables before the users go.
    const acts = [...ACTS.slice(0, -1), ...(shape.acts ?? []).map(statement), ...ACTS.slice(-1)]
    const expected = await outcomes(server, without, tables, acts)
    const found = await outcomes(server, withUs, tables, acts)
    return {
      initSeconds,
      acts: acts.length,
      changed: acts.flatMap(({ name }, act) =>
        found[act] === expected[act]
          ? []
          : [`${shape.name}, ${name}: ${found[act]} instead of ${expected[act]}`],
      ),
    }
  } finally {
    await remove()
  }
}

const user = (digit: number) => `00000000-0000-4000-8000-00000000000${digit}`

interface Act {
  readonly name: string
  run(auth: postgres.Sql, postgres: postgres.Sql): Promise<unknown>
}

const statement = (sql: string): Act => ({ name: sql, run: (_, owner) => owner.unsafe(sql) })

const ACTS: readonly Act[] = [
  {
    name: 'sign-up with a name',
    run: (auth) => signUp(auth, { id: user(1), metadata: { full_name: 'Ada', company: 'Engines' } }),
  },
  {
    name: 'sign-up without confirmation',
    run: (auth) => signUp(auth, { id: user(2), emailConfirmed: false }),
  },
  { name: 'anonymous sign-up', run: (auth) => signUp(auth, { id: user(3), email: null, anonymous: true }) },
  { name: 'sign-up without an address', run: (auth) => signUp(auth, { id: user(4), email: null }) },
  { name: 'sign-up with odd metadata', run: (auth) => signUp(auth, { id: user(5), metadata: [1, 'x'] }) },
  { name: 'sign-in', run: (auth) => auth`update users set last_sign_in_at = now() where id = ${user(1)}` },
  {
    name: 'another address',
    run: (auth) => auth`update users set email = 'b@example.com' where id = ${user(1)}`,
  },
  {
    name: 'another name',
    run: (auth) => auth`update users set raw_user_meta_data = '{"full_name": "Eve"}' where id = ${user(1)}`,
  },
  {
    name: 'confirmation',
    run: (auth) => auth`update users set email_confirmed_at = now() where id = ${user(2)}`,
  },
  { name: 'ban', run: (auth) => auth`update users set banned_until = now() where id = ${user(4)}` },
  { name: 'soft deletion', run: (auth) => auth`update users set deleted_at = now() where id = ${user(2)}` },
  { name: 'deletion', run: (auth) => auth`delete from users where id = ${user(1)}` },
]

/** The project's own tables that it has without us, and the users. */
async function tablesOf(server: PostgresServer, database: string): Promise<string[]> {
  return connected(server.url(database), async (sql) => {
    const rows = await sql<{ name: string }[]>`
      select c.oid::regclass::text as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and n.nspname !~ '^(pg_|information_schema|vault|cron|net|supabase_)' order by 1`
    return rows.map(({ name }) => name)
  })
}

/** Of each act: what it said, and how many rows each table has afterwards. */
async function outcomes(
  server: PostgresServer,
  database: string,
  tables: readonly string[],
  acts: readonly Act[],
): Promise<string[]> {
  const counts = tables.map((table) => `(select count(*) from ${table}) as "${table}"`).join(', ')
  return connected(server.url(database), (superuser) =>
    connected(server.url(database, 'supabase_auth_admin'), (auth) =>
      connected(server.url(database, 'postgres'), async (owner) => {
        const found: string[] = []
        for (const act of acts) {
          const said = await act.run(auth, owner).then(
            () => 'done',
            (error: Error) => error.message,
          )
          const [rows] = await superuser.unsafe(`select ${counts}`)
          found.push(`${said} ${JSON.stringify(rows)}`)
        }
        return found
      }),
    ),
  )
}

async function connected<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 5 })
  }
}
