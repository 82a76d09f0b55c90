import { readEnvironment } from '../../../shared/kernel/environment.ts'
import { createTenantGraphqlFunction } from '../../../shared/tenant-graphql/tenant-graphql-function.ts'

Deno.serve(createTenantGraphqlFunction(readEnvironment(Deno.env.toObject())))
