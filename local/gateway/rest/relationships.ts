import type { Catalog, ForeignKey, Relation } from './catalog.ts'
import { notImplemented, RestError } from './errors.ts'
import type { SelectRelation } from './select-syntax.ts'
import { quoted } from './sql-text.ts'

/** How rows of one table belong to those of another; the rules are PostgREST's (SchemaCache.hs, Plan.hs). */
export interface Relationship {
  readonly cardinality: 'many-to-one' | 'one-to-many' | 'one-to-one' | 'many-to-many'
  readonly target: Relation
  /** Column of the origin, column of the target; empty for many-to-many. */
  readonly columns: readonly (readonly [string, string])[]
  /** The foreign key; for many-to-many, both of the junction. */
  readonly constraints: readonly string[]
  readonly isSelf: boolean
  readonly junction: Junction | undefined
  /** The function that finds the rows, ready to be called with a row of the origin. */
  readonly computedBy?: string
}

interface Junction {
  readonly table: Relation
  /** Column of the origin, column of the junction. */
  readonly toOrigin: readonly (readonly [string, string])[]
  /** Column of the target, column of the junction. */
  readonly toTarget: readonly (readonly [string, string])[]
}

export function isToOne({ cardinality }: Relationship): boolean {
  return cardinality === 'many-to-one' || cardinality === 'one-to-one'
}

/** The one relationship that the name and hint in `select` mean. @throws RestError (PGRST200, PGRST201) */
export function findRelationship(
  catalog: Catalog,
  origin: Pick<Relation, 'schema' | 'name'>,
  wanted: SelectRelation,
): Relationship {
  const special = wanted.hint === undefined ? computed(catalog, origin, wanted.name) : undefined
  if (special) return special
  const known = relationshipsOf(catalog, origin)
  const found = known.filter((each) => matches(each, wanted.name, wanted.hint))
  const [only] = found
  if (only && found.length === 1) return only
  if (only) throw ambiguous(origin.name, wanted.name, found)
  const views = catalog.relations.filter(({ schema, isView }) => schema === origin.schema && isView)
  if (views.some(({ name }) => name === origin.name || name === wanted.name))
    throw notImplemented(`embedding of or into views ("${wanted.name}")`)
  if (views.some(({ name }) => name === wanted.hint))
    throw notImplemented(`embedding through views ("${wanted.hint}")`)
  const hint = wanted.hint === undefined ? '' : ` using the hint '${wanted.hint}'`
  throw new RestError(
    400,
    'PGRST200',
    `Could not find a relationship between '${origin.name}' and '${wanted.name}' in the schema cache`,
    `Searched for a foreign key relationship between '${origin.name}' and '${wanted.name}'${hint} in the schema '${origin.schema}', but no matches were found.`,
  )
}

/** What a function finds for a row of the origin, if there is one of that name. */
function computed(
  catalog: Catalog,
  origin: Pick<Relation, 'schema' | 'name'>,
  name: string,
): Relationship | undefined {
  const found = catalog.functions.find(
    (each) =>
      each.name === name &&
      each.schema === origin.schema &&
      each.arguments.length === 1 &&
      each.takesRowOf?.schema === origin.schema &&
      each.takesRowOf.name === origin.name &&
      each.rowsOf !== undefined,
  )
  const target = catalog.relations.find(
    (each) => each.schema === found?.rowsOf?.schema && each.name === found.rowsOf.name,
  )
  if (!found || !target) return undefined
  return {
    cardinality: found.returnsOne ? 'many-to-one' : 'one-to-many',
    target,
    columns: [],
    constraints: [],
    isSelf: false,
    junction: undefined,
    computedBy: `${quoted(found.schema)}.${quoted(found.name)}`,
  }
}

function matches(each: Relationship, name: string, hint: string | undefined): boolean {
  const { cardinality, target, columns, constraints, isSelf, junction } = each
  const single = columns.length === 1 && !junction ? columns[0] : undefined
  if (isSelf && hint === undefined)
    return (
      (name === target.name && cardinality === 'one-to-many') ||
      (name === single?.[0] && cardinality === 'many-to-one')
    )
  if (isSelf) return name === target.name && cardinality === 'one-to-many' && single?.[1] === hint
  const isConstraint = (text: string) => !junction && constraints.includes(text)
  if (hint === undefined) return name === target.name || isConstraint(name) || name === single?.[0]
  return (
    name === target.name &&
    (isConstraint(hint) || single?.includes(hint) === true || junction?.table.name === hint)
  )
}

