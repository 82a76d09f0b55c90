import {
  buildSchema,
  type GraphQLArgument,
  type GraphQLEnumType,
  type GraphQLField,
  type GraphQLInputObjectType,
  type GraphQLNamedType,
  type GraphQLObjectType,
  type GraphQLSchema,
  isEnumType,
  isInputObjectType,
  isObjectType,
  lexicographicSortSchema,
  printSchema,
} from 'graphql'
import { typeDefinitions } from '../../shared/graphql/type-definitions.ts'
import { INTRODUCTION } from './introduction.ts'

/** The head of each file that is written from the schema. */
export const SOURCE = 'Written by `npm run api-docs` from shared/graphql/type-definitions/; edit that.'

const schema = buildSchema(typeDefinitions)

/** A schema in an order that does not depend on how it was written, and in the repository's format. */
function printSortedSchema(schema: GraphQLSchema): string {
  const text = printSchema(lexicographicSortSchema(schema))
  return `${text.replaceAll(/^( *)"""(.+)"""$/gm, '$1"""\n$1$2\n$1"""')}\n`
}

/** shared/generated/schema.graphql */
export function printApiSchema(of: GraphQLSchema = schema): string {
  return `# ${SOURCE}\n${printSortedSchema(of)}`
}

/** docs/api.md: how to call, then every operation and type. */
export function printApiDocs(): string {
  const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]
  const others = Object.values(schema.getTypeMap()).filter(
    (type) => !type.name.startsWith('__') && !roots.some((root) => root === type),
  )
  return [
    INTRODUCTION,
    ...roots.flatMap((root) => (root ? [printOperations(root)] : [])),
    '## Types\n',
    ...others.filter(isObjectType).map(printFields),
    ...others.filter(isInputObjectType).map(printFields),
    ...others.filter(isEnumType).map(printEnum),
  ].join('\n')
}

const TITLES: Readonly<Record<string, string>> = {
  Query: 'Queries',
  Mutation: 'Mutations',
  Subscription: 'Subscriptions',
}

function printOperations(root: GraphQLObjectType): string {
  const operations = Object.values(root.getFields()).map(printOperation)
  return [`## ${TITLES[root.name] ?? root.name}\n`, ...operations].join('\n')
}

function printOperation(field: GraphQLField<unknown, unknown>): string {
  const lines = [`### ${field.name}\n`, `Returns ${code(field.type)}. ${prose(field.description)}\n`]
  if (field.args.length > 0) lines.push(table('argument', field.args.map(argumentRow)))
  return lines.join('\n')
}

function argumentRow(argument: GraphQLArgument): string[] {
  return [`\`${argument.name}\``, code(argument.type), withDefault(argument)]
}

function printFields(type: GraphQLObjectType | GraphQLInputObjectType): string {
  const rows = Object.values<GraphQLField<unknown, unknown> | GraphQLArgument>(type.getFields()).map(
    (field) => [
      `\`${field.name}${'args' in field && field.args.length > 0 ? `(${field.args.map(({ name }) => name).join(', ')})` : ''}\``,
      code(field.type),
      'args' in field ? prose(field.description) : withDefault(field),
    ],
  )
  return [heading(type), table('field', rows)].join('\n')
}

function printEnum(type: GraphQLEnumType): string {
  const values = type.getValues().map(({ name }) => `\`${name}\``)
  return `${heading(type)}\nOne of ${values.join(', ')}.\n`
}

function heading({ name, description }: GraphQLNamedType): string {
  return [`### ${name}\n`, ...(description ? [`${prose(description)}\n`] : [])].join('\n')
}

function withDefault({
  description,
  defaultValue,
}: Pick<GraphQLArgument, 'description' | 'defaultValue'>): string {
  const fallback = defaultValue === undefined ? '' : `Default \`${String(defaultValue)}\`.`
  return [prose(description), fallback].filter(Boolean).join(' ')
}

function table(what: string, rows: readonly (readonly string[])[]): string {
  const lines = [[what, 'type', ''], ['---', '---', '---'], ...rows]
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`
}

const code = (value: unknown) => `\`${String(value)}\``
const prose = (text: string | null | undefined) => (text ?? '').replaceAll(/\s+/g, ' ')
