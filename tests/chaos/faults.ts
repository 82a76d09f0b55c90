import type { FaultAction, FaultRule } from '../../local/emulators/http/faults.ts'
import { GITHUB_TIMEOUT_MS } from '../../shared/services/github/client.ts'
import { N8N_TIMEOUT_MS } from '../../shared/services/n8n/client.ts'
import { NEON_TIMEOUT_MS } from '../../shared/services/neon/client.ts'
import { STRIPE_TIMEOUT_MS } from '../../shared/services/stripe/client.ts'
import { SUPABASE_TIMEOUT_MS } from '../../shared/services/supabase/api.ts'
import { VERCEL_TIMEOUT_MS } from '../../shared/services/vercel/client.ts'
import type { Dice } from './random.ts'

export type Provider = 'neon' | 'stripe' | 'supabase' | 'github' | 'vercel' | 'n8n'
/** Of all tenants of a storm; it says which providers there are. */
export type Tier = 'database' | 'project'

/** A provider misbehaves for a while. */
export interface FaultWindow {
  readonly type: 'fault'
  readonly atMs: number
  readonly forMs: number
  readonly provider: Provider
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

/** Whatever makes something is refused, cut off, slow, and done without an answer; and so is whatever is read. */
const trouble = (provider: Provider, creates: readonly string[], outage = status(503)): readonly Kind[] => {
  const rule = (name: string, match: FaultRule['match'], action: FaultAction, probability: number): Kind => ({
    provider,
    name,
    rule: { match, action, probability },
  })
  return [
    ...creates.flatMap((operation) => [
      rule(`${operation} answers 500`, { operation }, status(500), 0.5),
      rule(`${operation} answers 429`, { operation }, status(429, { retryAfterSeconds: 1 }), 0.3),
      rule(`${operation} is cut off`, { operation }, { type: 'reset' }, 0.5),
      rule(`${operation} acts and loses the reply`, { operation }, { type: 'act_then_reset' }, 0.6),
      rule(`${operation} is slow`, { operation }, latency(CREATE_DELAY_MS), 0.5),
    ]),
    rule('a read answers 503', { method: 'GET' }, status(503), 0.2),
    rule('a read is cut off', { method: 'GET' }, { type: 'reset' }, 0.2),
    { provider, name: 'outage (503 to everything)', rule: { action: outage } },
  ]
}

/** Of the tier `project`: what makes something at each provider. */
const CREATES = {
  supabase: ['v1CreateAProject'],
  github: ['repos/create-using-template', 'actions/create-repo-variable'],
  vercel: ['createProject', 'createDeployment'],
  n8n: ['createWorkflow', 'createCredential', 'createTag'],
} as const satisfies Partial<Record<Provider, readonly string[]>>

type ProjectProvider = keyof typeof CREATES
const PROJECT_PROVIDERS: readonly ProjectProvider[] = ['supabase', 'github', 'vercel', 'n8n']

/**
 * Faults that strike for certain, however few calls there are: each create once acts and loses the reply; and in the tier `project`
 * each provider once never answers, and each create is once cut off and once refused. They need no end, because they are used up. The
 * first of a list strikes first: what never answers does so while workers are still being killed, so that few wait for it as long as
 * a client does.
 */
export const CERTAIN: Readonly<Record<Tier, readonly Kind[]>> = {
  database: [
    certain('neon', 'createProject', 'acts and loses the reply', { type: 'act_then_reset' }),
    certain('stripe', 'PostCustomers', 'acts and loses the reply', { type: 'act_then_reset' }),
  ],
  project: PROJECT_PROVIDERS.flatMap((provider) => [
    certain(provider, CREATES[provider][0], 'acts and never answers', { type: 'act_then_hang' }),
    ...CREATES[provider].flatMap((operation) => [
      certain(provider, operation, 'acts and loses the reply', { type: 'act_then_reset' }),
      certain(provider, operation, 'is cut off', { type: 'reset' }),
      certain(provider, operation, 'answers 500', status(500)),
    ]),
  ]),
}

function certain(provider: Provider, operation: string, what: string, action: FaultAction): Kind {
  return once({ provider, name: `${operation} ${what}, once`, rule: { match: { operation }, action } })
}

/** What each tier has at its providers. */
const KINDS: Readonly<Record<Tier, readonly (readonly Kind[])[]>> = {
  database: [NEON, STRIPE],
  project: [
    STRIPE,
    trouble('supabase', CREATES.supabase),
    trouble('github', CREATES.github),
    trouble('vercel', CREATES.vercel),
    trouble('n8n', CREATES.n8n),
  ],
}

/** How long each provider's client waits for an answer. */
export const PATIENCE_MS: Readonly<Record<Provider, number>> = {
  neon: NEON_TIMEOUT_MS,
  supabase: SUPABASE_TIMEOUT_MS,
  stripe: STRIPE_TIMEOUT_MS,
  github: GITHUB_TIMEOUT_MS,
  vercel: VERCEL_TIMEOUT_MS,
  n8n: N8N_TIMEOUT_MS,
}

const tooLateMs = (provider: Provider): number => PATIENCE_MS[provider] + 2_000

/** The client gives up, and does not hear of its success. */
const late = (provider: Provider, operation: string): Kind =>
  once({
    provider,
    name: TOO_LATE,
    rule: { match: { operation }, action: { type: 'act_then_wait', ms: tooLateMs(provider) } },
  })
const LATE_ANSWERS: Readonly<Record<Tier, readonly Kind[]>> = {
  database: [late('stripe', 'PostCustomers'), late('neon', 'createProject')],
  project: PROJECT_PROVIDERS.map((provider) => late(provider, CREATES[provider][0])),
}

/** What never answers, and answers too late, in lanes. Each costs the client's whole timeout. */
const HANGS: Readonly<Record<Tier, readonly (readonly Kind[])[]>> = {
  database: [
    [
      once(stripe('create acts and never answers', 'PostCustomers', { type: 'act_then_hang' })),
      once(neon('create acts and never answers', 'createProject', { type: 'act_then_hang' })),
      once(stripe('create never answers', 'PostCustomers', { type: 'hang' })),
      once(neon('create never answers', 'createProject', { type: 'hang' })),
      once(neon('a read never answers', 'listProjects', { type: 'hang' })),
      ...LATE_ANSWERS.database,
    ],
  ],
  project: PROJECT_PROVIDERS.map((provider) => {
    const [operation] = CREATES[provider]
    return [
      once({
        provider,
        name: 'create never answers',
        rule: { match: { operation }, action: { type: 'hang' } },
      }),
      once({
        provider,
        name: 'a read never answers',
        rule: { match: { method: 'GET' }, action: { type: 'hang' } },
      }),
      late(provider, operation),
    ]
  }),
}

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

/** A tenant of the tier `project` has many calls to make one after another, and each provider few at a time. */
const WINDOW_MS: Readonly<Record<Tier, readonly [number, number]>> = {
  database: [800, 2_500],
  project: [3_000, 6_000],
}

/** Lanes of windows. The kinds are dealt like cards, so that each has its turn before one comes again. */
export function dealFaults(
  dice: Dice,
  signUps: number,
  stormMs: number,
  tier: Tier = 'database',
): FaultWindow[][] {
  const lanes = KINDS[tier].flatMap((kinds, provider) =>
    Array.from({ length: LANES }, (_, lane) =>
      dealLane(dice.fork(`faults-${provider}-${lane}`), kinds, stormMs, WINDOW_MS[tier]),
    ),
  )
  const hangs = HANGS[tier].map((kinds, lane) => {
    // A tier with one lane keeps the storms that its seeds have always had.
    const own = dice.fork(lane === 0 ? 'hangs' : `hangs-${lane}`)
    return dealHangs(own, kinds, signUps, stormMs)
  })
  return [...lanes, ...hangs, ...lateAnswers(LATE_ANSWERS[tier], signUps, stormMs)]
}

function dealLane(
  dice: Dice,
  kinds: readonly Kind[],
  stormMs: number,
  [shortest, longest]: readonly [number, number],
): FaultWindow[] {
  const windows: FaultWindow[] = []
  let deck: Kind[] = []
  for (let atMs = dice.between(0, 1_000); atMs < stormMs; ) {
    if (deck.length === 0) deck = dice.shuffled(kinds)
    const kind = deck.pop()
    if (!kind) break
    const forMs = dice.between(shortest, longest)
    windows.push({ type: 'fault', atMs, forMs, ...kind })
    atMs += forMs + dice.between(0, 800)
  }
  return windows
}

/**
 * In a storm few processes live for as long as a client waits. So long runs have late answers again when nothing is killed
 * any more, and wait for them: to all providers at once, in lanes of their own.
 */
function lateAnswers(kinds: readonly Kind[], signUps: number, stormMs: number): FaultWindow[][] {
  if (signUps < 200) return []
  return kinds.map((kind) => [
    { type: 'fault', atMs: stormMs, forMs: tooLateMs(kind.provider) + 6_000, ...kind },
  ])
}

/** The first in short runs, all of them for every 200 sign-ups; in a lane never more at once than workers can spare. */
function dealHangs(dice: Dice, all: readonly Kind[], signUps: number, stormMs: number): FaultWindow[] {
  const rounds = Math.max(1, Math.floor(signUps / 200))
  const kinds =
    signUps < 100 ? all.slice(0, 1) : Array.from({ length: rounds }, () => dice.shuffled(all)).flat()
  const gapMs = (stormMs * 0.7) / kinds.length
  return kinds.map((kind, index) => ({
    type: 'fault',
    atMs: Math.floor(index * gapMs),
    forMs: Math.floor(gapMs * 0.9),
    ...kind,
  }))
}
