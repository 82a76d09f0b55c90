import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { services } from '../shared/services/registry.ts'
import { bold, dim, runCommand, stopRequest, withoutArguments } from '../tools/command.ts'
import { readConfiguration } from '../tools/configuration.ts'
import { ensureConsole } from '../tools/console/build.ts'
import { makeLocal } from '../tools/local-directory.ts'
import { PORT_USES } from '../tools/ports.ts'
import { stackDirectory, stackFile } from '../tools/stack-directory.ts'
import { type ConsoleServer, startConsole } from './console.ts'
import { isEmulated } from './emulators/registry.ts'
import { isTrouble, logLine } from './log-line.ts'
import { type Stack, startStack } from './stack.ts'

/** Latencies like the real services', so that what is seen here is what will be seen there. */
const NEON_TIMINGS = { createMs: 800, operationMs: 600, wakeMs: 500, readMs: 60 }
const STRIPE_TIMINGS = { requestMs: 200, searchLagMs: 30_000 }

const HELP = `npm start

Starts the local stack, and prints its addresses, keys and a demo login. Ctrl-C stops it; the data is kept.
Ports and the directory of the data are set in .env (see .env.example).`

await runCommand(
  withoutArguments(HELP, async () => {
    const startedAt = performance.now()
    const stop = stopRequest()
    const configuration = await readConfiguration()
    const directory = stackDirectory(configuration)
    await makeLocal(directory, path.dirname(directory))
    const stack = await startStack({
      directory,
      configuration,
      neon: { timings: NEON_TIMINGS },
      stripe: { timings: STRIPE_TIMINGS },
      seed: true,
      watch: true,
      otherPorts: [[configuration.LOCAL_CONSOLE_PORT, PORT_USES.console]],
      functionsLog: (line) => {
        if (isTrouble(line)) console.log(logLine(line))
      },
      progress: (what) => console.log(dim(`… ${what}`)),
      signal: stop,
    })
    const runningFile = stackFile(configuration)
    await writeFile(runningFile, JSON.stringify({ url: stack.url, secretKey: stack.keys.secretKey }), {
      mode: 0o600,
    })
    console.log(dim('… building the console'))
    await ensureConsole()
    const pages = await startConsole(
      { url: stack.url, publishableKey: stack.keys.publishableKey },
      configuration.LOCAL_CONSOLE_PORT,
    )
    announce(stack, pages, performance.now() - startedAt)
    if (!stop.aborted) await once(stop, 'abort')
    console.log('\nStopping …')
    await rm(runningFile, { force: true })
    await pages.stop()
    await stack.stop()
    console.log('Stopped. The data is kept; `npm run reset` starts over.')
    return 0
  }),
)

function announce(stack: Stack, pages: ConsoleServer, tookMs: number): void {
  const rows: [string, string][] = [
    ['Console', pages.url],
    ['API', stack.url],
    ['Database', stack.databaseUrl()],
    ...services.map(({ name, label, secret }): [string, string] => {
      const emulator = isEmulated(name) ? stack[name] : undefined
      return [
        label,
        emulator ? `${emulator.url} ${dim('(emulator)')}` : `the real service (${secret} is set)`,
      ]
    }),
    ['Mail', `${stack.url}/mail ${dim('(what Auth would send)')}`],
    ['Publishable key', stack.keys.publishableKey],
    ['Secret key', stack.keys.secretKey],
    ['Demo login', 'demo@example.com / demo-password'],
    ['Log of Postgres', shortPath(stack.postgres.logFile)],
  ]
  console.log(`\n${bold('The local stack is ready')} ${dim(`(${(tookMs / 1000).toFixed(1)} s)`)}\n`)
  for (const [name, value] of rows) console.log(`  ${name.padEnd(16)} ${value}`)
  console.log(`\n  Sign up:   ${dim('createClient(API, PUBLISHABLE_KEY).auth.signUp({ email, password })')}`)
  console.log(
    `  Retry:     ${dim('npm run functions:invoke -- provision-tenant-resources \'{"organizationId": "…"}\'')}`,
  )
  console.log(`  Stop:      ${dim('Ctrl-C')}\n`)
}

function shortPath(file: string): string {
  const relative = path.relative(process.cwd(), file)
  return relative.startsWith('..') ? file : relative
}
