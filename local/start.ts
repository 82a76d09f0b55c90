import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { bold, dim, runCommand } from './command.ts'
import { readConfiguration } from './configuration.ts'
import { stackDirectory, stackFile } from './directories.ts'
import { type Stack, startStack } from './stack.ts'

/** Latencies like the real services', so that what is seen here is what will be seen there. */
const NEON_TIMINGS = { createMs: 800, operationMs: 600, wakeMs: 500, readMs: 60 }
const STRIPE_TIMINGS = { requestMs: 200, searchLagMs: 30_000 }

await runCommand(async () => {
  const startedAt = performance.now()
  const stack = await startStack({
    directory: stackDirectory,
    configuration: await readConfiguration(),
    neon: { timings: NEON_TIMINGS },
    stripe: { timings: STRIPE_TIMINGS },
    seed: true,
    watch: true,
    functionsLog: ({ function: name, text }) => console.log(dim(`[${name}] ${text}`)),
    progress: (what) => console.log(dim(`… ${what}`)),
  })
  await writeFile(stackFile, JSON.stringify({ url: stack.url, secretKey: stack.keys.secretKey }), {
    mode: 0o600,
  })
  announce(stack, performance.now() - startedAt)
  await stopSignal()
  console.log('\nStopping …')
  await Promise.race([stack.stop(), stopSignal().then(() => console.log('Stopping at once.'))])
  await rm(stackFile, { force: true })
  console.log('Stopped. The data is kept; `npm run reset` starts over.')
  // A second Ctrl-C leaves things hanging on purpose: nothing may keep the process alive then.
  process.exit(0)
})

/** Ctrl-C, or the request to end that a service manager sends. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => resolve())
  })
}

function announce(stack: Stack, tookMs: number): void {
  const rows: [string, string][] = [
    ['API', stack.url],
    ['Database', stack.databaseUrl()],
    [
      'Neon',
      stack.neon ? `${stack.neon.url} ${dim('(emulator)')}` : 'the real service (NEON_API_KEY is set)',
    ],
    [
      'Stripe',
      stack.stripe
        ? `${stack.stripe.url} ${dim('(emulator)')}`
        : 'the real service (STRIPE_SECRET_KEY is set)',
    ],
    ['Publishable key', stack.keys.publishableKey],
    ['Secret key', stack.keys.secretKey],
    ['Demo login', 'demo@example.com / demo-password'],
    ['Log of Postgres', path.relative(process.cwd(), stack.postgres.logFile)],
  ]
  console.log(`\n${bold('The local stack is ready')} ${dim(`(${(tookMs / 1000).toFixed(1)} s)`)}\n`)
  for (const [name, value] of rows) console.log(`  ${name.padEnd(16)} ${value}`)
  console.log(`\n  Sign up:   ${dim('createClient(API, PUBLISHABLE_KEY).auth.signUp({ email, password })')}`)
  console.log(
    `  Retry:     ${dim('npm run functions:invoke -- provision-tenant-resources \'{"organizationId": "…"}\'')}`,
  )
  console.log(`  Stop:      ${dim('Ctrl-C')}\n`)
}
