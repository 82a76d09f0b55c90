// Of each exported schema: what `npm run tenant-graphql` writes has no types of its own.
import type { GraphQLSchema } from 'graphql'

export declare const schema: GraphQLSchema
