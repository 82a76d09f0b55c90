import { shownLogin } from '../../tenant-database/roles.ts'
import { connectAs } from './as-login.ts'
import type { DatabaseStep } from './step.ts'

/** Connects as an application would: through the pooler, with what Vault holds, over verified TLS unless the host is local. */
export const verifyConnection: DatabaseStep = async (context) => {
  const startedAt = performance.now()
  const connected = await connectAs(context, shownLogin(context.tenant), 'pooled')
  if (!connected.ok) return { type: 'failed', failure: connected.failure }
  const encrypted = context.tenant.sslMode !== 'disable'
  const { sql, job } = context
  return {
    type: 'succeeded',
    output: { latencyMs: Math.round(performance.now() - startedAt), encrypted },
    record: sql`provisioning.record_verified_connection(${job.id}, ${job.leaseToken}, ${encrypted})`,
  }
}
