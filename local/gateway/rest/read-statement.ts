import type { Column } from './catalog.ts'
import { RestError } from './errors.ts'
import type { Condition, Filter, Operation, OrderTerm } from './filter-syntax.ts'
import type { Embed, ReadNode, Source } from './read-tree.ts'
import { isToOne } from './relationships.ts'
import type { Field } from './scanner.ts'
import type { SelectField } from './select-syntax.ts'
import { type Parameters, quoted } from './sql-text.ts'

/** The rows that a request wants, each with the rows embedded in it as JSON. */
export function readQuery(node: ReadNode, parameters: Parameters): string {
  return query(node, undefined, parameters)
}

/** One row for each that `readQuery` would return without its range. */
export function countQuery(node: ReadNode, parameters: Parameters): string {
  return existenceQuery(node, undefined, parameters)
}

export function whereClause(
  filters: readonly Filter[],
  source: Source,
  parameters: Parameters,
  embeds: readonly Embed[] = [],
): string {
  const conditions = filters.map((filter) => filterExpression(filter, source, parameters, embeds, isPresent))
  return conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`
}

/** Columns of the root table that the rows and their embeds are made of; `*` stands for all. */
export function neededColumns(node: ReadNode, primaryKey: readonly string[]): string[] | '*' {
  if (node.fields.length === 0 && node.embeds.length === 0) return '*'
  if (node.fields.some(({ field }) => field === '*')) return '*'
  const selected = node.fields.flatMap(({ field }) => (field === '*' ? [] : field.column))
  const joined = node.embeds.flatMap(({ relationship: { columns, junction } }) =>
    (junction?.toOrigin ?? columns).map(([column]) => column),
  )
  return [...new Set([...selected, ...joined, ...primaryKey])]
}

function query(node: ReadNode, parent: Source | undefined, parameters: Parameters): string {
  const isEmpty = node.fields.length === 0 && node.embeds.length === 0
  const items = isEmpty
    ? [`${node.source.alias}.*`]
    : [
        ...node.fields.map((item) => selectItem(item, node.source, parameters)),
        ...node.embeds.flatMap(embedItems),
      ]
  const joins = node.embeds.map((each) => join(each, node.source, parameters))
  const conditions = [
    ...node.filters.map((filter) =>
      filterExpression(filter, node.source, parameters, node.embeds, isPresent),
    ),
    ...joinConditions(node, parent),
  ]
  const where = conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`
  const order = orderClause(node.order, node.source, parameters)
  return `select ${items.join(', ')} from ${fromClause(node)}${joins.join('')}${where}${order}${rangeClause(node)}`
}

function rangeClause({ range: { limit, offset } }: ReadNode): string {
  return `${limit === undefined ? '' : ` limit ${limit}`}${offset === 0 ? '' : ` offset ${offset}`}`
}

function existenceQuery(node: ReadNode, parent: Source | undefined, parameters: Parameters): string {
  const exists = (each: Embed, absent: boolean) =>
    `${absent ? 'not ' : ''}exists (${existenceQuery(each, node.source, parameters)})`
  const conditions = [
    ...node.filters.map((filter) => filterExpression(filter, node.source, parameters, node.embeds, exists)),
    ...joinConditions(node, parent),
    ...node.embeds.filter(({ inner }) => inner).map((each) => exists(each, false)),
  ]
  return `select 1 from ${fromClause(node)}${conditions.length === 0 ? '' : ` where ${conditions.join(' and ')}`}`
}

function isEmbed(node: ReadNode): node is Embed {
  return 'relationship' in node
}

function fromClause(node: ReadNode): string {
  const junction = isEmbed(node) ? node.relationship.junction?.table : undefined
  if (!junction || !isEmbed(node)) return node.source.from
  const name = `${quoted(junction.schema)}.${quoted(junction.name)}`
  return `${node.source.from}, ${name} as ${quoted(node.junctionAlias)}`
}

function joinConditions(node: ReadNode, parent: Source | undefined): string[] {
  if (!parent || !isEmbed(node)) return []
  const { columns, junction } = node.relationship
  const equal = (one: string, other: string) => (pair: readonly [string, string]) =>
    `${other}.${quoted(pair[1])} = ${one}.${quoted(pair[0])}`
  if (!junction) return columns.map(equal(parent.alias, node.source.alias))
  const alias = quoted(node.junctionAlias)
  return [
    ...junction.toTarget.map(equal(node.source.alias, alias)),
    ...junction.toOrigin.map(equal(parent.alias, alias)),
  ]
}

function join(each: Embed, parent: Source, parameters: Parameters): string {
  const alias = quoted(each.aggregate)
  const rows = query(each, parent, parameters)
  const kind = each.inner ? 'inner' : 'left'
  if (isToOne(each.relationship)) return ` ${kind} join lateral (${rows}) as ${alias} on true`
  const list = `select json_agg(${alias})::jsonb as ${alias} from (${rows}) as ${alias}`
  return ` ${kind} join lateral (${list}) as ${alias} on ${each.inner ? `${alias} is not null` : 'true'}`
}

function embedItems(each: Embed): string[] {
  const alias = quoted(each.aggregate)
  if (each.spread) return outputNames(each).map((name) => `${alias}.${name === '*' ? name : quoted(name)}`)
  if (isSelectedEmpty(each)) return []
  if (isToOne(each.relationship)) return [`row_to_json(${alias}.*)::jsonb as ${quoted(each.key)}`]
  return [`coalesce(${alias}.${alias}, '[]') as ${quoted(each.key)}`]
}

