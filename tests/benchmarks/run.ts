import { parseArgs } from 'node:util'
import { runCommand } from '../../tools/command.ts'
import type { Benchmark, BenchmarkOptions } from './benchmark.ts'
import { burst } from './burst.ts'
import { consolePages } from './console.ts'
import { fleet } from './fleet.ts'
import { graphql } from './graphql.ts'
import { growth } from './growth.ts'
import { health } from './health.ts'
import { hostile } from './hostile.ts'
import { install } from './install.ts'
import { lanes } from './lanes.ts'
import { neighbours } from './neighbours.ts'
import { projectTier } from './project-tier.ts'
import { ready } from './ready.ts'
import { printMeasurement } from './report.ts'
import { rls } from './rls.ts'
import { rotation } from './rotation.ts'
import { signUp, signUpMapped } from './sign-up.ts'
import { start } from './start.ts'
import { tenantGraphql } from './tenant-graphql.ts'

const BENCHMARKS: readonly Benchmark[] = [
  signUp,
  signUpMapped,
  ready,
  burst,
  health,
  fleet,
  rotation,
  graphql,
  growth,
  lanes,
  hostile,
  neighbours,
  rls,
  tenantGraphql,
  consolePages,
  projectTier,
  start,
  install,
]
const USAGE_ERROR = 2

await runCommand(async () => {
  const usage = readArguments()
  if ('help' in usage) {
    process.stdout.write(helpText())
    return 0
  }
  if ('mistake' in usage) {
    console.error(`${usage.mistake}\n\n${helpText()}`)
    return USAGE_ERROR
  }
  return runAll(usage)
})

type Usage = { readonly help: true } | { readonly mistake: string } | Wanted

interface Wanted {
  readonly chosen: readonly Benchmark[]
  readonly runs: number | undefined
  readonly tenants: number | undefined
  readonly quick: boolean
}

function readArguments(): Usage {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        quick: { type: 'boolean', default: false },
        runs: { type: 'string' },
        tenants: { type: 'string' },
      },
    })
    if (values.help) return { help: true }
    return {
      ...choose(positionals),
      runs: readCount('--runs', values.runs, 9999),
      tenants: readCount('--tenants', values.tenants, 1_000_000),
      quick: values.quick,
    }
  } catch (error) {
    return { mistake: error instanceof Error ? error.message : String(error) }
  }
}

/** @throws Error that names a benchmark that does not exist */
function choose(names: readonly string[]): { chosen: readonly Benchmark[] } {
  const unknown = names.filter((name) => !BENCHMARKS.some((benchmark) => benchmark.name === name))
  if (unknown.length > 0)
    throw new Error(
      `There is no benchmark "${unknown.join('", "')}". Choose from ${BENCHMARKS.map(({ name }) => name).join(', ')}.`,
    )
  return { chosen: names.length === 0 ? BENCHMARKS : BENCHMARKS.filter(({ name }) => names.includes(name)) }
}

/** @throws Error when it is not a whole number from 1 to the most */
function readCount(option: string, text: string | undefined, most: number): number | undefined {
  if (text === undefined) return undefined
  if (!/^[1-9]\d*$/.test(text) || Number(text) > most)
    throw new Error(`${option} takes a whole number from 1 to ${most}, not "${text}".`)
  return Number(text)
}

function helpText(): string {
  const list = BENCHMARKS.map(
    ({ name, summary, defaultRuns }) => `  ${name.padEnd(14)} ${summary} (${defaultRuns} runs)\n`,
  )
  return [
    'Usage: npm run bench -- [NAME …] [--runs N] [--tenants N] [--quick]\n\n',
    'Measures and prints one JSON object a benchmark, {"name", "metrics"}, on standard output; progress and a table\n',
    'with the aims go to standard error. Without a name, all of them. `npm run --silent bench` prints the JSON alone.\n',
    'The exit code is 0 unless something is wrong: a missed aim is not, a lost tenant is.\n\n',
    ...list,
    '\n  --runs N   measure N times and print medians\n',
    '  --tenants N  for growth: how many the side of the many has (default 300000)\n',
    '  --quick    a few operations only, to see that it works; the figures mean nothing\n',
  ].join('')
}

/** One after the other, since each wants the machine for itself. @returns the exit code */
async function runAll({ chosen, runs, tenants, quick }: Wanted): Promise<number> {
  const signal = stopSignal()
  let exitCode = 0
  for (const benchmark of chosen) {
    const startedAt = performance.now()
    const options: BenchmarkOptions = {
      runs: runs ?? (quick ? 1 : benchmark.defaultRuns),
      quick,
      ...(tenants === undefined ? {} : { tenants }),
      signal,
      progress: (what) => console.error(`… ${benchmark.name}: ${what}`),
    }
    const measurement = await benchmark.run(options)
    printMeasurement(benchmark, measurement, performance.now() - startedAt)
    if (measurement.problems?.length) exitCode = 1
  }
  return exitCode
}

/** A first Ctrl-C ends the benchmark in order, so that no server and no file is left; a second one at once. */
function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(name, () => controller.abort(new Error('Interrupted.')))
  return controller.signal
}
