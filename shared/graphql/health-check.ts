import { createHealthChecker } from '../health/checker.ts'
import { type HealthReport, HealthStore } from '../health/health-store.ts'
import { requestHealthCheck } from '../health/request-check.ts'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import { type Environment, readVariables } from '../kernel/environment.ts'
import { createNeonProvider } from '../services/neon/client.ts'
import { neonEnvironment } from '../services/neon/environment.ts'

/** Looks at a tenant's database now, see requestHealthCheck. @throws Problem */
export function checkHealth(
  sql: Database,
  environment: Environment,
  caller: Caller,
  organizationId: string,
  deep: boolean,
): Promise<HealthReport> {
  // No waiting in the queue of calls: provisioning comes first.
  const checker = createHealthChecker(
    sql,
    createNeonProvider(readVariables(neonEnvironment, environment.variables), sql, 0),
  )
  return requestHealthCheck({ sql, checker, store: new HealthStore(sql) }, caller, organizationId, deep)
}
