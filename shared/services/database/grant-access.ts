import { readSeal } from '../../kernel/seal.ts'
import { type AccessLogin, makeAccessLogins } from '../../tenant-database/access-logins.ts'
import { asAdmin } from './as-admin.ts'
import { notTheTenants } from './renew-logins.ts'
import type { DatabaseStep } from './step.ts'

/** Makes the logins that people have asked for. One that an interrupted attempt has made gets another password. */
export const grantAccess: DatabaseStep = async (context) => {
  const { sql, job, tenant } = context
  const logins = await sql<AccessLogin[]>`
    select login, access_role as role, to_json(ends_at) #>> '{}' as "endsAt" from provisioning.tenant_logins
    where organization_id = ${tenant.organizationId} and made_at is null and ended_at is null and ends_at > now()`
  if (logins.length === 0) return { type: 'succeeded', output: { made: [] } }
  const seal = await readSeal(sql)
  const made = await asAdmin(context, (tenantSql) =>
    makeAccessLogins(tenantSql, logins, async (passwords) => {
      const sealed = await seal(JSON.stringify(passwords))
      await context
        .saveRecord(sql`provisioning.store_credentials(${job.id}, ${job.leaseToken}, ${null}, ${sealed})`)
        .catch(notTheTenants)
    }),
  )
  if (!made.ok) return { type: 'failed', failure: made.failure }
  const names = logins.map(({ login }) => login)
  return {
    type: 'succeeded',
    output: { made: names },
    record: sql`provisioning.record_access(${job.id}, ${job.leaseToken}, ${names})`,
  }
}
