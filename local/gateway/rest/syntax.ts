import { badRequest, notImplemented } from './errors.ts'

/** A column, or a value inside a JSON column: `column->key->>key`. */
export interface Field {
  readonly column: string
  readonly path: readonly { readonly arrow: '->' | '->>'; readonly key: string }[]
}

export interface SelectItem {
  readonly field: Field | '*'
  readonly alias: string | undefined
  readonly cast: string | undefined
}

export interface Condition {
  readonly kind: 'condition'
  readonly field: Field
  readonly negated: boolean
  readonly operator: string
  readonly value: string
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
  readonly direction: 'asc' | 'desc' | undefined
  readonly nulls: 'first' | 'last' | undefined
}

export function parseSelect(text: string): SelectItem[] {
  return splitTopLevel(text).map((item) => {
    if (item === '*') return { field: '*', alias: undefined, cast: undefined }
    if (/[()]/.test(withoutQuoted(item)))
      throw notImplemented(`embedding or aggregates in select ("${item}")`)
    const [, alias, rest = ''] = /^(?:("[^"]*"|[^:"]+):(?!:))?(.+)$/s.exec(item) ?? []
    const [fieldText = '', cast, ...more] = rest.split('::')
    // It goes into the statement as it is, so it may hold nothing but the words of a type's name.
    if (more.length > 0 || (cast !== undefined && !/^[A-Za-z_][\w ]*(\[\])?$/.test(cast)))
      throw badRequest(`"failed to parse select parameter (${text})"`)
    return { field: parseField(fieldText), alias: alias === undefined ? undefined : unquoted(alias), cast }
  })
}

export function parseOrder(text: string): OrderTerm[] {
  return splitTopLevel(text).map((term) => {
    if (/[()]/.test(withoutQuoted(term))) throw notImplemented(`ordering by an embedded resource ("${term}")`)
    const [, fieldText = '', direction, nulls] =
      /^(.+?)(?:\.(asc|desc))?(?:\.nulls(first|last))?$/s.exec(term) ?? []
    return {
      field: parseField(fieldText),
      direction: direction === 'asc' || direction === 'desc' ? direction : undefined,
      nulls: nulls === 'first' || nulls === 'last' ? nulls : undefined,
    }
  })
}

/** One filter out of the query string, `column=eq.value` or `or=(…)`. */
export function parseFilter(name: string, value: string): Filter {
  const junction = /^(not\.)?(and|or)$/.exec(name)
  if (junction) return parseGroup(junction[2] === 'or' ? 'or' : 'and', junction[1] !== undefined, value)
  return { kind: 'condition', field: parseField(name), ...parseOperation(value) }
}

export function parseField(text: string): Field {
  const parts = text.split(/(->>|->)/)
  const column = unquoted(parts[0] ?? '')
  if (column === '') throw badRequest(`"failed to parse column name (${text})"`)
  const path: { arrow: '->' | '->>'; key: string }[] = []
  for (let index = 1; index < parts.length; index += 2) {
    const key = unquoted(parts[index + 1] ?? '')
    if (key === '') throw badRequest(`"failed to parse json path (${text})"`)
    path.push({ arrow: parts[index] === '->>' ? '->>' : '->', key })
  }
  return { column, path }
}

/** The members of `(a,"b,c",d)`. */
export function parseList(text: string): string[] {
  const inner = parenthesised(text)
  return inner === '' ? [] : splitTopLevel(inner).map(unquoted)
}

function parseGroup(junction: 'and' | 'or', negated: boolean, text: string): Group {
  const members = splitTopLevel(parenthesised(text)).map(parseMember)
  return { kind: 'group', junction, negated, members }
}

function parseMember(text: string): Filter {
  const group = /^(not\.)?(and|or)(\(.*\))$/s.exec(text)
  if (group) return parseGroup(group[2] === 'or' ? 'or' : 'and', group[1] !== undefined, group[3] ?? '')
  const [, fieldText = '', operation = ''] = /^((?:"[^"]*"|[^".])+)\.(.*)$/s.exec(text) ?? []
  const { value, ...rest } = parseOperation(operation)
  return { kind: 'condition', field: parseField(fieldText), ...rest, value: unquoted(value) }
}

function parseOperation(text: string): { negated: boolean; operator: string; value: string } {
  const [, not, operator, value = ''] = /^(not\.)?([a-z]+(?:\([^)]*\))?)\.(.*)$/s.exec(text) ?? []
  if (operator === undefined)
    throw badRequest(`"failed to parse filter (${text})"`, 'A filter has the form column=operator.value')
  return { negated: not !== undefined, operator, value }
}

function parenthesised(text: string): string {
  const inner = /^\((.*)\)$/s.exec(text)?.[1]
  if (inner === undefined)
    throw badRequest(`"failed to parse list (${text})"`, 'It must stand in parentheses')
  return inner
}

/** Splits at commas outside quotes, parentheses and braces. */
function splitTopLevel(text: string): string[] {
  const parts: string[] = []
  let part = ''
  let depth = 0
  let quoted = false
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index)
    if (quoted && character === '\\') {
      part += character + text.charAt(++index)
      continue
    }
    if (character === '"') quoted = !quoted
    else if (!quoted && '({'.includes(character)) depth++
    else if (!quoted && ')}'.includes(character)) depth--
    if (character === ',' && !quoted && depth === 0) {
      parts.push(part)
      part = ''
    } else part += character
  }
  if (quoted || depth !== 0)
    throw badRequest(`"failed to parse list (${text})"`, 'A quote or bracket is not closed')
  return [...parts, part].map((each) => each.trim())
}

function withoutQuoted(text: string): string {
  return text.replaceAll(/"[^"]*"/g, '')
}

function unquoted(text: string): string {
  return /^".*"$/s.test(text) ? text.slice(1, -1).replaceAll(/\\(.)/gs, '$1') : text
}
