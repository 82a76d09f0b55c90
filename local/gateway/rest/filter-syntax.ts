import {
  type Field,
  field,
  fieldName,
  identifier,
  jsonPath,
  quotedValue,
  Scanner,
  separated,
} from './scanner.ts'

/** What a column is asked for. `operator` is SQL's, not PostgREST's abbreviation. */
export type Operation =
  | {
      readonly kind: 'compare'
      readonly operator: string
      readonly quantifier: 'any' | 'all' | undefined
      readonly value: string
    }
  | { readonly kind: 'in'; readonly values: readonly string[] }
  | { readonly kind: 'is'; readonly value: 'null' | 'not null' | 'true' | 'false' | 'unknown' }
  | { readonly kind: 'distinct'; readonly value: string }
  | {
      readonly kind: 'search'
      readonly parser: string
      readonly language: string | undefined
      readonly value: string
    }

export interface Condition {
  readonly kind: 'condition'
  readonly field: Field
  readonly negated: boolean
  readonly operation: Operation
}

export interface Group {
  readonly kind: 'group'
  readonly junction: 'and' | 'or'
  readonly negated: boolean
  readonly members: readonly Filter[]
}

export type Filter = Condition | Group

export interface OrderTerm {
  readonly field: Field
  /** The embedded relation whose column it is. */
  readonly relation: string | undefined
  readonly direction: 'asc' | 'desc' | undefined
  readonly nulls: 'first' | 'last' | undefined
}

/** Something for the embedded relation at the end of a path of names; the empty path is the table itself. */
export interface Placed<T> {
  readonly path: readonly string[]
  readonly value: T
}

/** One filter out of the query string: `column=eq.value`, `relation.column=eq.value`, `or=(…)`. */
export function parseFilter(name: string, value: string): Placed<Filter> {
  if (/(^|\.)(and|or)$/.test(name)) return parseGroup(name, value)
  const { path, field: column } = parsePath(name)
  const scanner = new Scanner(value, 'filter')
  const condition = operation(scanner, () => scanner.rest())
  scanner.expectEnd()
  return { path, value: { kind: 'condition', field: column, ...condition } }
}

export function parseOrder(name: string, text: string): Placed<OrderTerm[]> {
  const scanner = new Scanner(text, 'order')
  const terms = separated(scanner, () => orderTerm(scanner))
  scanner.expectEnd()
  return { path: parsePath(name).path, value: terms }
}

/** `relation.relation.column->key` */
export function parsePath(text: string): { path: string[]; field: Field } {
  const scanner = new Scanner(text, 'tree path')
  const names = [fieldName(scanner)]
  while (scanner.take('.')) names.push(fieldName(scanner))
  const path = jsonPath(scanner)
  scanner.expectEnd()
  return { path: names.slice(0, -1), field: { column: names.at(-1) ?? '', path } }
}

export function parseColumns(text: string, what: string): string[] {
  const scanner = new Scanner(text, what)
  const names = separated(scanner, () => fieldName(scanner))
  scanner.expectEnd()
  return names
}

function parseGroup(name: string, text: string): Placed<Filter> {
  const path = parsePath(name).path.filter((each) => each !== 'not')
  const junction = name.endsWith('or') ? 'or' : 'and'
  const scanner = new Scanner(text, 'logic tree')
  const members = groupMembers(scanner)
  scanner.expectEnd()
  const negated = name.split('.').includes('not')
  return { path, value: { kind: 'group', junction, negated, members } }
}

function groupMembers(scanner: Scanner): Filter[] {
  scanner.match(/[ \t]*/y)
  scanner.expect('(')
  const members = separated(scanner, () => member(scanner))
  scanner.match(/[ \t]*/y)
  scanner.expect(')')
  scanner.match(/[ \t]*/y)
  return members
}

function member(scanner: Scanner): Filter {
  scanner.match(/[ \t]*/y)
  const group = scanner.match(/(not\.)?(and|or)(?=[ \t]*\()/y)
  if (group)
    return {
      kind: 'group',
      junction: group[2] === 'or' ? 'or' : 'and',
      negated: group[1] !== undefined,
      members: groupMembers(scanner),
    }
  const column = field(scanner)
  scanner.expect('.')
  return { kind: 'condition', field: column, ...operation(scanner, () => memberValue(scanner)) }
}

function memberValue(scanner: Scanner): string {
  return (
    scanner.attempt(() => {
      const text = quotedValue(scanner)
      return scanner.atEnd || scanner.isBefore(',)') ? text : undefined
    }) ??
    scanner.match(/\{[^{}]*\}/y)?.[0] ??
    scanner.match(/[^,)]*/y)?.[0] ??
    ''
  )
}

