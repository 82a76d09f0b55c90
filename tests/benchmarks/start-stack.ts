import { startStack } from '../../local/stack.ts'
import { runCommand } from '../../tools/command.ts'
import { readConfiguration } from '../../tools/configuration.ts'
import { freePorts } from '../../tools/ports.ts'

/**
 * What `npm start` does, in the directory that is given and on free ports; says "ready" when it is, and stops when its
 * standard input ends, which is also how the end of the benchmark shows.
 */
await runCommand(async () => {
  const [directory] = process.argv.slice(2)
  if (!directory) throw new Error('Give a directory for the stack.')
  const inputEnded = new Promise<void>((resolve) => process.stdin.once('end', resolve).resume())
  const stack = await startStack({
    directory,
    configuration: {
      ...(await readConfiguration()),
      // Emulators, whatever keys there are: the real services' creations would be counted, and paid for.
      STRIPE_SECRET_KEY: undefined,
      NEON_API_KEY: undefined,
      MANAGEMENT_TOKEN: undefined,
      N8N_API_KEY: undefined,
      ...(await freePorts()),
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
