import type { Clock } from '../clock.ts'
import type { ProviderRequest, Reply } from '../http/exchange.ts'
import type { Journal } from '../journal.ts'
import { type Customer, changedCustomer, createShapes, newCustomer, updateShapes } from './customer.ts'
import type { CustomerStore, DeletedCustomer } from './customer-store.ts'
import { noSuchCustomer, StripeApiError } from './errors.ts'
import { type IdempotencyKeys, requestFingerprint } from './idempotency.ts'
import { checkParameters, type ParameterHash, parseForm, type Shapes } from './parameters.ts'
import { parseSearchQuery } from './search-query.ts'

export interface StripeApiParts {
  readonly customers: CustomerStore
  readonly keys: IdempotencyKeys
  readonly journal: Pick<Journal, 'append'>
  readonly clock: Clock
  readonly livemode: boolean
  /** Whether the account has a customer with this id in its other mode. */
  readonly isInOtherMode: (id: string) => boolean
  /** How long a request takes to execute. */
  readonly pause: () => Promise<void>
}

/** A reply and the change that comes with it; nothing has happened before both are committed together. */
interface Outcome {
  readonly reply: Reply
  readonly change?: Customer | DeletedCustomer
}

const DEFAULT_PAGE = 10
const limit = { kind: 'integer', min: 1, max: 100 } as const
const text = { kind: 'text' } as const
const range = { kind: 'integer', min: 0 } as const
const searchShapes: Shapes = { query: text, limit, page: text }

/** Performs requests whose address and key are right already. */
export class StripeApi {
  readonly #parts: StripeApiParts

  constructor(parts: StripeApiParts) {
    this.#parts = parts
  }

  /** @throws StripeApiError */
  async perform(request: ProviderRequest): Promise<Reply> {
    const parameters = parseForm(request.method === 'POST' ? request.body : request.query.toString())
    const key = request.headers['idempotency-key']
    if (request.method !== 'POST' || typeof key !== 'string') {
      await this.#parts.pause()
      return this.#commit(this.#execute(request, parameters))
    }
    return this.#performOnce(request, parameters, key)
  }

  /** For a fault: the failure is saved under the request's key as if it had happened during execution. */
  remember(request: ProviderRequest, reply: Reply): void {
    const key = request.headers['idempotency-key']
    if (typeof key !== 'string') return
    const fingerprint = requestFingerprint(request.method, request.path, parseForm(request.body))
    this.#parts.journal.append([this.#parts.keys.save(key, fingerprint, request.requestId, reply)])
  }

