import { codegen } from '@graphql-codegen/core'
import * as typescript from '@graphql-codegen/typescript'
import * as resolvers from '@graphql-codegen/typescript-resolvers'
import { parse } from 'graphql'
import { enums } from '../../shared/graphql/enums.ts'
import { typeDefinitions } from '../../shared/graphql/type-definitions.ts'
import { SOURCE } from './print.ts'

/**
 * What the API's resolvers are given, as TypeScript: arguments, parents, and enums with the database's words. What they return
 * is unknown, because most of it is JSON of the database, which GraphQL checks against the schema when it answers.
 */
export async function printResolverTypes(): Promise<string> {
  const text = await codegen({
    filename: 'resolver-types.ts',
    documents: [],
    schema: parse(typeDefinitions),
    config: {
      skipTypename: true,
      immutableTypes: true,
      useTypeImports: true,
      enumsAsTypes: true,
      enumValues: enums,
      maybeValue: 'T | null | undefined',
      scalars: { ID: 'string', DateTime: { input: 'Date', output: 'string' }, JSON: 'unknown' },
      contextType: 'unknown',
      makeResolverTypeCallable: true,
      customResolverFn:
        '(parent: TParent, args: TArgs, context: TContext, info: GraphQLResolveInfo) => TResult | unknown',
    },
    plugins: [{ typescript: {} }, { resolvers: {} }],
    pluginMap: { typescript, resolvers },
  })
  return `// ${SOURCE}\n${text}`
}
