import { migrate } from '../../local/postgres/migrate.ts'
import { createPlatformDatabase } from '../../local/postgres/platform.ts'
import type { PostgresServer } from '../../local/postgres/server.ts'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'
import { actsIn, outcomes, tablesOf } from '../install/acts.ts'
import { MORE_SHAPES } from '../install/more-shapes.ts'
import { makeProject, SHAPES, type Shape } from '../install/project-shapes.ts'
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
    const address = (database: string) => (role?: string) => server.url(database, role)
    const tables = await tablesOf(address(without))
    const acts = actsIn(shape)
    const expected = await outcomes(address(without), tables, acts)
    const found = await outcomes(address(withUs), tables, acts)
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
