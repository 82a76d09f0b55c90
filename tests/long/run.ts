import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { green, parseUsage, red, runCommand, stopRequest } from '../../tools/command.ts'
import { writeRenderedCopy } from '../support/rendered-copy.ts'
import { withLoad } from './load.ts'
import { runPart } from './part.ts'

/** Files in which something races with something else: the first to fail when a wait is not triggered by what it waits for. */
const SUSPICIOUS = [
  'tests/functions/failures',
  'tests/functions/concurrency',
  'tests/functions/cancellation',
  'tests/functions/deprovision',
  'tests/functions/rotation',
  'tests/functions/stripe-customer',
  'tests/functions/n8n-workflows',
  'tests/functions/health-sleep',
  'tests/functions/alert-webhook',
  'tests/functions/graphql-progress',
  'tests/end-to-end/lost-doorbell',
  'tests/database/sign-up-trouble',
  'tests/local/pg-net',
  'tests/local/pg-cron',
]

/** Files with a worker that dies, and how far apart the places are: a move has scores of them, and takes a second or two. */
const MORTAL = [
  ['tests/functions/supabase-project', '1'],
  ['tests/functions/project-rotation', '1'],
  ['tests/functions/moves', '3'],
] as const

const HELP = `Usage: npm run test:long -- [PART …] [--sign-ups N] [--seed S] [--times N] [--file PREFIX …]

What takes too long for npm test. Without a PART all of them run, one after the other. Exit code 1 when one fails; the
others run all the same.

  chaos        npm run chaos with 10,000 sign-ups, about an hour
  chaos-project  npm run chaos with 200 tenants of the tier project, ten minutes
  repeat       test files in which something races with something else, again and again beside a load on every core
  growth       the bench of a fleet of 300,000 tenants with history
  import       100,000 users in one transaction, on a server with 60 connections
  export       that the GraphQL schema which is committed is the one that npm run tenant-graphql makes, half a minute
  samples      what npm test tries a part of: whole demos of both tiers from a private checkout, the bench of growth in small, a
               day of health checks, migrations that are cut off at more places, larger storms, scripts each in a process of its
               own, workers that die at each place, and each request of the tier project without an answer; a quarter of an hour
  console      axe on every view of the console in each of its states, and the bench of the console beside 100,000 tenants
  shapes       projects of all shapes, each with our tables in each schema that it leaves to us, two minutes; CI runs it
  schema       types and tests of the database once more, with all of ours in a schema other than public, five minutes;
               CI runs it, too

  --sign-ups N    for chaos (default 10000)
  --seed S        for chaos (default 11)
  --times N       for repeat: how often each file runs (default 20)
  --file PREFIX   for repeat: these files instead of the suspicious ones; may be given several times
`

const PARTS = [
  'chaos',
  'chaos-project',
  'repeat',
  'growth',
  'import',
  'export',
  'samples',
  'console',
  'shapes',
  'schema',
] as const
type Part = (typeof PARTS)[number]

