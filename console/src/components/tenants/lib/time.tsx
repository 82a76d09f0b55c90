import { type ReactNode, type SyntheticEvent, useEffect, useId, useState, useSyncExternalStore } from 'react'

/** One timer for all who show the time at the same pace: a list has one in each row. */
class Ticker {
  readonly #everyMs: number
  readonly #listeners = new Set<() => void>()
  #now = Date.now()
  #timer: ReturnType<typeof setInterval> | undefined

  constructor(everyMs: number) {
    this.#everyMs = everyMs
  }

  readonly subscribe = (listener: () => void) => {
    this.#listeners.add(listener)
    this.#timer ??= setInterval(() => {
      this.#now = Date.now()
      for (const each of this.#listeners) each()
    }, this.#everyMs)
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  readonly now = () => {
    // Whoever comes between two turns must not take what has just happened for something to come.
    if (Date.now() - this.#now >= 1_000) this.#now = Date.now()
    return this.#now
  }
}

const tickers = new Map<number, Ticker>()

function tickerOf(everyMs: number): Ticker {
  const ticker = tickers.get(everyMs) ?? new Ticker(everyMs)
  tickers.set(everyMs, ticker)
  return ticker
}

const neverChanges = () => () => undefined

/** The time now, renewed every `everyMs` while `isRunning`. */
export function useNow(everyMs: number, isRunning = true): number {
  const ticker = tickerOf(everyMs)
  return useSyncExternalStore(isRunning ? ticker.subscribe : neverChanges, ticker.now)
}

const exact = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' })
const short = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'short' })
const day = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' })
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' })

const UNITS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
]

interface Place {
  readonly left: number
  readonly top: number
}

/** The width of the exact time, with some room. */
const EXACT_PX = 340

/** A time with the exact one for a pointer over it, and for whoever comes to it with the keyboard. */
function Time({ at, children }: { readonly at: string; readonly children: ReactNode }) {
  const id = useId()
  const [place, setPlace] = useState<Place>()
  const show = ({ currentTarget }: SyntheticEvent<HTMLElement>) => {
    const { left, bottom } = currentTarget.getBoundingClientRect()
    setPlace({ left: Math.max(8, Math.min(left, window.innerWidth - EXACT_PX)), top: bottom + 4 })
  }
  const hide = () => setPlace(undefined)
  const isShown = place !== undefined
  useEffect(() => {
    if (!isShown) return
    const close = () => setPlace(undefined)
    // It would stay where the time has been.
    window.addEventListener('scroll', close, { capture: true, once: true })
    return () => window.removeEventListener('scroll', close, { capture: true })
  }, [isShown])
  return (
    <>
      <time
        dateTime={at}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the exact time is for those without a pointer, too
        tabIndex={0}
        aria-describedby={isShown ? id : undefined}
        onMouseEnter={show}
        onMouseLeave={hide}
        onFocus={show}
        onBlur={hide}
        onKeyDown={({ key }) => key === 'Escape' && hide()}
      >
        {children}
      </time>
      {place ? (
        <span
          id={id}
          role="tooltip"
          // Above everything, and cut off by nothing that scrolls.
          popover="manual"
          ref={(element) => element?.showPopover()}
          style={place}
          className="fixed m-0 rounded-md border bg-card px-2.5 py-1.5 text-xs whitespace-nowrap text-foreground shadow-lg"
        >
          {exact.format(new Date(at))}
        </span>
      ) : null}
    </>
  )
}

/** A moment relative to now, in the zone of whoever looks; the exact time on hover and focus. */
export function Ago({ at }: { readonly at: string }) {
  const now = useNow(10_000)
  const moment = new Date(at).getTime()
  // What has just come may be newer than the last renewal, and is not in the future for that.
  return <Time at={at}>{relativeTo(moment, Math.max(now, Math.min(moment, Date.now())))}</Time>
}

/** A moment with its date, in the zone of whoever looks; the exact time on hover and focus. */
export function Moment({ at }: { readonly at: string }) {
  return <Time at={at}>{short.format(new Date(at))}</Time>
}

/** What stands at both ends of a scale: hours where it is not longer than two days, and days otherwise. */
export function endsOf(from: number, to: number): readonly [string, string] {
  const { format } = to - from <= 172_800_000 ? clock : day
  return [format(from), format(to)]
}

function relativeTo(at: number, now: number): string {
  const difference = at - now
  if (Math.abs(difference) < 5_000) return 'just now'
  const [unit, ms] = UNITS.find(([, size]) => Math.abs(difference) >= size) ?? (['second', 1_000] as const)
  return relative.format(Math.trunc(difference / ms), unit)
}

/** `850 ms`, `4.2 s`, `3 min 5 s`, `6 h`, `7 days`. */
export function duration(ms: number): string {
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`
  if (ms < 10_000) return `${(ms / 1_000).toFixed(1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return inParts([Math.floor(seconds / 60), 'min'], [seconds % 60, 's'])
  if (seconds < 172_800)
    return inParts([Math.floor(seconds / 3_600), 'h'], [Math.floor((seconds % 3_600) / 60), 'min'])
  return `${Math.round(seconds / 86_400)} days`
}

function inParts(...parts: readonly (readonly [number, string])[]): string {
  return parts
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ')
}
