import type { Columns } from './catalog.ts'
import { badRequest, notImplemented, RestError } from './errors.ts'
import {
  type Condition,
  type Field,
  type Filter,
  type OrderTerm,
  parseList,
  type SelectItem,
} from './syntax.ts'

/** Values of a statement in the making; each is sent apart from the text, never inside it. */
export class Parameters {
  readonly values: string[] = []
  bind(value: string): string {
    this.values.push(value)
    return `$${this.values.length}::text`
  }
}

/** What a request reads from: a relation, or the rows that a function returned. */
export interface Source {
  /** For error messages. */
  readonly name: string
  readonly columns: Columns
  /** Quoted, as in the FROM clause. */
  readonly alias: string
}

export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}

export function selectList(items: readonly SelectItem[], source: Source, parameters: Parameters): string {
  return items
    .map(({ field, alias, cast }) => {
      if (field === '*') return `${source.alias}.*`
      const { text } = fieldExpression(field, source, parameters)
      const name = alias ?? field.path.findLast(({ key }) => !isIndex(key))?.key ?? field.column
      return `${cast === undefined ? text : `cast(${text} as ${cast})`} as ${quoted(name)}`
    })
    .join(', ')
}

export function whereClause(filters: readonly Filter[], source: Source, parameters: Parameters): string {
  if (filters.length === 0) return ''
  return ` where ${filters.map((filter) => filterExpression(filter, source, parameters)).join(' and ')}`
}

export function orderClause(terms: readonly OrderTerm[], source: Source, parameters: Parameters): string {
  if (terms.length === 0) return ''
  const texts = terms.map(({ field, direction, nulls }) => {
    const { text } = fieldExpression(field, source, parameters)
    return `${text}${direction ? ` ${direction}` : ''}${nulls ? ` nulls ${nulls}` : ''}`
  })
  return ` order by ${texts.join(', ')}`
}

function filterExpression(filter: Filter, source: Source, parameters: Parameters): string {
  if (filter.kind === 'condition') {
    const text = conditionExpression(filter, source, parameters)
    return filter.negated ? `not (${text})` : text
  }
  const members = filter.members.map((member) => filterExpression(member, source, parameters))
  return `${filter.negated ? 'not ' : ''}(${members.join(` ${filter.junction} `)})`
}

const comparisons: Readonly<Record<string, string>> = {
  eq: '=',
  neq: '<>',
  gt: '>',
  gte: '>=',
  lt: '<',
  lte: '<=',
  cs: '@>',
  cd: '<@',
  ov: '&&',
  isdistinct: 'is distinct from',
}
const patterns: Readonly<Record<string, string>> = { like: 'like', ilike: 'ilike', match: '~', imatch: '~*' }
const isValues = new Set(['null', 'not_null', 'true', 'false', 'unknown'])
const missingOperators = /^(fts|plfts|phfts|wfts|sl|sr|nxr|nxl|adj)\b|\((any|all)\)$/

function conditionExpression(condition: Condition, source: Source, parameters: Parameters): string {
  const { operator, value } = condition
  const { text, type } = fieldExpression(condition.field, source, parameters)
  const bindTyped = (each: string) => `cast(${parameters.bind(each)} as ${type})`
  const comparison = comparisons[operator]
  if (comparison) return `${text} ${comparison} ${bindTyped(value)}`
  const pattern = patterns[operator]
  if (pattern) {
    const isLike = operator.endsWith('like')
    return `${text} ${pattern} ${parameters.bind(isLike ? value.replaceAll('*', '%') : value)}`
  }
  if (operator === 'in') {
    const list = parseList(value).map(bindTyped)
    return list.length === 0 ? 'false' : `${text} in (${list.join(', ')})`
  }
  if (operator === 'is' && isValues.has(value.toLowerCase()))
    return `${text} is ${value.toLowerCase().replace('_', ' ')}`
  if (missingOperators.test(operator)) throw notImplemented(`the operator "${operator}"`)
  throw badRequest(
    `"failed to parse filter (${operator}.${value})"`,
    `unknown operator or value "${operator}"`,
  )
}

function fieldExpression(
  field: Field,
  source: Source,
  parameters: Parameters,
): { readonly text: string; readonly type: string } {
  const type = Object.hasOwn(source.columns, field.column) ? source.columns[field.column] : undefined
  if (type === undefined)
    throw new RestError(400, '42703', `column ${source.name}.${field.column} does not exist`)
  const column = `${source.alias}.${quoted(field.column)}`
  if (field.path.length === 0) return { text: column, type }
  const isJson = type === 'json' || type === 'jsonb'
  let text = isJson ? column : `to_jsonb(${column})`
  for (const { arrow, key } of field.path) text += arrow + (isIndex(key) ? Number(key) : parameters.bind(key))
  return { text: `(${text})`, type: field.path.at(-1)?.arrow === '->>' ? 'text' : 'jsonb' }
}

function isIndex(key: string): boolean {
  return /^-?\d{1,9}$/.test(key)
}
