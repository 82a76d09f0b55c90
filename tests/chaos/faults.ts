import type { FaultAction, FaultRule } from '../../local/emulators/http/faults.ts'
import type { Dice } from './random.ts'

/** A provider misbehaves for a while. */
export interface FaultWindow {
  readonly type: 'fault'
  readonly atMs: number
  readonly forMs: number
  readonly provider: 'neon' | 'stripe'
  /** As the report counts it. */
  readonly name: string
  readonly rule: FaultRule
}

type Kind = Pick<FaultWindow, 'provider' | 'name' | 'rule'>

/** Windows of one provider at once; more would leave it no time to work. */
const LANES = 2

/**
 * A create may be delayed by this much at most. Together with the time that it takes, that must stay below what
 * leases.ts lets pass before it takes a lease for expired: see there.
 */
const CREATE_DELAY_MS = 500

const TOO_LATE = 'create acts and answers when the client has given up'

const status = (code: number, more: object = {}): FaultAction => ({ type: 'status', status: code, ...more })
const latency = (ms: number): FaultAction => ({ type: 'latency', ms })

const NEON: readonly Kind[] = [
  neon('create answers 500', 'createProject', status(500), 0.5),
  neon('create answers 503', 'createProject', status(503, { retryAfterSeconds: 1 }), 0.5),
  neon('create answers 429', 'createProject', status(429, { retryAfterSeconds: 1 }), 0.3),
  neon('create is cut off', 'createProject', { type: 'reset' }, 0.5),
  neon('create acts and loses the reply', 'createProject', { type: 'act_then_reset' }, 0.6),
  neon('create acts and loses the reply', 'createProject', { type: 'act_then_reset' }, 0.6),
  neon('create is slow', 'createProject', latency(CREATE_DELAY_MS), 0.5),
  neonReads('a read answers 503', status(503), 0.2),
  neonReads('a read answers 429', status(429, { retryAfterSeconds: 1 }), 0.15),
  neonReads('a read is cut off', { type: 'reset' }, 0.2),
  neonReads('a read takes seconds', latency(4_000), 0.3),
  neonReads('a read takes seconds', latency(4_500), 0.3),
  { provider: 'neon', name: 'outage (503 to everything)', rule: { action: status(503) } },
]

const STRIPE: readonly Kind[] = [
  stripe('create answers 500 and remembers it', 'PostCustomers', status(500, { remembered: true }), 0.5),
  stripe('create answers 500', 'PostCustomers', status(500), 0.5),
  stripe('create answers 429', 'PostCustomers', status(429, { retryAfterSeconds: 1 }), 0.3),
  stripe('create is cut off', 'PostCustomers', { type: 'reset' }, 0.5),
  stripe('create acts and loses the reply', 'PostCustomers', { type: 'act_then_reset' }, 0.6),
  stripe('create acts and loses the reply', 'PostCustomers', { type: 'act_then_reset' }, 0.6),
  stripe('create is slow', 'PostCustomers', latency(CREATE_DELAY_MS), 0.5),
  stripe('a list answers 500', 'GetCustomers', status(500), 0.2),
  stripe('a list is cut off', 'GetCustomers', { type: 'reset' }, 0.2),
  stripe('a list takes seconds', 'GetCustomers', latency(4_000), 0.3),
  stripe('a search answers 503', 'GetCustomersSearch', status(503), 0.5),
  { provider: 'stripe', name: 'outage (503 to everything)', rule: { action: status(503) } },
]

/** Clients wait 20 s for Stripe and 30 s for Neon. */
const TOO_LATE_MS = { stripe: 22_000, neon: 32_000 }

/** The client gives up, and does not hear of its success. */
const LATE_ANSWERS: readonly Kind[] = [
  once(stripe(TOO_LATE, 'PostCustomers', { type: 'act_then_wait', ms: TOO_LATE_MS.stripe })),
  once(neon(TOO_LATE, 'createProject', { type: 'act_then_wait', ms: TOO_LATE_MS.neon })),
]

/** Each costs the client's whole timeout, 20 or 30 s. */
const HANGS: readonly Kind[] = [
  once(stripe('create acts and never answers', 'PostCustomers', { type: 'act_then_hang' })),
  once(neon('create acts and never answers', 'createProject', { type: 'act_then_hang' })),
  once(stripe('create never answers', 'PostCustomers', { type: 'hang' })),
  once(neon('create never answers', 'createProject', { type: 'hang' })),
  once(neon('a read never answers', 'listProjects', { type: 'hang' })),
  ...LATE_ANSWERS,
]

function neon(name: string, operation: string, action: FaultAction, probability = 1): Kind {
  return { provider: 'neon', name, rule: { match: { operation }, action, probability } }
}

function neonReads(name: string, action: FaultAction, probability: number): Kind {
  return { provider: 'neon', name, rule: { match: { method: 'GET' }, action, probability } }
}

function stripe(name: string, operation: string, action: FaultAction, probability = 1): Kind {
  return { provider: 'stripe', name, rule: { match: { operation }, action, probability } }
}

function once(kind: Kind): Kind {
  return { ...kind, rule: { ...kind.rule, times: 1 } }
}

/** Lanes of windows. The kinds are dealt like cards, so that each has its turn before one comes again. */
export function dealFaults(dice: Dice, signUps: number, stormMs: number): FaultWindow[][] {
  const lanes = [NEON, STRIPE].flatMap((kinds, provider) =>
    Array.from({ length: LANES }, (_, lane) =>
      dealLane(dice.fork(`faults-${provider}-${lane}`), kinds, stormMs),
    ),
  )
  return [...lanes, dealHangs(dice.fork('hangs'), signUps, stormMs), ...lateAnswers(signUps, stormMs)]
}

function dealLane(dice: Dice, kinds: readonly Kind[], stormMs: number): FaultWindow[] {
  const windows: FaultWindow[] = []
  let deck: Kind[] = []
  for (let atMs = dice.between(0, 1_000); atMs < stormMs; ) {
    if (deck.length === 0) deck = dice.shuffled(kinds)
    const kind = deck.pop()
    if (!kind) break
    const forMs = dice.between(800, 2_500)
    windows.push({ type: 'fault', atMs, forMs, ...kind })
    atMs += forMs + dice.between(0, 800)
  }
  return windows
}

/**
 * In a storm few processes live for as long as a client waits. So long runs have late answers again when nothing is killed
 * any more, and wait for them: to both providers at once, in lanes of their own.
 */
function lateAnswers(signUps: number, stormMs: number): FaultWindow[][] {
  if (signUps < 200) return []
  return LATE_ANSWERS.map((kind) => [
    { type: 'fault', atMs: stormMs, forMs: TOO_LATE_MS[kind.provider] + 6_000, ...kind },
  ])
}

/** One in short runs, all of them for every 200 sign-ups; never more at once than workers can spare. */
function dealHangs(dice: Dice, signUps: number, stormMs: number): FaultWindow[] {
  const rounds = Math.max(1, Math.floor(signUps / 200))
  const kinds =
    signUps < 100 ? HANGS.slice(0, 1) : Array.from({ length: rounds }, () => dice.shuffled(HANGS)).flat()
  const gapMs = (stormMs * 0.7) / kinds.length
  return kinds.map((kind, index) => ({
    type: 'fault',
    atMs: Math.floor(index * gapMs),
    forMs: Math.floor(gapMs * 0.9),
    ...kind,
  }))
}