const comparisons: Readonly<Record<string, string>> = {
  eq: '=',
  gte: '>=',
  gt: '>',
  lte: '<=',
  lt: '<',
  like: 'like',
  ilike: 'ilike',
  match: '~',
  imatch: '~*',
  neq: '<>',
  cs: '@>',
  cd: '<@',
  ov: '&&',
  sl: '<<',
  sr: '>>',
  nxr: '&<',
  nxl: '&>',
  adj: '-|-',
}
const parsers: Readonly<Record<string, string>> = {
  fts: 'to_tsquery',
  plfts: 'plainto_tsquery',
  phfts: 'phraseto_tsquery',
  wfts: 'websearch_to_tsquery',
}
const isValues = new Map<string, 'null' | 'not null' | 'true' | 'false' | 'unknown'>([
  ['null', 'null'],
  ['not_null', 'not null'],
  ['true', 'true'],
  ['false', 'false'],
  ['unknown', 'unknown'],
])

function operation(scanner: Scanner, value: () => string): { negated: boolean; operation: Operation } {
  const negated = scanner.take('not.')
  if (scanner.take('in.')) return { negated, operation: { kind: 'in', values: list(scanner) } }
  if (scanner.take('is.')) {
    const found = isValues.get(scanner.match(/[a-z_]+/iy)?.[0].toLowerCase() ?? '')
    if (!found) scanner.fail('isVal: (null, not_null, true, false, unknown)')
    return { negated, operation: { kind: 'is', value: found } }
  }
  if (scanner.take('isdistinct.')) return { negated, operation: { kind: 'distinct', value: value() } }
  const parser = scanner.match(/(?:pl|ph|w)?fts(?=[.(])/y)?.[0]
  if (parser !== undefined) {
    const language = scanner.take('(') ? identifier(scanner) : undefined
    if (language !== undefined) scanner.expect(')')
    scanner.expect('.')
    const search = { kind: 'search', parser: parsers[parser] ?? '', language, value: value() } as const
    return { negated, operation: search }
  }
  return { negated, operation: comparison(scanner, value) }
}

function comparison(scanner: Scanner, value: () => string): Operation {
  const [, name = '', quantifier] =
    scanner.match(/(eq|gte?|lte?|i?like|i?match)(?:\((any|all)\))?\./y) ??
    scanner.match(/(neq|cs|cd|ov|sl|sr|nxr|nxl|adj)\./y) ??
    []
  const operator = comparisons[name] ?? scanner.fail('operator (eq, gt, ...)')
  return {
    kind: 'compare',
    operator,
    quantifier: quantifier === 'any' || quantifier === 'all' ? quantifier : undefined,
    value: operator.endsWith('like') ? value().replaceAll('*', '%') : value(),
  }
}

function list(scanner: Scanner): string[] {
  scanner.match(/[ \t]*\([ \t]*/y) ?? scanner.fail('"("')
  const values: string[] = []
  do values.push(listElement(scanner))
  while (scanner.take(','))
  scanner.expect(')')
  // `in.()` is a list of nothing, not of an empty text.
  return values.length === 1 && values[0] === '' ? [] : values
}

function listElement(scanner: Scanner): string {
  const text = scanner.attempt(() => {
    const quoted = quotedValue(scanner)
    return scanner.isBefore(',)') ? quoted : undefined
  })
  return text ?? scanner.match(/[^,)]*/y)?.[0] ?? ''
}

function orderTerm(scanner: Scanner): OrderTerm {
  scanner.match(/[ \t]*/y)
  const related = scanner.attempt(() => {
    const name = fieldName(scanner)
    return scanner.take('(') ? name : undefined
  })
  const column = field(scanner)
  if (related !== undefined) scanner.expect(')')
  const direction = scanner.match(/\.(asc|desc)(?![a-z])/y)?.[1]
  const nulls = scanner.match(/\.nulls(first|last)(?![a-z])/y)?.[1]
  if (!scanner.atEnd && !scanner.isBefore(', \t')) scanner.fail('"asc", "desc", "nullsfirst" or "nullslast"')
  return {
    field: column,
    relation: related,
    direction: direction === 'asc' || direction === 'desc' ? direction : undefined,
    nulls: nulls === 'first' || nulls === 'last' ? nulls : undefined,
  }
}
