import type { Clock } from '../clock.ts'
import type { JournalEntry } from '../journal.ts'
import type { Customer } from './customer.ts'

export interface DeletedCustomer {
  readonly id: string
  readonly object: 'customer'
  readonly deleted: true
}

interface IndexChange {
  readonly visibleAt: number
  readonly id: string
  readonly customer: Customer | undefined
}

/** All customers, and the search index, which hears of a change only after the lag. */
export class CustomerStore {
  readonly #clock: Clock
  readonly #searchLagMs: () => number
  readonly #customers = new Map<string, Customer | DeletedCustomer>()
  /** By the number of their creation; deleted ones leave a hole. */
  readonly #order: (Customer | undefined)[] = []
  readonly #positions = new Map<string, number>()
  readonly #index = new Map<string, Customer>()
  #changes: IndexChange[] = []

  constructor(entries: readonly JournalEntry[], clock: Clock, searchLagMs: () => number) {
    this.#clock = clock
    this.#searchLagMs = searchLagMs
    for (const { type, value } of entries) {
      // Written by this class alone, so the journal is trusted to hold what it says.
      if (type === 'customer') this.#apply(value as Customer | DeletedCustomer, 0)
    }
  }

  get(id: string): Customer | DeletedCustomer | undefined {
    return this.#customers.get(id)
  }

  /** Undefined for a deleted one too. */
  live(id: string): Customer | undefined {
    const customer = this.get(id)
    return customer !== undefined && !('deleted' in customer) ? customer : undefined
  }

  apply(customer: Customer | DeletedCustomer): void {
    this.#apply(customer, this.#searchLagMs())
  }

  /** Newest first, or the other way round, from behind the named customer on. */
  *from(id: string | undefined, direction: 'older' | 'newer'): Generator<Customer> {
    const step = direction === 'older' ? -1 : 1
    const edge = direction === 'older' ? this.#order.length : -1
    const start = id === undefined ? edge : (this.#positions.get(id) ?? edge)
    for (let at = start + step; at >= 0 && at < this.#order.length; at += step) {
      const customer = this.#order[at]
      if (customer !== undefined) yield customer
    }
  }

  /** As search sees them: newest first, in the state of some time ago. */
  search(wanted: (customer: Customer) => boolean): Customer[] {
    this.#catchUp()
    const position = ({ id }: Customer) => this.#positions.get(id) ?? 0
    const found = [...this.#index.values()].filter(wanted)
    return found.sort((one, other) => position(other) - position(one))
  }

  #apply(customer: Customer | DeletedCustomer, lagMs: number): void {
    this.#customers.set(customer.id, customer)
    const position = this.#positions.get(customer.id) ?? this.#order.length
    this.#positions.set(customer.id, position)
    const live = 'deleted' in customer ? undefined : customer
    this.#order[position] = live
    this.#changes.push({ visibleAt: this.#clock() + lagMs, id: customer.id, customer: live })
  }

  #catchUp(): void {
    const now = this.#clock()
    const waiting = this.#changes.filter(({ visibleAt, id, customer }) => {
      if (visibleAt > now) return true
      if (customer === undefined) this.#index.delete(id)
      else this.#index.set(id, customer)
      return false
    })
    this.#changes = waiting
  }
}