/** `relation()` only filters its parent. */
function isSelectedEmpty(node: ReadNode): boolean {
  return node.fields.length === 0 && node.embeds.every(isSelectedEmpty)
}

function outputNames(node: ReadNode): string[] {
  const fields = node.fields.map((item) => (item.field === '*' ? '*' : outputName(item, item.field)))
  const embeds = node.embeds.flatMap((each) => (each.spread ? outputNames(each) : each.key))
  return [...fields, ...embeds]
}

function outputName(item: SelectField, field: Field): string {
  const key = field.path.findLast((step) => typeof step.key === 'string')?.key
  return item.alias ?? String(key ?? field.column)
}

function selectItem(item: SelectField, source: Source, parameters: Parameters): string {
  if (item.field === '*') return `${source.alias}.*`
  const text = fieldExpression(item.field, source, parameters)
  const value = item.cast === undefined ? text : `cast(${text} as ${item.cast})`
  return `${value} as ${quoted(outputName(item, item.field))}`
}

function orderClause(terms: readonly OrderTerm[], source: Source, parameters: Parameters): string {
  if (terms.length === 0) return ''
  const texts = terms.map((term) => {
    const related = term.relation === undefined ? source : relatedSource(term.relation)
    const text = fieldExpression(term.field, related, parameters)
    return `${text}${term.direction ? ` ${term.direction}` : ''}${term.nulls ? ` nulls ${term.nulls}` : ''}`
  })
  return ` order by ${texts.join(', ')}`
}

function relatedSource(aggregate: string): Source {
  return { schema: '', name: aggregate, columns: [], from: '', alias: quoted(aggregate), isWhole: false }
}

/** Whether a row of the parent has any rows of the embed (or none, if `absent`). */
type EmbedTest = (embed: Embed, absent: boolean) => string

function isPresent(embed: Embed, absent: boolean): string {
  return `${quoted(embed.aggregate)} is ${absent ? 'not ' : ''}distinct from null`
}

function filterExpression(
  filter: Filter,
  source: Source,
  parameters: Parameters,
  embeds: readonly Embed[],
  embedTest: EmbedTest,
): string {
  if (filter.kind === 'condition') {
    const embed = embeds.find(({ key }) => key === filter.field.column && filter.field.path.length === 0)
    if (embed && filter.operation.kind === 'is' && filter.operation.value === 'null')
      return embedTest(embed, !filter.negated)
    return conditionExpression(filter, source, parameters)
  }
  const members = filter.members.map((each) => filterExpression(each, source, parameters, embeds, embedTest))
  return `${filter.negated ? 'not ' : ''}(${members.join(` ${filter.junction} `)})`
}

function conditionExpression(condition: Condition, source: Source, parameters: Parameters): string {
  const { operation } = condition
  const text = fieldExpression(condition.field, source, parameters)
  const column = columnOf(condition.field, source)
  const left = operation.kind === 'search' ? searchVector(text, operation, column, parameters) : text
  const expression = `${left} ${operationExpression(operation, parameters)}`
  return condition.negated ? `not ${expression}` : expression
}

function operationExpression(operation: Operation, parameters: Parameters): string {
  switch (operation.kind) {
    case 'compare': {
      const value = parameters.bind(operation.value)
      return `${operation.operator} ${operation.quantifier ? `${operation.quantifier}(${value})` : value}`
    }
    case 'in':
      return `= any (${parameters.bind(arrayLiteral(operation.values))})`
    case 'is':
      return `is ${operation.value}`
    case 'distinct':
      return `is distinct from ${parameters.bind(operation.value)}`
    case 'search':
      return `@@ ${operation.parser}(${languageArgument(operation.language, parameters)}${parameters.bind(operation.value)})`
  }
}

function arrayLiteral(values: readonly string[]): string {
  return `{${values.map((value) => `"${value.replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}

function languageArgument(language: string | undefined, parameters: Parameters): string {
  return language === undefined ? '' : `${parameters.bind(language)}, `
}

function searchVector(
  text: string,
  operation: { readonly language: string | undefined },
  column: Column | undefined,
  parameters: Parameters,
): string {
  if (column?.isVector) return text
  return `to_tsvector(${languageArgument(operation.language, parameters)}${text})`
}

function columnOf(field: Field, source: Source): Column | undefined {
  return source.columns.find(({ name }) => name === field.column)
}

/** Whether the column exists is for Postgres to say, who also finds functions that compute one. */
function fieldExpression(field: Field, source: Source, parameters: Parameters): string {
  if (field.column === '*') throw new RestError(400, 'PGRST100', `"*" is not the name of a column`)
  const column = `${source.alias}.${quoted(field.column)}`
  if (field.path.length === 0) return column
  const type = columnOf(field, source)?.type
  const steps = field.path.map(({ arrow, key }) =>
    typeof key === 'number' ? `${arrow}${key < 0 ? `(${key})` : key}` : `${arrow}${parameters.bind(key)}`,
  )
  return `(${type === 'json' || type === 'jsonb' ? column : `to_jsonb(${column})`}${steps.join('')})`
}
