import { createGraphqlFunction } from '../../../shared/graphql/graphql-function.ts'
import { readEnvironment } from '../../../shared/kernel/environment.ts'

Deno.serve(createGraphqlFunction(readEnvironment(Deno.env.toObject())))
