import { withTenantDatabase } from '../../tenant-database/connection.ts'
import { failure } from '../../tenant-database/failures.ts'
import { loginAddress, SHOWN_LOGIN } from '../../tenant-database/roles.ts'
import { storedPassword } from './passwords.ts'
import type { NeonStep } from './step.ts'

/** To wake, to be let in and to answer once; its owner may have put something slow in the way of the login. */
const LIMITS = { lifeMs: 20_000 }

/** Connects as an application would: through the pooler, with what Vault holds, over verified TLS unless the host is local. */
export const verifyConnection: NeonStep = async (context) => {
  const password = await storedPassword(context, SHOWN_LOGIN)
  if (!password) return { type: 'failed', failure: failure('credentials_missing') }
  const place = { ...context, tenant: loginAddress(context.tenant, SHOWN_LOGIN) }
  const startedAt = performance.now()
  const connected = await withTenantDatabase(place, password, 'pooled', (sql) => sql`select 1`, LIMITS)
  if (!connected.ok) return { type: 'failed', failure: connected.failure }
  const encrypted = context.tenant.sslMode !== 'disable'
  const { sql, job } = context
  return {
    type: 'succeeded',
    output: { latencyMs: Math.round(performance.now() - startedAt), encrypted },
    record: sql`provisioning.record_verified_connection(${job.id}, ${job.leaseToken}, ${encrypted})`,
  }
}
