import { setTimeout as sleep } from 'node:timers/promises'
import type { Caller } from './caller.ts'
import { Problem } from './http/problem.ts'

/** Before the same caller is refused again: whoever asks as soon as they are answered asks once in that time. */
const SLOW_DOWN_MS = 1_000
/** Callers who are being slowed down at once; more are refused at once, since each costs memory. */
const MAX_SLOWED_DOWN = 200
/** Refusals that are remembered; beyond that the database answers. */
const MAX_REMEMBERED = 10_000

/** The acts of an organization and of a user share a limit of so many seconds. What has a limit of its own has one of a day. */
const ACTS_SECONDS = 60

/** What is asked of an organization's provisioning. */
export interface Act {
  readonly organizationId: string
  readonly [wish: string]: unknown
}

interface Refusal {
  readonly problem: Problem
  readonly endsAtMs: number
}

const remembered = new Map<string, Refusal>()
let slowedDown = 0

/**
 * Does what a caller asks of an organization's provisioning. Once the database has said that it was too much, this process says
 * so by itself, and slowly, until the time is over: loops would otherwise keep its few connections and its processor busy, which
 * everybody's work goes through. @throws Problem
 */
export async function unlessJustRefused<T>(caller: Caller, act: Act, work: () => Promise<T>): Promise<T> {
  if (caller.type === 'service') return work()
  const anyAct = `${caller.userId}/${act.organizationId}`
  const suchAct = `${anyAct}/${wishesOf(act)}`
  const thisAct = `${anyAct}/${JSON.stringify(act)}`
  const refusal = refusalOf(anyAct) ?? refusalOf(suchAct) ?? refusalOf(thisAct)
  if (refusal) {
    await slowDown()
    throw again(refusal)
  }
  try {
    return await work()
  } catch (error) {
    if (error instanceof Problem) {
      // Whoever has changed a name too often today may do everything else.
      if (error.code === 'too_many_attempts')
        remember((error.retryAfterSeconds ?? 0) > ACTS_SECONDS ? suchAct : anyAct, error)
      // Other services of the same organization may be done again.
      if (error.code === 'service_just_redone') remember(thisAct, error)
    }
    throw error
  }
}

/** What is wished for, whatever it shall be. */
function wishesOf(act: Act): string {
  return Object.keys(act)
    .filter((wish) => act[wish] !== undefined)
    .sort()
    .join(' ')
}

function refusalOf(key: string): Refusal | undefined {
  const refusal = remembered.get(key)
  if (refusal === undefined || refusal.endsAtMs > Date.now()) return refusal
  remembered.delete(key)
  return undefined
}

async function slowDown(): Promise<void> {
  if (slowedDown >= MAX_SLOWED_DOWN) return
  slowedDown++
  await sleep(SLOW_DOWN_MS)
  slowedDown--
}

function again({ problem: { code, message }, endsAtMs }: Refusal): Problem {
  const seconds = Math.max(1, Math.ceil((endsAtMs - Date.now()) / 1000))
  // The seconds are the end of the sentence.
  return new Problem(code, message.replace(/\d{1,9} s\.$/, `${seconds} s.`), [], seconds)
}

function remember(key: string, problem: Problem): void {
  if (problem.retryAfterSeconds === undefined) return
  if (remembered.size >= MAX_REMEMBERED) forgetWhatIsOver()
  if (remembered.size >= MAX_REMEMBERED) return
  remembered.set(key, { problem, endsAtMs: Date.now() + problem.retryAfterSeconds * 1000 })
}

function forgetWhatIsOver(): void {
  for (const [key, { endsAtMs }] of remembered) if (endsAtMs <= Date.now()) remembered.delete(key)
}
