import { parseArgs } from 'node:util'
import { dim, green, parseUsage, red, runCommand, stopRequest } from '../../tools/command.ts'
import { type ChaosOptions, isClean, runChaos } from './chaos.ts'
import { type DeadProviderReport, runDeadProvider } from './dead-provider.ts'
import type { Tier } from './faults.ts'
import { describeRun } from './report.ts'

const HELP = `Usage: npm run chaos -- [--sign-ups N] [--seed S] [--tier T] [--json] [--log]
       npm run chaos -- --dead-provider [--sign-ups N] [--json]

Signs people up while processes are killed and stopped, Postgres crashes, doorbells get lost and providers fail in every
way they know; waits until all is quiet, and looks whether every tenant is ready, once. A seed names an experiment: what
is done, and when, follows from it alone. Exit code 1 when anything is off.

  --sign-ups N      how many (default 200, at most 10000); more than 1000 come in storms of 1000, one after the other
  --seed S          a whole number from 0 (default: another one each time)
  --tier T          database (default), or project: with Supabase, GitHub, Vercel and n8n in the place of Neon
  --json            the report as one JSON object on standard output
  --log             what the functions printed, on standard error at the end
  --dead-provider   another experiment: with the usual settings Neon answers 503 to everything for a minute while N
                    jobs wait for it; it must not be called more often than its breaker allows
`

await runCommand(async () => {
  const usage = parseUsage(HELP, readArguments)
  if (usage.help) {
    process.stdout.write(HELP)
    return 0
  }
  const { signUps, seed, tier, json } = usage
  const options: ChaosOptions = {
    signUps,
    seed,
    tier,
    signal: stopRequest(),
    progress: (what) =>
      console.error(dim(`… ${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${what}`)),
    ...(usage.log ? { functionLog: (line) => console.error(dim(line)) } : {}),
  }
  const experiment = usage.deadProvider ? deadProvider(options, json) : chaos(options, json)
  return experiment.catch((error: unknown) => {
    // Whatever was waited for ends with an error of its own then.
    options.signal.throwIfAborted()
    throw error
  })
})

function readArguments() {
  const { values } = parseArgs({
    options: {
      'sign-ups': { type: 'string', default: '200' },
      seed: { type: 'string', default: String(Date.now() % 1_000_000) },
      tier: { type: 'string', default: 'database' },
      json: { type: 'boolean', default: false },
      log: { type: 'boolean', default: false },
      'dead-provider': { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const { json, log, help } = values
  const signUps = wholeNumber('--sign-ups', values['sign-ups'], 1, 10_000)
  return {
    signUps,
    seed: wholeNumber('--seed', values.seed, 0, 2 ** 32 - 1),
    tier: tierNamed(values.tier),
    json,
    log,
    help,
    deadProvider: values['dead-provider'],
  }
}

/** @throws Error that names the argument */
function tierNamed(name: string): Tier {
  if (name === 'database' || name === 'project') return name
  throw new Error(`--tier takes database or project, not "${name}".`)
}

/** @throws Error that names the argument */
function wholeNumber(name: string, text: string, lowest: number, highest: number): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || value < lowest || value > highest)
    throw new Error(`${name} takes a whole number from ${lowest} to ${highest}, not "${text}".`)
  return value
}

async function chaos(options: ChaosOptions, json: boolean): Promise<number> {
  const report = await runChaos(options)
  console.log(json ? JSON.stringify(report) : describeRun(report))
  return isClean(report) ? 0 : 1
}

async function deadProvider(options: ChaosOptions, json: boolean): Promise<number> {
  const report = await runDeadProvider(options)
  console.log(json ? JSON.stringify(report) : describe(report))
  return isClean(report) ? 0 : 1
}

function describe({ checks, ...figures }: DeadProviderReport): string {
  const verdicts = checks.map(({ name, ok, offending }) =>
    [ok ? green('ok') : red('not ok'), name, ...offending].join('  '),
  )
  return [JSON.stringify(figures, null, 2), ...verdicts].join('\n')
}
