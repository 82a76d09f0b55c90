import { createHealthChecker, type HealthChecker } from '../health/checker.ts'
import { type HealthReport, HealthStore } from '../health/health-store.ts'
import { requestHealthCheck } from '../health/request-check.ts'
import type { Caller } from '../kernel/caller.ts'
import type { Database } from '../kernel/database/client.ts'
import type { Environment } from '../kernel/environment.ts'
import { databaseWatches } from '../services/registry.ts'

/** One for each process, so that those who ask within a moment share what a host answers for all. */
const checkers = new WeakMap<Database, HealthChecker>()

/** Looks at a tenant's database now, see requestHealthCheck. @throws Problem */
export function checkHealth(
  sql: Database,
  environment: Environment,
  caller: Caller,
  organizationId: string,
  deep: boolean,
): Promise<HealthReport> {
  const checker =
    checkers.get(sql) ?? createHealthChecker(sql, databaseWatches({ variables: environment.variables, sql }))
  checkers.set(sql, checker)
  return requestHealthCheck({ sql, checker, store: new HealthStore(sql) }, caller, organizationId, deep)
}
