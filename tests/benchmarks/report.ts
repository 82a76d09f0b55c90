import { bold, green, red, yellow } from '../../tools/command.ts'
import type { Aim, Benchmark, Measurement, Metrics } from './benchmark.ts'

const SIGNIFICANT_DIGITS = 5

/**
 * The JSON object on standard output, for programs; a table with the aims on standard error, for people.
 * @throws Error when a metric is not a finite number: JSON would turn it into null
 */
export function printMeasurement(
  benchmark: Benchmark,
  { metrics, details = [], problems = [] }: Measurement,
  tookMs: number,
): void {
  const rounded = roundAll(metrics)
  console.error(`\n${bold(benchmark.name)} — ${benchmark.summary} (${(tookMs / 1000).toFixed(0)} s)`)
  for (const [name, value] of Object.entries(rounded))
    console.error(
      `  ${name.padEnd(44)} ${String(value).padStart(10)}  ${verdict(benchmark.aims, name, value)}`,
    )
  for (const detail of details) console.error(`  ${detail}`)
  for (const problem of problems) console.error(red(`  ✗ ${problem}`))
  console.error('')
  console.log(JSON.stringify({ name: benchmark.name, metrics: rounded }))
}

function roundAll(metrics: Metrics): Metrics {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => {
      if (!Number.isFinite(value))
        throw new Error(`The metric ${name} could not be measured: it is ${value}.`)
      return [name, Number(value.toPrecision(SIGNIFICANT_DIGITS))]
    }),
  )
}

function verdict(aims: readonly Aim[], name: string, value: number): string {
  const aim = aims.find(({ metric }) => metric === name)
  if (!aim) return ''
  const met = aim.is === 'at most' ? value <= aim.value : value >= aim.value
  return `${met ? green('met   ') : yellow('missed')} (aim: ${aim.is} ${aim.value})`
}
