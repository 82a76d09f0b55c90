import type { Catalog, Column, Relation } from './catalog.ts'
import { notImplemented, RestError } from './errors.ts'
import type { Filter, OrderTerm, Placed } from './filter-syntax.ts'
import { findRelationship, isToOne, type Relationship } from './relationships.ts'
import type { SelectField, SelectItem, SelectRelation } from './select-syntax.ts'
import { quoted } from './sql-text.ts'

/** What a request wants to see: a relation, or rows that a function returned or a statement changed. */
export interface Source {
  readonly schema: string
  readonly name: string
  readonly columns: readonly Column[]
  /** As in the FROM clause. */
  readonly from: string
  /** What stands before its columns. */
  readonly alias: string
  /** Its rows are of the relation's own type, so that a function of that type takes them. */
  readonly isWhole: boolean
}

export interface PageRange {
  readonly offset: number
  /** At most this many rows; undefined for all. */
  readonly limit: number | undefined
}

/** A table of `select`, with the tables embedded in it and whatever the request says of its rows. */
export interface ReadNode {
  readonly source: Source
  readonly fields: readonly SelectField[]
  readonly embeds: readonly Embed[]
  readonly filters: readonly Filter[]
  readonly order: readonly OrderTerm[]
  readonly range: PageRange
}

export interface Embed extends ReadNode {
  readonly relationship: Relationship
  /** What it is called in `select`: the alias, or else the name. */
  readonly key: string
  /** Alias of its lateral subquery. */
  readonly aggregate: string
  /** Of the junction table of a many-to-many relationship. */
  readonly junctionAlias: string
  /** Rows of the parent without any of its rows are left out. */
  readonly inner: boolean
  readonly spread: boolean
}

/** The parts of a request that name their table by a path. */
export interface Modifiers {
  readonly filters: readonly Placed<Filter>[]
  readonly orders: readonly Placed<readonly OrderTerm[]>[]
  readonly ranges: readonly Placed<PageRange>[]
}

/** @throws RestError for relations that do not exist (PGRST200, 201) or were not selected (PGRST108), and more */
export function buildReadTree(
  catalog: Catalog,
  source: Source,
  items: readonly SelectItem[],
  modifiers: Modifiers,
  maxRows: number | undefined,
): ReadNode {
  return node(catalog, source, items, modifiers, maxRows, 0)
}

/** The source of a whole relation, read by its own name. */
export function relationSource(relation: Relation): Source {
  const name = `${quoted(relation.schema)}.${quoted(relation.name)}`
  return { ...relation, from: name, alias: name, isWhole: true }
}

function node(
  catalog: Catalog,
  source: Source,
  items: readonly SelectItem[],
  modifiers: Modifiers,
  maxRows: number | undefined,
  depth: number,
): ReadNode {
  const special = source.columns.find(({ hasCasts }) => hasCasts)
  if (special) throw notImplemented(`the casts of a column's domain ("${special.name}")`)
  const relations = items.filter((item) => item.kind === 'relation')
  const range = own(modifiers.ranges).at(-1) ?? { offset: 0, limit: undefined }
  const groups = relations.map((each) => modifiersFor(each, relations, modifiers))
  assertEmbedded(relations, modifiers)
  const embeds = relations.map((each, index) =>
    embed(catalog, source, each, groups[index] ?? NO_MODIFIERS, maxRows, depth + 1),
  )
  const order = own(modifiers.orders).at(-1) ?? []
  return {
    source,
    fields: items.filter((item) => item.kind === 'field'),
    embeds,
    filters: own(modifiers.filters),
    order: order.map((term) => relatedOrder(source, term, embeds)),
    range: { offset: range.offset, limit: smaller(range.limit, maxRows) },
  }
}

function embed(
  catalog: Catalog,
  parent: Source,
  wanted: SelectRelation,
  modifiers: Modifiers,
  maxRows: number | undefined,
  depth: number,
): Embed {
  const relationship = findRelationship(catalog, parent, wanted)
  const { target } = relationship
  const alias = `${target.name}_${depth}`
  if (relationship.computedBy !== undefined && !parent.isWhole)
    throw notImplemented(
      `embedding of what the function "${wanted.name}" finds, in rows that were written or returned`,
    )
  const rows =
    relationship.computedBy === undefined
      ? relationSource(target).from
      : `${relationship.computedBy}(${parent.alias}.*)`
  const source = { ...relationSource(target), from: `${rows} as ${quoted(alias)}` }
  const key = wanted.alias ?? wanted.name
  if (wanted.spread && !isToOne(relationship))
    throw new RestError(
      501,
      'LOCAL_NOT_IMPLEMENTED',
      `The local stack's Data API does not spread "${wanted.name}", of which there may be several`,
      null,
      'Embed it without the three dots.',
    )
  return {
    ...node(catalog, { ...source, alias: quoted(alias) }, wanted.items, modifiers, maxRows, depth),
    relationship,
    key,
    aggregate: `${parent.name}_${key}_${depth}`,
    junctionAlias: `${relationship.junction?.table.name ?? ''}_junction_${depth}`,
    inner: wanted.inner,
    spread: wanted.spread,
  }
}

const NO_MODIFIERS: Modifiers = { filters: [], orders: [], ranges: [] }

function own<T>(placed: readonly Placed<T>[]): T[] {
  return placed.filter(({ path }) => path.length === 0).map(({ value }) => value)
}

/** What is meant for this relation, which is the first of that name or alias. */
function modifiersFor(
  relation: SelectRelation,
  siblings: readonly SelectRelation[],
  modifiers: Modifiers,
): Modifiers {
  const below = <T>(placed: readonly Placed<T>[]) =>
    placed
      .filter(({ path }) => path[0] !== undefined && firstNamed(siblings, path[0]) === relation)
      .map(({ path, value }) => ({ path: path.slice(1), value }))
  return {
    filters: below(modifiers.filters),
    orders: below(modifiers.orders),
    ranges: below(modifiers.ranges),
  }
}

function firstNamed(relations: readonly SelectRelation[], name: string): SelectRelation | undefined {
  return relations.find((each) => each.name === name || each.alias === name)
}

function assertEmbedded(relations: readonly SelectRelation[], modifiers: Modifiers): void {
  for (const { path } of [...modifiers.filters, ...modifiers.orders, ...modifiers.ranges]) {
    if (path[0] !== undefined && !firstNamed(relations, path[0])) throw notEmbedded(path[0])
  }
}

function notEmbedded(name: string): RestError {
  return new RestError(
    400,
    'PGRST108',
    `'${name}' is not an embedded resource in this request`,
    null,
    `Verify that '${name}' is included in the 'select' query parameter.`,
  )
}

/** Puts the alias of the embedded relation in the place of its name. */
function relatedOrder(source: Source, term: OrderTerm, embeds: readonly Embed[]): OrderTerm {
  if (term.relation === undefined) return term
  const found = embeds.find(({ key }) => key === term.relation)
  if (!found) throw notEmbedded(term.relation)
  if (isToOne(found.relationship)) return { ...term, relation: found.aggregate }
  throw new RestError(
    400,
    'PGRST118',
    `A related order on '${term.relation}' is not possible`,
    `'${source.name}' and '${term.relation}' do not form a many-to-one or one-to-one relationship`,
  )
}

function smaller(one: number | undefined, other: number | undefined): number | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return Math.min(one, other)
}
