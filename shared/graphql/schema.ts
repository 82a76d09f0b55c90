import { createSchema } from 'graphql-yoga'
import type { GraphqlContext } from './context.ts'
import { enums } from './enums.ts'
import { mutations } from './mutations.ts'
import { subscriptions } from './progress.ts'
import { fields, queries } from './queries.ts'
import { DateTime, JsonValue } from './scalars.ts'
import { typeDefinitions } from './type-definitions.ts'

/** Resolvers ask the database: its queries name their results as the schema does, or `camelCased` does. */
export const schema = createSchema<GraphqlContext>({
  typeDefs: typeDefinitions,
  resolvers: {
    DateTime,
    JSON: JsonValue,
    Query: queries,
    Mutation: mutations,
    Subscription: subscriptions,
    ...fields,
    ...enums,
  },
})
