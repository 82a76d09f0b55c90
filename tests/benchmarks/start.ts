import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { type Benchmark, type BenchmarkOptions, interruptible } from './benchmark.ts'
import { withDirectory } from './servers.ts'
import { median } from './statistics.ts'

const require = createRequire(import.meta.url)
const program = fileURLToPath(new URL('start-stack.ts', import.meta.url))

/**
 * From spawning the program to a stack that is ready, module loading included: cold in an empty directory (binaries,
 * initdb, migrations, demo data), warm on the data of the first start. Deno's cache, which is the checkout's and not the
 * stack's, is warm both times after the very first start of all.
 */
export const start: Benchmark = {
  name: 'start',
  summary: 'from the command to a local stack that is ready',
  defaultRuns: 3,
  aims: [
    { metric: 'cold_s', is: 'at most', value: 10 },
    { metric: 'warm_s', is: 'at most', value: 5 },
  ],
  run: async (options) => {
    const cold: number[] = []
    const warm: number[] = []
    while (warm.length < options.runs) {
      options.progress(`run ${warm.length + 1} of ${options.runs}`)
      await withDirectory(async (directory) => {
        cold.push(await secondsToReady(directory, options))
        warm.push(await secondsToReady(directory, options))
      })
    }
    return { metrics: { cold_s: median(cold), warm_s: median(warm) } }
  },
}

async function secondsToReady(directory: string, { signal }: BenchmarkOptions): Promise<number> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, [require.resolve('tsx/cli'), program, directory], {
    stdio: ['pipe', 'pipe', 'inherit'],
    // Its own process group: Ctrl-C must not end it before its servers have stopped.
    detached: true,
  })
  const exited = once(child, 'exit')
  try {
    await interruptible(Promise.race([untilReady(child), refuseEarlyExit(exited)]), signal)
    return (performance.now() - startedAt) / 1000
  } finally {
    child.stdin?.end()
    await exited
  }
}

async function untilReady(child: ChildProcess): Promise<void> {
  if (!child.stdout) throw new Error('The output of the stack cannot be read.')
  for await (const line of createInterface({ input: child.stdout })) if (line === 'ready') return
}

async function refuseEarlyExit(exited: Promise<unknown[]>): Promise<never> {
  const [code] = await exited
  throw new Error(`The stack ended with exit code ${String(code)} before it was ready; it says why above.`)
}
