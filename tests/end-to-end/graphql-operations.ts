import {
  buildSchema,
  type GraphQLField,
  type GraphQLOutputType,
  getNamedType,
  isCompositeType,
  isObjectType,
} from 'graphql'
import { typeDefinitions } from '../../shared/graphql/type-definitions.ts'

const schema = buildSchema(typeDefinitions)

export interface Operation {
  readonly field: string
  readonly text: string
}

/**
 * An operation for every field of the schema's roots, asking for all that is behind it: what is added to the schema is asked
 * for as well. @param given literals, by the names of arguments
 */
export function everyOperation(given: Readonly<Record<string, string>>): Operation[] {
  return [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()].flatMap((root) =>
    Object.values(root?.getFields() ?? {}).map((field) => ({
      field: field.name,
      text: `${root?.name.toLowerCase()} { ${written(field, given, new Set())} }`,
    })),
  )
}

function written(
  { name, args, type }: GraphQLField<unknown, unknown>,
  given: Readonly<Record<string, string>>,
  within: ReadonlySet<GraphQLOutputType>,
): string {
  const list = args.flatMap((arg) => (given[arg.name] ? `${arg.name}: ${given[arg.name]}` : []))
  return `${name}${list.length > 0 ? `(${list.join(', ')})` : ''}${selection(type, given, within)}`
}

function selection(
  output: GraphQLOutputType,
  given: Readonly<Record<string, string>>,
  within: ReadonlySet<GraphQLOutputType>,
): string {
  const type = getNamedType(output)
  if (!isObjectType(type)) return ''
  const around = new Set([...within, type])
  const fields = Object.values(type.getFields()).filter(
    (field) => !isCompositeType(getNamedType(field.type)) || !around.has(getNamedType(field.type)),
  )
  return ` { ${fields.map((field) => written(field, given, around)).join(' ')} }`
}
