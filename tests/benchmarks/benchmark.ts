/** Names end in their unit (`_ms`, `_s`, `_mb`, `_percent`, `_per_second`), unless they are plain counts. */
export type Metrics = Readonly<Record<string, number>>

export interface Aim {
  readonly metric: string
  readonly is: 'at most' | 'at least'
  readonly value: number
}

export interface BenchmarkOptions {
  /** How often to measure; the metrics are medians over the runs. */
  readonly runs: number
  /** A handful of operations only, to see that the benchmark works. Its figures mean nothing. */
  readonly quick: boolean
  /** For growth: how many the side of the many has. */
  readonly tenants?: number
  /** Aborted by Ctrl-C: whatever was started has to be stopped and removed. */
  readonly signal: AbortSignal
  /** Told what is being done, in a few words. */
  readonly progress: (what: string) => void
}

export interface Measurement {
  readonly metrics: Metrics
  /** What the metrics are made of, a line each, for people: it is not in the JSON. */
  readonly details?: readonly string[]
  /** What went wrong, a sentence each: a tenant that was lost is a defect, a missed aim is not. */
  readonly problems?: readonly string[]
}

export interface Benchmark {
  readonly name: string
  /** What is measured, in one line. */
  readonly summary: string
  readonly defaultRuns: number
  readonly aims: readonly Aim[]
  run(options: BenchmarkOptions): Promise<Measurement>
}

/** Rejects as soon as the signal is aborted; the work itself is not stopped by that. */
export async function interruptible<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted()
  const stopWaiting = new AbortController()
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { signal: stopWaiting.signal })
  })
  try {
    return await Promise.race([work, interrupted])
  } finally {
    stopWaiting.abort()
  }
}