await runCommand(async () => {
  const usage = parseUsage(HELP, readArguments)
  if (usage.help) {
    process.stdout.write(HELP)
    return 0
  }
  const signal = stopRequest()
  const failed: string[] = []
  const passes = async (...[name, ...rest]: Parameters<typeof runPart>) => {
    const ok = await runPart(name, ...rest)
    signal.throwIfAborted()
    console.error(ok ? green(`${name} passed`) : red(`${name} failed`))
    if (!ok) failed.push(name)
  }
  const run: Readonly<Record<Part, () => Promise<void>>> = {
    chaos: () =>
      passes('chaos', ['tests/chaos/run.ts', '--sign-ups', usage.signUps, '--seed', usage.seed], signal),
    'chaos-project': () =>
      passes(
        'chaos-project',
        ['tests/chaos/run.ts', '--tier', 'project', '--sign-ups', '200', '--seed', usage.seed],
        signal,
      ),
    repeat: () =>
      withLoad(async () => {
        for (let time = 1; time <= usage.times; time++)
          for (const file of usage.files)
            await passes(`${file}, run ${time} of ${usage.times}`, vitest(file), signal)
      }),
    growth: () => passes('growth', ['tests/benchmarks/run.ts', 'growth'], signal),
    import: () =>
      passes('import', vitest('tests/database/large-import'), signal, { LARGE_IMPORT_USERS: '100000' }),
    export: () => passes('export', ['tests/long/graphql-export.ts'], signal),
    samples: async () => {
      await passes('whole commands', vitest('tests/long'), signal, { LONG_TESTS: '1' })
      await passes('a day of health checks', vitest('tests/functions/health-day'), signal, {
        HEALTH_HOURS: '24',
      })
      const cutOff = ['--testNamePattern', 'a migration run that is cut off']
      await passes('cut migrations', [...vitest('tests/database/migrations'), ...cutOff], signal, {
        MIGRATION_CUTS: '2,33,66,100',
      })
      const storms = ['--testNamePattern', 'a storm']
      await passes('storms', [...vitest('tests/chaos/chaos'), ...storms], signal, {
        CHAOS_SIGN_UPS: '30,12',
      })
      const properties = [
        'tests/database/engine.property',
        'tests/functions/fuzz',
        'tests/functions/every-entry',
      ]
      for (const file of properties)
        await passes(`more runs of ${file}`, vitest(file), signal, { PROPERTY_RUNS: '200' })
      await passes('a longer attack on connections', vitest('tests/hostile/killed-backends'), signal, {
        ATTACK_SECONDS: '30',
      })
      await passes('a list of more tenants', vitest('tests/functions/graphql-tenants'), signal, {
        LISTED_TENANTS: '100000',
      })
      await passes('scripts each in a process of its own', vitest('tests/cli/usage'), signal, {
        SCRIPTS_ALONE: '1',
      })
      const anyPlace = ['--testNamePattern', 'any place|any of its lines|wherever that was']
      for (const [file, apart] of MORTAL)
        await passes(`dying workers in ${file}`, [...vitest(file), ...anyPlace], signal, {
          PLACES_APART: apart,
        })
      await passes('requests without an answer', vitest('tests/functions/unanswered-steps'), signal, {
        EVERY_REQUEST: '1',
      })
    },
    console: async () => {
      await passes('states of the console', vitest('tests/console/states'), signal, { AXE_VIEWS: 'all' })
      await passes('console of 100,000 tenants', ['tests/benchmarks/run.ts', 'console'], signal)
    },
    shapes: () => passes('shapes of projects', vitest('tests/install/shapes'), signal, { SHAPES: 'all' }),
    schema: () => withRenderedCopy((copy) => passes('schema', vitest('tests/database'), signal, {}, copy)),
  }
  for (const part of usage.parts) await run[part]()
  console.error(failed.length === 0 ? green('Everything passed.') : red(`Failed: ${failed.join('; ')}.`))
  return failed.length === 0 ? 0 : 1
})

/** Gives the work a directory with the repository for the schema `tenancy`, and removes it afterwards. */
async function withRenderedCopy(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'schema-'))
  try {
    await writeRenderedCopy(directory, 'tenancy')
    await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

function vitest(file: string): string[] {
  return ['node_modules/vitest/vitest.mjs', 'run', file]
}

function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      'sign-ups': { type: 'string', default: '10000' },
      seed: { type: 'string', default: '11' },
      times: { type: 'string', default: '20' },
      file: { type: 'string', multiple: true, default: SUSPICIOUS },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  const unknown = positionals.filter((name) => !PARTS.some((part) => part === name))
  if (unknown.length > 0)
    throw new Error(`There is no part "${unknown.join('", "')}". Choose from ${PARTS.join(', ')}.`)
  if (!/^[1-9]\d{0,3}$/.test(values.times))
    throw new Error(`--times takes a whole number from 1, not "${values.times}".`)
  return {
    parts: PARTS.filter((part) => positionals.length === 0 || positionals.includes(part)),
    signUps: values['sign-ups'],
    seed: values.seed,
    times: Number(values.times),
    files: values.file,
    help: values.help,
  }
}
