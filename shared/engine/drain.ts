import { log } from '../kernel/log.ts'

/** A piece of work that falls due this soon is waited for; a later one is left to the sweep. */
const WORTH_WAITING_SECONDS = 5
/** Work that is due and cannot be taken, because of a cap, is asked for again this much later, or so many times less often. */
const BLOCKED_PAUSE_MS = 500
const BLOCKED_SLOWER = 5

export interface DrainLimits {
  /** Pieces at work at once. */
  readonly concurrency: number
  /** The share of one drain, so that it ends well inside the limits of an Edge Function. */
  readonly maxPieces: number
  readonly maxSeconds: number
  /** For so long after a ring or a piece of work it looks by itself whether more has fallen due, and how often; 0 for never. */
  readonly lingerMs: number
  readonly lookAgainMs: number
}

export interface Taken {
  /** What was started. Whatever goes wrong in a piece is for the piece to handle; the drain only logs it. */
  readonly pieces: readonly Promise<void>[]
  /** Whether it is worth asking again at once. */
  readonly more: boolean
}

/** What a drain works off. It is opened anew for each drain, and may keep what belongs to that one. */
export interface Workload {
  readonly limits: DrainLimits
  /** How long further places are waited for before something is taken; a ring ends the wait. Without it, nobody waits. */
  gatherMs?(room: number): number
  /** Takes what is due, as many pieces as there is room for, and starts them. */
  take(room: number): Promise<Taken>
  /** Seconds until the next piece falls due, 0 when one is; undefined when none will. Without it nothing is waited for. */
  secondsUntilDue?(): Promise<number | undefined>
  /** Nothing more is taken; pieces may still be at work. */
  leave?(): Promise<void>
  /** Every piece has ended. */
  close?(): Promise<void>
  /** The share is used up, and there may be more to do. */
  ringSuccessor(): Promise<void>
}

export interface Drain {
  /** Starts working off what is due, or makes sure that the drain at work looks once more. Resolves when that has ended. */
  ring(): Promise<void>
}

/**
 * Works off what is due, several pieces at once. One drain in a process takes work at a time, however often it is rung. When
 * it has had its share it takes no more and rings for a successor, which does not wait for its last pieces.
 * @param open reads the limits; what it throws ends the drain
 */
export function createDrain(open: () => Promise<Workload>): Drain {
  let current: RunningDrain | undefined
  return {
    ring() {
      if (current?.takesWork()) current.ring()
      else current = startDrain(open)
      return current.ended
    },
  }
}

interface RunningDrain {
  readonly ended: Promise<void>
  takesWork(): boolean
  ring(): void
}

function startDrain(open: () => Promise<Workload>): RunningDrain {
  const events = createEvents()
  const active = new Set<Promise<void>>()
  let takesWork = true

  const start = (piece: Promise<void>) => {
    const work = piece
      .catch((error: unknown) => log.error('a piece of work ended early', {}, error))
      .finally(() => {
        active.delete(work)
        events.happened()
      })
    active.add(work)
  }

  const run = async (): Promise<void> => {
    let work: Workload | undefined
    try {
      work = await open()
      let usedUp = false
      // A ring that came after the last look, and before nothing more is taken, is heard here: no await lies in between.
      do usedUp = await takeShare(work, { active, events, start })
      while (!usedUp && events.pending())
      takesWork = false
      await work.leave?.()
      if (usedUp) await work.ringSuccessor()
    } finally {
      takesWork = false
      await Promise.all(active)
      await work?.close?.()
    }
  }

  return {
    ended: run(),
    takesWork: () => takesWork,
    ring: () => events.rang(),
  }
}

interface DrainState {
  readonly active: ReadonlySet<Promise<void>>
  readonly events: Events
  readonly start: (piece: Promise<void>) => void
}

