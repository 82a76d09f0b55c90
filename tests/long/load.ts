import { availableParallelism } from 'node:os'
import { Worker } from 'node:worker_threads'

/** Keeps every core busy while something is done: what races then loses now and again. */
export async function withLoad<T>(work: () => Promise<T>): Promise<T> {
  const burners = Array.from(
    { length: availableParallelism() },
    () => new Worker('for (;;) Math.sqrt(Math.random())', { eval: true }),
  )
  try {
    return await work()
  } finally {
    await Promise.all(burners.map((burner) => burner.terminate()))
  }
}
