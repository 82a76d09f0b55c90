import {
  type DocumentNode,
  type FieldNode,
  type GraphQLField,
  type GraphQLSchema,
  getNamedType,
  isInterfaceType,
  isObjectType,
  Kind,
  type OperationDefinitionNode,
  type SelectionSetNode,
  visit,
} from 'graphql'
import { Problem } from '../kernel/http/problem.ts'

export const MAX_TOKENS = 2_000
const MAX_DEPTH = 10
const MAX_ROOT_FIELDS = 10
const MAX_ALIASES = 30
const MAX_FIELDS = 500
const MAX_PAGE = 100
/** Values in the answer, at most. */
const MAX_COST = 10_000
/** Of the variables, which filters are made of. */
const MAX_VALUES = 2_000
const MAX_VALUE_DEPTH = 20

/** What can be said before the variables are known, and before validation, whose time grows with the square of the fields. */
export function assertModest(document: DocumentNode): void {
  let fields = 0
  let aliases = 0
  visit(document, {
    Field: (node) => {
      fields += 1
      if (node.alias) aliases += 1
    },
  })
  if (fields > MAX_FIELDS) throw tooMuch(`It may have ${MAX_FIELDS} fields.`)
  if (aliases > MAX_ALIASES) throw tooMuch(`It may have ${MAX_ALIASES} aliases.`)
}

/** @throws Problem when the variables hold more values, or deeper ones, than are looked at */
export function assertModestVariables(variables: unknown): void {
  let values = 0
  const count = (value: unknown, depth: number): void => {
    values += 1
    if (values > MAX_VALUES) throw tooMuch(`The variables may hold ${MAX_VALUES} values.`)
    if (depth > MAX_VALUE_DEPTH) throw tooMuch(`The variables may be nested ${MAX_VALUE_DEPTH} deep.`)
    if (typeof value === 'object' && value !== null)
      for (const part of Object.values(value)) count(part, depth + 1)
  }
  count(variables ?? {}, 0)
}

interface Counting {
  readonly schema: GraphQLSchema
  readonly fragments: ReadonlyMap<string, SelectionSetNode>
  readonly variables: Readonly<Record<string, unknown>>
  readonly introspection: boolean
  cost: number
}

/** What an operation was last found affordable with. Documents that are kept keep their operations, and so these. */
const affordable = new WeakMap<
  OperationDefinitionNode,
  { readonly schema: GraphQLSchema; readonly given: string }
>()

/**
 * Counts what an operation that is valid asks for, with fragments and variables as what they stand for.
 * What was affordable is not counted again with the same numbers, which are all of the variables that the count looks at.
 * @throws Problem for what asks for too much, for a list without a size, and for introspection where it is off
 */
export function assertAffordable(
  { schema, introspection }: { readonly schema: GraphQLSchema; readonly introspection: boolean },
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Readonly<Record<string, unknown>>,
): void {
  const numbers = Object.entries(variables).filter(([, value]) => typeof value === 'number')
  const given = JSON.stringify([introspection, numbers])
  const before = affordable.get(operation)
  if (before?.schema === schema && before.given === given) return
  const root = schema.getRootType(operation.operation)
  if (!root) throw new Problem('invalid_query', `There are no ${operation.operation}s.`)
  const fragments = new Map(
    document.definitions.flatMap((node) =>
      node.kind === Kind.FRAGMENT_DEFINITION ? [[node.name.value, node.selectionSet] as const] : [],
    ),
  )
  const defaults = Object.fromEntries(
    (operation.variableDefinitions ?? []).flatMap(({ variable, defaultValue }) =>
      defaultValue?.kind === Kind.INT ? [[variable.name.value, Number(defaultValue.value)]] : [],
    ),
  )
  const counting = { schema, fragments, variables: { ...defaults, ...variables }, introspection, cost: 0 }
  const fields = countSelection(counting, operation.selectionSet, root.name, 1, 1)
  if (fields > MAX_ROOT_FIELDS)
    throw tooMuch(`It may have ${MAX_ROOT_FIELDS} fields at its root, each of which is a transaction.`)
  affordable.set(operation, { schema, given })
}

/** @param rows how many objects the selection is made for @returns the number of its fields */
function countSelection(
  counting: Counting,
  selections: SelectionSetNode,
  typeName: string,
  rows: number,
  depth: number,
): number {
  if (depth > MAX_DEPTH) throw tooMuch(`It may be ${MAX_DEPTH} levels deep.`)
  let fields = 0
  for (const node of selections.selections) {
    if (node.kind === Kind.FIELD) {
      fields += 1
      countField(counting, node, typeName, rows, depth)
      continue
    }
    const inner =
      node.kind === Kind.INLINE_FRAGMENT ? node.selectionSet : counting.fragments.get(node.name.value)
    // Fragments in fragments can multiply without end, though no field is in them until the last one.
    charge(counting, 1)
    if (inner) fields += countSelection(counting, inner, typeName, rows, depth)
  }
  return fields
}

function countField(
  counting: Counting,
  node: FieldNode,
  typeName: string,
  rows: number,
  depth: number,
): void {
  const name = node.name.value
  if (name === '__schema' || name === '__type') {
    if (!counting.introspection)
      throw new Problem('forbidden', 'Introspection is off; the schema is published as SDL.')
    // With an alias a small operation could repeat it at each level.
    if (node.alias) throw tooMuch('Fields of the schema may have no aliases.')
    return
  }
  charge(counting, rows)
  if (!node.selectionSet || name.startsWith('__')) return
  const type = counting.schema.getType(typeName)
  const field = isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined
  if (!field) return
  const inner = rows * pageOf(counting, field, node)
  // The parts of a page (nodes, edges and node) are no levels of what people ask for.
  const isPart = /(Connection|Edge)$/.test(typeName)
  countSelection(
    counting,
    node.selectionSet,
    getNamedType(field.type).name,
    inner,
    isPart ? depth : depth + 1,
  )
}

/** @returns how many rows the field brings for each object @throws Problem when it does not say, or is too much */
function pageOf(counting: Counting, field: GraphQLField<unknown, unknown>, node: FieldNode): number {
  if (!field.args.some(({ name }) => name === 'first')) return 1
  const sizes = (node.arguments ?? [])
    .filter(({ name }) => name.value === 'first' || name.value === 'last')
    .map(({ value }) => {
      if (value.kind === Kind.INT) return Number(value.value)
      return value.kind === Kind.VARIABLE ? counting.variables[value.name.value] : undefined
    })
    .filter((size) => typeof size === 'number')
  const [size] = sizes
  if (size === undefined && asksForCountAlone(counting, node)) return 1
  if (size === undefined)
    throw tooMuch(`Say how many of ${node.name.value} with first or last, up to ${MAX_PAGE}.`)
  if (sizes.length > 1) throw tooMuch(`Give ${node.name.value} either first or last.`)
  if (size < 0 || size > MAX_PAGE) throw tooMuch(`A page of ${node.name.value} is up to ${MAX_PAGE}.`)
  return Math.max(1, size)
}

function asksForCountAlone(_counting: Counting, { selectionSet }: FieldNode): boolean {
  return (
    selectionSet?.selections.every(
      (part) => part.kind === Kind.FIELD && ['totalCount', '__typename'].includes(part.name.value),
    ) ?? false
  )
}

function charge(counting: Counting, values: number): void {
  counting.cost += values
  if (counting.cost > MAX_COST) throw tooMuch('Ask for fewer fields or smaller pages.')
}

function tooMuch(advice: string): Problem {
  return new Problem('query_too_complex', `The operation asks for too much. ${advice}`)
}
