import { bold, dim, green, red } from '../../tools/command.ts'
import type { ChaosReport } from './chaos.ts'
import type { Check } from './checks.ts'

const SHOWN = 10

/** The report for people. */
export function describeRun(report: ChaosReport): string {
  const guards = report.guarded ? 'rate limits and breakers on' : 'no rate limits, no breakers'
  return [
    bold(`Seed ${report.seed}, ${report.signUps.asked} sign-ups, ${guards}`),
    ...section('Sign-ups', report.signUps),
    ...section('Injected', report.injected),
    ...section('How the engine met it', report.met),
    ...section('Calls to the providers', report.calls),
    bold('Checks'),
    ...report.checks.flatMap(describeCheck),
    dim(
      `Storm ${report.stormSeconds} s, then ${report.quietSeconds} s until all was quiet; ${report.seconds} s in all.`,
    ),
    '',
  ].join('\n')
}

function section(title: string, counts: Readonly<Record<string, number>>): string[] {
  return [
    bold(title),
    ...Object.entries(counts).map(([name, count]) => `  ${String(count).padStart(7)}  ${name}`),
  ]
}

function describeCheck({ name, ok, offending }: Check): string[] {
  if (ok) return [`  ${green('ok')}      ${name}`]
  const more = offending.length > SHOWN ? [`            … and ${offending.length - SHOWN} more`] : []
  return [
    `  ${red('FAILED')}  ${name}: ${offending.length}`,
    ...offending.slice(0, SHOWN).map((line) => `            ${line}`),
    ...more,
  ]
}