function relationshipsOf(catalog: Catalog, origin: Pick<Relation, 'schema' | 'name'>): Relationship[] {
  const isOrigin = (schema: string, name: string) => schema === origin.schema && name === origin.name
  const table = (schema: string, name: string) =>
    catalog.relations.find((each) => each.schema === schema && each.name === name)
  const outgoing = catalog.foreignKeys.filter((key) => isOrigin(key.schema, key.table))
  const incoming = catalog.foreignKeys.filter((key) => isOrigin(key.foreignSchema, key.foreignTable))
  const isSelf = (key: ForeignKey) => key.table === key.foreignTable && key.schema === key.foreignSchema
  const found: (Relationship | undefined)[] = [
    ...outgoing.map((key) =>
      simple(
        key,
        key.isUnique ? 'one-to-one' : 'many-to-one',
        table(key.foreignSchema, key.foreignTable),
        pairs(key),
        isSelf(key),
      ),
    ),
    ...incoming.map((key) =>
      simple(
        key,
        key.isUnique ? 'one-to-one' : 'one-to-many',
        table(key.schema, key.table),
        pairs(key).map(([column, foreign]) => [foreign, column]),
        isSelf(key),
      ),
    ),
    ...incoming.flatMap((key) => throughJunction(catalog, key, table)),
  ]
  return found.filter((each) => each !== undefined).filter(({ target }) => target.schema === origin.schema)
}

function simple(
  key: ForeignKey,
  cardinality: Relationship['cardinality'],
  target: Relation | undefined,
  columns: Relationship['columns'],
  isSelf: boolean,
): Relationship | undefined {
  if (!target) return undefined
  return { cardinality, target, columns, constraints: [key.constraint], isSelf, junction: undefined }
}

/** A table joins two others when its primary key holds the columns of its foreign keys to both. */
function throughJunction(
  catalog: Catalog,
  toOrigin: ForeignKey,
  table: (schema: string, name: string) => Relation | undefined,
): Relationship[] {
  const junction = table(toOrigin.schema, toOrigin.table)
  if (!junction || toOrigin.isUnique) return []
  const others = catalog.foreignKeys.filter(
    (key) =>
      key.schema === toOrigin.schema &&
      key.table === toOrigin.table &&
      key.constraint !== toOrigin.constraint &&
      !key.isUnique,
  )
  return others.flatMap((toTarget) => {
    const target = table(toTarget.foreignSchema, toTarget.foreignTable)
    const used = [...toOrigin.columns, ...toTarget.columns]
    if (!target || !used.every((column) => junction.primaryKey.includes(column))) return []
    return {
      cardinality: 'many-to-many',
      target,
      columns: [],
      constraints: [toOrigin.constraint, toTarget.constraint],
      isSelf: target.name === toOrigin.foreignTable && target.schema === toOrigin.foreignSchema,
      junction: {
        table: junction,
        toOrigin: pairs(toOrigin).map(([column, foreign]) => [foreign, column]),
        toTarget: pairs(toTarget).map(([column, foreign]) => [foreign, column]),
      },
    } as const
  })
}

function pairs(key: ForeignKey): (readonly [string, string])[] {
  return key.columns.map((column, index) => [column, key.foreignColumns[index] ?? ''])
}

function ambiguous(origin: string, target: string, found: readonly Relationship[]): RestError {
  const hints = found.map(
    (each) => `'${each.target.name}!${each.junction ? each.junction.table.name : each.constraints[0]}'`,
  )
  return new RestError(
    300,
    'PGRST201',
    `Could not embed because more than one relationship was found for '${origin}' and '${target}'`,
    found.map((each) => describe(origin, each)),
    `Try changing '${target}' to one of the following: ${hints.join(', ')}. Find the desired relationship in the 'details' key.`,
  )
}

function describe(origin: string, each: Relationship): Record<string, string> {
  const names = (list: readonly string[]) => `(${list.join(', ')})`
  const [first = '', second = ''] = each.constraints
  const relationship = each.junction
    ? `${each.junction.table.name} using ${first}${names(each.junction.toOrigin.map(([, column]) => column))} and ${second}${names(each.junction.toTarget.map(([, column]) => column))}`
    : `${first} using ${origin}${names(each.columns.map(([column]) => column))} and ${each.target.name}${names(each.columns.map(([, column]) => column))}`
  return { cardinality: each.cardinality, embedding: `${origin} with ${each.target.name}`, relationship }
}
