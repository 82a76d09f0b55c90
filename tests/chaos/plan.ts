import { dealFaults, type FaultWindow, type Tier } from './faults.ts'
import { Dice } from './random.ts'

/** What is done to the system, and when: milliseconds since the storm began. */
export type Injection =
  | { readonly type: 'kill_function'; readonly atMs: number; readonly instances: readonly number[] }
  | {
      readonly type: 'stop_function'
      readonly atMs: number
      readonly instance: number
      readonly forMs: number
      /** Or it is stopped for longer than its leases last. */
      readonly expireLeases: boolean
    }
  | { readonly type: 'restart_postgres'; readonly atMs: number; readonly downMs: number }
  | {
      readonly type: 'hold_doorbells'
      readonly atMs: number
      readonly forMs: number
      /** Shares of the doorbells that are in the queue then, in percent. */
      readonly dropPercent: number
      readonly duplicatePercent: number
      readonly salt: string
    }
  | { readonly type: 'stop_cron'; readonly atMs: number; readonly forMs: number }
  | { readonly type: 'expire_leases'; readonly atMs: number }
  | { readonly type: 'lock_wallets'; readonly atMs: number; readonly forMs: number }
  | FaultWindow

export interface PlannedSignUp {
  readonly atMs: number
  readonly email: boolean
  readonly organizationName: string
}

export interface Plan {
  readonly seed: number
  readonly stormMs: number
  /**
   * Whether the providers have their documented rate limits, and the engine its rate limits and circuit breaker. These hold
   * calls back, and with them the harm that faults and crashes do: a run without them meets more of it.
   */
  readonly guarded: boolean
  readonly signUps: readonly PlannedSignUp[]
  /** What is in one lane happens one after the other, the lanes side by side. */
  readonly lanes: readonly (readonly Injection[])[]
}

export const INSTANCES = 2
/** About what passes between the beginning of a stop and the moment at which the process stands still. */
const STOP_PREPARATION_MS = 4_500
/** The shortest that settings allow. */
export const LEASE_SECONDS = 45

/** More sign-ups come in storms of at most so many, one after the other: the disk does not hold all their databases. */
export const ROUND = 1_000

/** Everything that is decided by the seed: a seed names an experiment. All rounds are guarded when the first one is. */
export function makePlans(
  seed: number,
  signUps: number,
  tier: Tier = 'database',
): readonly [Plan, ...Plan[]] {
  const first = makePlan(seed, Math.min(ROUND, signUps), tier)
  const further = Array.from({ length: Math.ceil(signUps / ROUND) - 1 }, (_, index): Plan => {
    const ownSeed = new Dice(seed).fork(`round ${index + 2}`).between(0, 2 ** 32 - 1)
    const plan = makePlan(ownSeed, Math.min(ROUND, signUps - (index + 1) * ROUND), tier)
    return { ...plan, guarded: first.guarded }
  })
  return [first, ...further]
}

export function makePlan(seed: number, signUps: number, tier: Tier = 'database'): Plan {
  const dice = new Dice(seed)
  const stormMs = (tier === 'database' ? 15_000 : 9_000) + signUps * 150
  const lanes = planLanes(dice, stormMs)
  const stops = lanes
    .flat()
    .flatMap((injection) => (injection.type === 'stop_function' ? injection.atMs : []))
  return {
    seed,
    stormMs,
    guarded: dice.fork('guarded').chance(0.4),
    signUps: planSignUps(dice.fork('sign-ups'), signUps, stormMs, stops),
    lanes: [...lanes, ...planLongStops(signUps), ...dealFaults(dice, signUps, stormMs, tier)],
  }
}

/** Half of them come in bursts, so that a process that is going to be stopped has much in hand. */
function planSignUps(dice: Dice, count: number, stormMs: number, stops: readonly number[]): PlannedSignUp[] {
  return Array.from({ length: count }, () => ({
    atMs: dice.chance(0.5)
      ? dice.pick(stops) + dice.between(0, 700)
      : dice.between(0, Math.floor(stormMs * 0.9)),
    email: dice.chance(0.9),
    // Few names, so that slugs collide.
    organizationName: `Company ${dice.between(1, Math.ceil(count / 4))}`,
  }))
}

function planLanes(dice: Dice, stormMs: number): Injection[][] {
  const lane = (
    label: string,
    gapMs: readonly [number, number],
    make: (dice: Dice, atMs: number) => Injection,
  ) => spread(dice.fork(label), stormMs, gapMs, make)
  return [
    lane('kills', [3_000, 8_000], (own, atMs) => ({
      type: 'kill_function',
      atMs,
      instances: own.chance(0.2) ? [0, 1] : [own.between(0, INSTANCES - 1)],
    })),
    lane('stops', [1_500, 4_000], (own, atMs) => ({
      type: 'stop_function',
      atMs,
      instance: own.between(0, INSTANCES - 1),
      // Long enough for a sweep to find somebody else.
      forMs: own.between(3_000, 5_000),
      expireLeases: true,
    })),
    lane('restarts', [10_000, 18_000], (own, atMs) => ({
      type: 'restart_postgres',
      atMs,
      downMs: own.between(0, 1_200),
    })),
    lane('doorbells', [2_000, 4_000], (own, atMs) => ({
      type: 'hold_doorbells',
      atMs,
      forMs: own.between(200, 1_000),
      dropPercent: own.pick([30, 60, 100]),
      duplicatePercent: own.pick([0, 50, 100]),
      salt: String(own.between(0, 1_000_000)),
    })),
    lane('cron', [8_000, 15_000], (own, atMs) => ({
      type: 'stop_cron',
      atMs,
      forMs: own.between(2_000, 5_000),
    })),
    lane('leases', [2_000, 4_000], (_, atMs) => ({ type: 'expire_leases', atMs })),
    lane('locks', [12_000, 25_000], (own, atMs) => ({
      type: 'lock_wallets',
      atMs,
      forMs: own.between(2_300, 2_800),
    })),
  ]
}

function lastsMs(injection: Injection): number {
  const prepared = injection.type === 'stop_function' ? STOP_PREPARATION_MS : 0
  return prepared + ('forMs' in injection ? injection.forMs : 0)
}

/** The first one comes early, so that a short storm has one of each. */
function spread(
  dice: Dice,
  stormMs: number,
  [shortest, longest]: readonly [number, number],
  make: (dice: Dice, atMs: number) => Injection,
): Injection[] {
  const injections: Injection[] = []
  let atMs = Math.floor(dice.between(shortest, longest) * 0.4)
  while (atMs < stormMs) {
    const injection = make(dice, atMs)
    injections.push(injection)
    atMs += lastsMs(injection) + dice.between(shortest, longest)
  }
  return injections
}

/** Real time instead of backdated leases; only long runs have that time. */
function planLongStops(signUps: number): Injection[][] {
  const forMs = (LEASE_SECONDS + 3) * 1_000
  const count = Math.floor(signUps / 400)
  return [
    Array.from({ length: count }, (_, index) => ({
      type: 'stop_function',
      atMs: 8_000 + index * (forMs + 15_000),
      instance: index % INSTANCES,
      forMs,
      expireLeases: false,
    })),
  ]
}
