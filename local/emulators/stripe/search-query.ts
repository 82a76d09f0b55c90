import type { Customer } from './customer.ts'
import { StripeApiError } from './errors.ts'

export type CustomerPredicate = (customer: Customer) => boolean

interface Clause {
  readonly negated: boolean
  readonly field: string
  /** Only for `metadata['key']`. */
  readonly key: string | undefined
  readonly operator: string
  readonly value: string | number | null
}

const CLAUSE =
  /^(-)?\s*([a-zA-Z_]+)(?:\[\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")\s*\])?\s*(:|~|>=|<=|>|<)\s*(?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|(null|-?\d+(?:\.\d+)?))/
const CONNECTIVE = /^\s+(and|or)\s+|^\s+/i
const TEXT_FIELDS = new Set(['email', 'name', 'phone'])
const MAX_CLAUSES = 10
const MIN_SUBSTRING = 3

/**
 * Stripe's search language for customers: `email:'…'`, `name~'…'`, `metadata['key']:'value'`, `created>123`,
 * negation with `-`, joined by AND (or a blank) or by OR, never by both.
 * @throws StripeApiError 400
 */
export function parseSearchQuery(query: string): CustomerPredicate {
  const { clauses, connective } = readClauses(query.trim())
  const predicates = clauses.map(toPredicate)
  return connective === 'or'
    ? (customer) => predicates.some((matches) => matches(customer))
    : (customer) => predicates.every((matches) => matches(customer))
}

function readClauses(query: string): { clauses: Clause[]; connective: 'and' | 'or' } {
  const clauses: Clause[] = []
  const connectives = new Set<string>()
  let rest = query
  for (;;) {
    const match = CLAUSE.exec(rest)
    if (match === null) throw unparsable()
    clauses.push(toClause(match))
    rest = rest.slice(match[0].length)
    if (rest.trim() === '') break
    const joint = CONNECTIVE.exec(rest)
    if (joint === null) throw unparsable()
    connectives.add((joint[1] ?? 'and').toLowerCase())
    rest = rest.slice(joint[0].length)
  }
  if (connectives.size > 1) {
    throw invalid('You cannot combine AND and OR in the same search query.')
  }
  if (clauses.length > MAX_CLAUSES) throw invalid(`A search query may have at most ${MAX_CLAUSES} clauses.`)
  return { clauses, connective: connectives.has('or') ? 'or' : 'and' }
}

function toClause(match: RegExpExecArray): Clause {
  const [, minus, field = '', key1, key2, operator = '', text1, text2, bare] = match
  const key = key1 ?? key2
  const text = text1 ?? text2
  return {
    negated: minus !== undefined,
    field: field.toLowerCase(),
    key: key === undefined ? undefined : unescaped(key),
    operator,
    value: text !== undefined ? unescaped(text) : bare === 'null' ? null : Number(bare),
  }
}

function unescaped(text: string): string {
  return text.replace(/\\(.)/g, '$1')
}

function toPredicate(clause: Clause): CustomerPredicate {
  const matches = positivePredicate(clause)
  return clause.negated ? (customer) => !matches(customer) : matches
}

function positivePredicate(clause: Clause): CustomerPredicate {
  const { field, key } = clause
  if (field === 'created' && key === undefined) return createdPredicate(clause)
  if (field === 'metadata' && key !== undefined) {
    return textPredicate(clause, ({ metadata }) => (Object.hasOwn(metadata, key) ? metadata[key] : undefined))
  }
  if (key === undefined && TEXT_FIELDS.has(field)) {
    return textPredicate(clause, ({ email, name, phone }) => ({ email, name, phone })[field])
  }
  throw invalid(
    `Field \`${field}\` is an unsupported search field for resource \`customers\`. See https://stripe.com/docs/search#query-fields-for-customers for a list of supported fields.`,
  )
}

function textPredicate(
  { operator, value }: Clause,
  read: (customer: Customer) => string | null | undefined,
): CustomerPredicate {
  if (value === null && operator === ':') return (customer) => (read(customer) ?? null) === null
  const wanted = String(value).toLowerCase()
  if (operator === ':') return (customer) => read(customer)?.toLowerCase() === wanted
  if (operator !== '~') throw invalid(`The operator \`${operator}\` works with numbers only.`)
  if (wanted.length < MIN_SUBSTRING) {
    throw invalid(`Substring search with \`~\` needs at least ${MIN_SUBSTRING} characters.`)
  }
  return (customer) => read(customer)?.toLowerCase().includes(wanted) ?? false
}

function createdPredicate({ operator, value }: Clause): CustomerPredicate {
  const limit = Number(value)
  if (value === null || Number.isNaN(limit)) throw invalid('`created` is compared with a Unix timestamp.')
  switch (operator) {
    case '>':
      return ({ created }) => created > limit
    case '>=':
      return ({ created }) => created >= limit
    case '<':
      return ({ created }) => created < limit
    case '<=':
      return ({ created }) => created <= limit
    case ':':
      return ({ created }) => created === limit
    default:
      throw invalid('`created` has no substring search.')
  }
}

function unparsable(): StripeApiError {
  return invalid(
    'We were unable to parse your search query. Try using the format `metadata["key"]:"value"` to query for metadata or key:"value" to query for other fields.',
  )
}

function invalid(message: string): StripeApiError {
  return new StripeApiError(400, message, { param: 'query' })
}