/** @returns whether the share is used up; false when there is nothing left to do */
async function takeShare(work: Workload, { active, events, start }: DrainState): Promise<boolean> {
  const { concurrency, maxPieces, maxSeconds } = work.limits
  const deadline = performance.now() + maxSeconds * 1000
  for (let started = 0; started < maxPieces && performance.now() < deadline; ) {
    await gather(work, active, events)
    events.forget()
    const room = Math.min(concurrency - active.size, maxPieces - started)
    const { pieces, more } = room > 0 ? await work.take(room) : { pieces: [], more: false }
    for (const piece of pieces) start(piece)
    started += pieces.length
    if (pieces.length > 0) events.note()
    const goOn = more && active.size < concurrency
    if (!goOn && !(await waitForWork(work, active, events))) return false
  }
  return true
}

/** Lets more pieces end, so that as many can be taken at once. */
async function gather(work: Workload, active: ReadonlySet<Promise<void>>, events: Events): Promise<void> {
  const until = performance.now() + (work.gatherMs?.(work.limits.concurrency - active.size) ?? 0)
  for (
    let leftMs = until - performance.now();
    leftMs > 0 && !events.rung();
    leftMs = until - performance.now()
  ) {
    await events.next(leftMs)
    if (active.size === 0 || (work.gatherMs?.(work.limits.concurrency - active.size) ?? 0) === 0) return
  }
}

/** Returns when it is worth looking for work again. @returns false when nothing is at work and nothing to be waited for */
async function waitForWork(
  { limits, secondsUntilDue }: Workload,
  active: ReadonlySet<Promise<void>>,
  events: Events,
): Promise<boolean> {
  const { concurrency, lingerMs, lookAgainMs } = limits
  for (let looks = 0; !events.pending(); looks++) {
    if (active.size >= concurrency) {
      await events.next()
      return true
    }
    const seconds = await secondsUntilDue?.()
    if (events.pending()) return true
    // Due at the first look is what could not be taken just now. Later it is new.
    if (seconds === 0 && looks > 0) return true
    const lingers = events.quietForMs() < lingerMs
    const waitsMs = [
      ...(lingers ? [seconds === 0 ? lookAgainMs * BLOCKED_SLOWER : lookAgainMs] : []),
      ...(seconds !== undefined && seconds <= WORTH_WAITING_SECONDS
        ? [Math.max(seconds * 1000, BLOCKED_PAUSE_MS)]
        : []),
    ]
    if (waitsMs.length === 0 && active.size === 0) return false
    await events.next(waitsMs.length > 0 ? Math.min(...waitsMs) : undefined)
    if (seconds === 0) return true
  }
  return true
}

interface Events {
  /** Somebody has rung. */
  rang(): void
  /** A piece has ended. */
  happened(): void
  /** Work was found: more may follow soon. */
  note(): void
  /** What has happened so far is dealt with. */
  forget(): void
  /** Whether something has happened since then. */
  pending(): boolean
  /** Whether somebody has rung since then. */
  rung(): boolean
  /** Since the last ring, or the last work that was found. */
  quietForMs(): number
  /** Resolves when something happens, or after so many milliseconds. */
  next(withinMs?: number): Promise<void>
}

function createEvents(): Events {
  let pending = false
  let rung = false
  let lastSignAt = performance.now()
  let wake: () => void = () => undefined
  const happened = () => {
    pending = true
    wake()
  }
  const note = () => {
    lastSignAt = performance.now()
  }
  return {
    happened,
    note,
    rang() {
      rung = true
      note()
      happened()
    },
    forget() {
      pending = false
      rung = false
    },
    pending: () => pending,
    rung: () => rung,
    quietForMs: () => performance.now() - lastSignAt,
    next: (withinMs) =>
      new Promise((resolve) => {
        const timer = withinMs === undefined ? undefined : setTimeout(() => wake(), withinMs)
        wake = () => {
          clearTimeout(timer)
          wake = () => undefined
          resolve()
        }
      }),
  }
}