  async #performOnce(request: ProviderRequest, parameters: ParameterHash, key: string): Promise<Reply> {
    const { keys } = this.#parts
    const fingerprint = requestFingerprint(request.method, request.path, parameters)
    const replay = keys.take(key, fingerprint)
    if (replay !== undefined) return replay
    try {
      await this.#parts.pause()
      const outcome = this.#executeOrFail(request, parameters)
      return this.#commit(outcome, (reply) => keys.save(key, fingerprint, request.requestId, reply))
    } finally {
      keys.release(key)
    }
  }

  /** Turns a failure during execution into an outcome, since its reply is remembered as well. */
  #executeOrFail(request: ProviderRequest, parameters: ParameterHash): Outcome {
    try {
      return this.#execute(request, parameters)
    } catch (error) {
      if (!(error instanceof StripeApiError) || !error.executed) throw error
      return { reply: { status: error.status, body: error.body(request.requestId) } }
    }
  }

  /** One line of the journal for the change and for the key, so a kill cannot come between them. */
  #commit(
    { reply, change }: Outcome,
    saveKey?: (reply: Reply) => ReturnType<IdempotencyKeys['save']>,
  ): Reply {
    const entries = saveKey === undefined ? [] : [saveKey(reply)]
    if (change !== undefined) entries.push({ type: 'customer', id: change.id, value: change })
    this.#parts.journal.append(entries)
    if (change !== undefined) this.#parts.customers.apply(change)
    return reply
  }

  #execute(request: ProviderRequest, parameters: ParameterHash): Outcome {
    const id = decodeURIComponent(request.path.split('/')[3] ?? '')
    switch (request.operation) {
      case 'PostCustomers':
        return this.#create(parameters)
      case 'GetCustomers':
        return { reply: this.#list(parameters) }
      case 'GetCustomersSearch':
        return { reply: this.#search(parameters) }
      case 'GetCustomersCustomer':
        return { reply: this.#retrieve(id, parameters) }
      case 'PostCustomersCustomer':
        return this.#update(id, parameters)
      case 'DeleteCustomersCustomer':
        return this.#delete(id)
      default:
        throw new StripeApiError(
          404,
          `Unrecognized request URL (${request.method}: ${request.path}). The local Stripe emulator serves /v1/customers only.`,
        )
    }
  }

  #create(parameters: ParameterHash): Outcome {
    checkParameters(parameters, createShapes)
    const created = Math.floor(this.#parts.clock() / 1000)
    const customer = newCustomer(parameters, created, this.#parts.livemode)
    return { reply: ok(customer), change: customer }
  }

  #retrieve(id: string, parameters: ParameterHash): Reply {
    checkParameters(parameters, { expand: { kind: 'not_emulated' } })
    const customer = this.#parts.customers.get(id)
    if (customer === undefined) throw this.#noSuchCustomer(id)
    return ok(customer)
  }

  #update(id: string, parameters: ParameterHash): Outcome {
    checkParameters(parameters, updateShapes)
    const customer = this.#parts.customers.live(id)
    if (customer === undefined) throw this.#noSuchCustomer(id)
    const changed = changedCustomer(customer, parameters)
    return { reply: ok(changed), change: changed }
  }

  #delete(id: string): Outcome {
    if (this.#parts.customers.live(id) === undefined) throw this.#noSuchCustomer(id)
    const deleted: DeletedCustomer = { id, object: 'customer', deleted: true }
    return { reply: ok(deleted), change: deleted }
  }

  #list(parameters: ParameterHash): Reply {
    checkParameters(parameters, {
      limit,
      starting_after: text,
      ending_before: text,
      email: text,
      created: typeof parameters.created === 'string' ? range : { kind: 'hash', fields: RANGE_FIELDS },
      expand: { kind: 'not_emulated' },
      test_clock: { kind: 'not_emulated' },
    })
    const { starting_after: after, ending_before: before } = parameters
    if (after !== undefined && before !== undefined) {
      throw new StripeApiError(
        400,
        'You can only specify one of these parameters: starting_after, ending_before.',
      )
    }
    const wanted = listPredicate(parameters)
    const size = pageSize(parameters)
    const cursor = this.#cursor('starting_after', after) ?? this.#cursor('ending_before', before)
    const found = take(
      this.#parts.customers.from(cursor, before === undefined ? 'older' : 'newer'),
      wanted,
      size + 1,
    )
    const data = found.slice(0, size)
    return ok({
      object: 'list',
      data: before === undefined ? data : data.reverse(),
      has_more: found.length > size,
      url: '/v1/customers',
    })
  }

  #cursor(param: string, id: ParameterHash[string] | undefined): string | undefined {
    if (id === undefined) return undefined
    if (this.#parts.customers.get(String(id)) === undefined) throw this.#noSuchCustomer(String(id), param)
    return String(id)
  }

  #noSuchCustomer(id: string, param = 'id'): StripeApiError {
    const { livemode, isInOtherMode } = this.#parts
    return noSuchCustomer(id, param, isInOtherMode(id) ? { livemode } : undefined)
  }

  #search(parameters: ParameterHash): Reply {
    checkParameters(parameters, searchShapes)
    if (parameters.query === undefined) {
      throw new StripeApiError(400, 'Missing required param: query.', {
        code: 'parameter_missing',
        param: 'query',
      })
    }
    const found = this.#parts.customers.search(parseSearchQuery(String(parameters.query)))
    const start = pageStart(parameters.page)
    const end = start + pageSize(parameters)
    const hasMore = found.length > end
    return ok({
      object: 'search_result',
      data: found.slice(start, end),
      has_more: hasMore,
      next_page: hasMore ? pageToken(end) : null,
      url: '/v1/customers/search',
    })
  }
}

const RANGE_FIELDS: Shapes = { gt: range, gte: range, lt: range, lte: range }

function listPredicate({ email, created }: ParameterHash): (customer: Customer) => boolean {
  const bound = (name: string, missing: number) =>
    typeof created === 'object' && created[name] !== undefined ? Number(created[name]) : missing
  const exact = typeof created === 'string' ? Number(created) : undefined
  const above = bound('gt', Number.NEGATIVE_INFINITY)
  const from = bound('gte', Number.NEGATIVE_INFINITY)
  const below = bound('lt', Number.POSITIVE_INFINITY)
  const to = bound('lte', Number.POSITIVE_INFINITY)
  return (customer) =>
    (email === undefined || customer.email === email) &&
    (exact === undefined || customer.created === exact) &&
    customer.created > above &&
    customer.created >= from &&
    customer.created < below &&
    customer.created <= to
}

function take(
  customers: Iterable<Customer>,
  wanted: (customer: Customer) => boolean,
  count: number,
): Customer[] {
  const found: Customer[] = []
  for (const customer of customers) {
    if (wanted(customer)) found.push(customer)
    if (found.length === count) break
  }
  return found
}

function pageSize(parameters: ParameterHash): number {
  return parameters.limit === undefined ? DEFAULT_PAGE : Number(parameters.limit)
}

function pageToken(start: number): string {
  return Buffer.from(`customers:${start}`).toString('base64url')
}

function pageStart(token: ParameterHash[string] | undefined): number {
  if (token === undefined) return 0
  const start = /^customers:(\d+)$/.exec(Buffer.from(String(token), 'base64url').toString())?.[1]
  if (start === undefined) throw new StripeApiError(400, `Invalid page: ${String(token)}`, { param: 'page' })
  return Number(start)
}

function ok(body: unknown): Reply {
  return { status: 200, body }
}
