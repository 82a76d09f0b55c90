import type postgres from 'postgres'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import { assertStorable } from './arguments.ts'
import { causeAsProblem } from './errors.ts'

/** A scalar SQL query for JSON. Its text is fixed; what callers say is in the JSON object that `argument` names. */
export interface Query {
  readonly name: string
  sql(argument: string): string
}

/** A query over the ids in `argument -> 'keys'`, whose result is an object by key. */
export interface KeyedQuery extends Query {
  /** The value of a key that is not in the result. */
  readonly missing: postgres.JSONValue
}

export type Options = Readonly<Record<string, postgres.JSONValue>>

interface Request {
  readonly query: Query
  readonly options: Options
  readonly keys: Set<string>
  readonly result: Promise<unknown>
  readonly settle: { resolve(value: unknown): void; reject(error: unknown): void }
}

/** More fields of one operation would be many times what a page of the console asks for. */
const MAX_REQUESTS = 60
const MAX_KEYS = 1_000
/** Each is a transaction, and may leave an entry in the audit log. */
const MAX_CALLS = 10

/**
 * Reads as the caller: provisioning.query_as becomes the caller's role with the caller's claims, so that row-level security
 * decides what there is. An operators' reader sees every tenant instead, and the database refuses it to everybody else.
 * Whatever is asked for in one tick goes to the database as one statement.
 */
export class Reader {
  readonly #sql: Database
  readonly #claims: string
  readonly #asOperator: boolean
  #waiting = new Map<string, Request>()
  #calls = 0

  constructor(sql: Database, caller: Caller, { asOperator = false } = {}) {
    this.#sql = sql
    this.#asOperator = asOperator
    this.#claims = JSON.stringify(caller.type === 'user' ? caller.claims : { role: 'service_role' })
  }

  /** @throws Problem */
  read(query: Query, options: Options = {}): Promise<unknown> {
    return this.#ask(query, options).result
  }

  /** One key's value; keys asked for in the same tick share a query. @throws Problem */
  async readOf(query: KeyedQuery, key: string, options: Options = {}): Promise<unknown> {
    const request = this.#ask(query, options)
    if (request.keys.size >= MAX_KEYS && !request.keys.has(key)) throw tooMuch(`${MAX_KEYS} ${query.name}`)
    request.keys.add(key)
    const found = await request.result
    return isObject(found) ? (found[key] ?? query.missing) : query.missing
  }

  /** In a statement and transaction of its own: for what writes, or is refused when the caller may not. @throws Problem */
  async call(query: Query, options: Options = {}): Promise<unknown> {
    assertStorable(options)
    this.#calls += 1
    if (this.#calls > MAX_CALLS) throw tooMuch(`${MAX_CALLS} times for what is written or kept secret`)
    return this.#run(`select (${query.sql('$1')})`, options)
  }

  #ask(query: Query, options: Options): Request {
    assertStorable(options)
    const name = `${query.name} ${JSON.stringify(options)}`
    const waiting = this.#waiting.get(name)
    if (waiting) return waiting
    if (this.#waiting.size >= MAX_REQUESTS) throw tooMuch(`${MAX_REQUESTS} fields`)
    if (this.#waiting.size === 0) queueMicrotask(() => void this.#flush())
    const request = newRequest(query, options)
    this.#waiting.set(name, request)
    return request
  }

  async #flush(): Promise<void> {
    const requests = [...this.#waiting.values()]
    this.#waiting = new Map()
    const columns = requests.map(({ query }, index) => `(${query.sql(`($1 -> ${index})`)})`)
    const options = requests.map(({ options: own, keys }) => ({ ...own, keys: [...keys] }))
    try {
      const results = await this.#run(`select jsonb_build_array(${columns.join(', ')})`, options)
      if (!Array.isArray(results)) throw new Error('a list of results was expected')
      for (const [index, { settle }] of requests.entries()) settle.resolve(results[index])
    } catch (error) {
      for (const { settle } of requests) settle.reject(error)
    }
  }

  async #run(query: string, argument: postgres.JSONValue): Promise<unknown> {
    try {
      const [row] = await this.#sql<{ result: unknown }[]>`
        select provisioning.query_as(${this.#claims}::text::jsonb, ${query}, ${JSON.stringify(argument)}::text::jsonb,
          ${this.#asOperator}) as result`
      return row?.result
    } catch (error) {
      throw causeAsProblem(error)
    }
  }
}

function newRequest(query: Query, options: Options): Request {
  const { promise, ...settle } = Promise.withResolvers<unknown>()
  // Whoever has asked may have been given up already by an error beside it; a rejection that nobody hears ends the process.
  promise.catch(() => undefined)
  return { query, options, keys: new Set(), result: promise, settle }
}

function tooMuch(what: string): Problem {
  return new Problem(
    'query_too_complex',
    `One operation may ask for at most ${what}. Send several operations.`,
  )
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}
