import { readEnvironment } from '../../../shared/environment.ts'
import { createGraphqlFunction } from '../../../shared/graphql/graphql-function.ts'

Deno.serve(createGraphqlFunction(readEnvironment(Deno.env.toObject())))
