import { startStack } from '../../local/stack.ts'
import { runCommand } from '../../tools/command.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import { freePort } from '../../tools/ports.ts'

/**
 * What `npm start` does, in the directory that is given and on free ports; says "ready" when it is, and stops when its
 * standard input ends, which is also how the end of the benchmark shows.
 */
await runCommand(async () => {
  const [directory] = process.argv.slice(2)
  if (!directory) throw new Error('Give a directory for the stack.')
  const inputEnded = new Promise<void>((resolve) => process.stdin.once('end', resolve).resume())
  const [api = 0, db = 0, neon = 0, neonPostgres = 0, stripe = 0] = await Promise.all(
    Array.from({ length: 5 }, freePort),
  )
  const stack = await startStack({
    directory,
    configuration: {
      ...(await readConfiguration()),
      // Emulators, whatever keys there are: the real services' creations would be counted, and paid for.
      STRIPE_SECRET_KEY: undefined,
      NEON_API_KEY: undefined,
      LOCAL_API_PORT: api,
      LOCAL_DB_PORT: db,
      LOCAL_NEON_PORT: neon,
      LOCAL_NEON_POSTGRES_PORT: neonPostgres,
      LOCAL_STRIPE_PORT: stripe,
    },
    seed: true,
    watch: true,
    // With the time since this process started, which shows where a slow start is slow.
    progress: (what) => console.error(`  ${(performance.now() / 1000).toFixed(1)} s  ${what}`),
  })
  console.error(`  ${(performance.now() / 1000).toFixed(1)} s  ready`)
  console.log('ready')
  await inputEnded
  await stack.stop()
  // As in `npm start`: whatever still hangs may not keep the process alive.
  process.exit(0)
})
