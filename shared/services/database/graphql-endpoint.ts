import type { Failure } from '../../kernel/failures.ts'
import { failure } from '../../tenant-database/failures.ts'
import { latestSchemaVersion } from '../../tenant-database/latest-schema-version.ts'
import type { DatabaseStep } from './step.ts'

/** Asks the tenant's database one thing through its GraphQL endpoint, and enables it. */
export const graphqlEndpoint: DatabaseStep = async (context) => {
  const { sql, job, tenant, signal } = context
  // Loaded when it is needed: it takes a quarter of a second, which a worker that has other work to do is spared.
  const { checkEndpoint } = await import('../../tenant-graphql/check-endpoint.ts')
  const startedAt = performance.now()
  const asked = { ...tenant, databaseName: tenant.databaseName ?? '', schemaVersion: latestSchemaVersion }
  const wrong = await checkEndpoint(sql, asked, signal)
  if (wrong !== undefined) return { type: 'failed', failure: failureOf(wrong) }
  return {
    type: 'succeeded',
    output: { latencyMs: Math.round(performance.now() - startedAt) },
    record: sql`provisioning.record_graphql_endpoint(${job.id}, ${job.leaseToken})`,
  }
}

function failureOf(problem: string): Failure {
  switch (problem) {
    case 'tenant_database_unavailable':
      return failure('tenant_database_unreachable')
    case 'tenant_database_too_slow':
    case 'tenant_database_busy':
      return failure('tenant_database_too_slow')
    case 'answer_too_large':
      return failure('tenant_database_answer_too_large')
    case 'schema_drift':
    case 'forbidden':
      return failure('graphql_schema_drift')
    default:
      return failure('graphql_endpoint_failed', problem)
  }
}
