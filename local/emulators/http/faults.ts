import { z } from 'zod'

const milliseconds = z.number().int().min(0).max(600_000)

export const faultActionSchema = z.discriminatedUnion('type', [
  /** Answers later. Several of these add up, and go with any other fault. */
  z.strictObject({ type: z.literal('latency'), ms: milliseconds }),
  /** Answers with this status and does nothing, unless `remembered`. */
  z.strictObject({
    type: z.literal('status'),
    status: z.number().int().min(400).max(599),
    retryAfterSeconds: z.number().min(0).optional(),
    /** Sent as it is; without it, an error in the provider's own shape. */
    body: z.json().optional(),
    /** Stripe only: the failure is saved under the Idempotency-Key, as one that happened during execution is. */
    remembered: z.boolean().optional(),
  }),
  /** Never answers; the client has to give up. Nothing was done. */
  z.strictObject({ type: z.literal('hang') }),
  /** Cuts the connection. Nothing was done. */
  z.strictObject({ type: z.literal('reset') }),
  /** Does what was asked, then cuts the connection instead of answering. */
  z.strictObject({ type: z.literal('act_then_reset') }),
  /** Does what was asked, then answers this much later; unlike latency, which comes before the work. */
  z.strictObject({ type: z.literal('act_then_wait'), ms: milliseconds }),
  /** Does what was asked, then never answers. */
  z.strictObject({ type: z.literal('act_then_hang') }),
])

export const faultRuleSchema = z.strictObject({
  match: z
    .strictObject({
      method: z.string().optional(),
      /** Whole path. A glob (`*` within a segment, `**` across) or, when it starts with ^, a regular expression. */
      path: z.string().refine(isPathPattern, 'is not a valid regular expression').optional(),
      /** The vendor's operation id: createProject, PostCustomers, … */
      operation: z.string().optional(),
      /** Part of the body as sent or, for a form, as decoded. */
      bodyIncludes: z.string().optional(),
    })
    .default({}),
  action: faultActionSchema,
  /** How often it strikes before it is used up; unlimited without. */
  times: z.number().int().min(1).optional(),
  /** Chance that a match is struck. The dice are seeded, so a run can be repeated. */
  probability: z.number().min(0).max(1).optional(),
  /** How many matches pass unharmed first. */
  skip: z.number().int().min(0).optional(),
})

export type FaultAction = z.infer<typeof faultActionSchema>
export type FaultRule = z.input<typeof faultRuleSchema>
/** A fault that decides how the request ends; latency only delays it. */
export type EndingFault = Exclude<FaultAction, { type: 'latency' }>

export interface FaultSubject {
  readonly method: string
  readonly path: string
  readonly operation: string | undefined
  readonly body: string
}

export interface FaultDecision {
  readonly delayMs: number
  readonly ending: EndingFault | undefined
}

export interface ActiveFault {
  readonly id: number
  readonly rule: z.output<typeof faultRuleSchema>
  /** Requests that the match described, struck or not. */
  readonly matched: number
  readonly struck: number
}

interface ArmedFault {
  readonly id: number
  readonly rule: z.output<typeof faultRuleSchema>
  readonly matches: (subject: FaultSubject) => boolean
  matched: number
  struck: number
}

/** A rule or action that was refused; the message names each field that is wrong. */
export class InvalidFaultError extends Error {
  readonly code = 'INVALID_FAULT'
}

/**
 * Decides which requests go wrong, and how. Delays of all matching rules add up; of the others the one that was
 * added first strikes. A rule whose `times` are used up is removed.
 */
export class FaultControl {
  readonly #random: () => number
  #faults: ArmedFault[] = []
  #nextId = 1

  constructor(seed = 1) {
    this.#random = seededRandom(seed)
  }

  /** @throws InvalidFaultError */
  add(rule: FaultRule): { readonly id: number } {
    return { id: this.#arm(parseFault(faultRuleSchema, rule)) }
  }

  /** Adds all of them or, when one is invalid, none. @throws InvalidFaultError */
  addAll(rules: readonly unknown[]): number[] {
    return rules.map((rule) => parseFault(faultRuleSchema, rule)).map((rule) => this.#arm(rule))
  }

  #arm(rule: z.output<typeof faultRuleSchema>): number {
    const fault = { id: this.#nextId++, rule, matches: matcher(rule.match), matched: 0, struck: 0 }
    this.#faults.push(fault)
    return fault.id
  }

  /** Removes one rule, or every one. Returns how many there were. */
  clear(id?: number): number {
    const before = this.#faults.length
    this.#faults = id === undefined ? [] : this.#faults.filter((fault) => fault.id !== id)
    return before - this.#faults.length
  }

  list(): ActiveFault[] {
    return this.#faults.map(({ id, rule, matched, struck }) => ({ id, rule, matched, struck }))
  }

  decide(subject: FaultSubject): FaultDecision {
    let delayMs = 0
    let ending: EndingFault | undefined
    for (const fault of this.#faults) {
      const { action } = fault.rule
      // A rule that could not strike anyway must not be used up.
      if (action.type !== 'latency' && ending !== undefined) continue
      if (!fault.matches(subject) || !this.#strikes(fault)) continue
      if (action.type === 'latency') delayMs += action.ms
      else ending = action
    }
    this.#faults = this.#faults.filter(({ rule, struck }) => rule.times === undefined || struck < rule.times)
    return { delayMs, ending }
  }

  #strikes(fault: ArmedFault): boolean {
    fault.matched++
    if (fault.matched <= (fault.rule.skip ?? 0)) return false
    if (fault.rule.probability !== undefined && this.#random() >= fault.rule.probability) return false
    fault.struck++
    return true
  }
}

/** @throws InvalidFaultError */
export function parseFault<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const problems = result.error.issues.map(({ path, message }) => `${path.join('.') || 'rule'}: ${message}`)
  throw new InvalidFaultError(problems.join('; '))
}

function matcher(match: z.output<typeof faultRuleSchema>['match']): (subject: FaultSubject) => boolean {
  const method = match.method?.toUpperCase()
  const path = match.path === undefined ? undefined : pathPattern(match.path)
  return (subject) =>
    (method === undefined || subject.method === method) &&
    (match.operation === undefined || subject.operation === match.operation) &&
    (path === undefined || path.test(subject.path)) &&
    (match.bodyIncludes === undefined || bodyIncludes(subject.body, match.bodyIncludes))
}

function bodyIncludes(body: string, part: string): boolean {
  if (body.includes(part)) return true
  try {
    return decodeURIComponent(body.replaceAll('+', ' ')).includes(part)
  } catch {
    return false
  }
}

function isPathPattern(pattern: string): boolean {
  try {
    pathPattern(pattern)
    return true
  } catch {
    return false
  }
}

function pathPattern(pattern: string): RegExp {
  if (pattern.startsWith('^')) return new RegExp(pattern)
  const escaped = pattern.replace(/[.+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replace(/\*+/g, (stars) => (stars.length > 1 ? '.*' : '[^/]*'))}$`)
}

/** Mulberry32: small, quick and the same on every machine. */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
