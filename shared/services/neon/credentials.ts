import { seal } from '../../kernel/seal.ts'
import type { NeonStep } from './step.ts'
import { databasePassword } from './tenant-schema.ts'

/** Puts the password of the tenant's database into Vault. */
export const credentials: NeonStep = async (context) => {
  const password = await databasePassword(context)
  if (!password.ok) return { type: 'failed', failure: password.failure }
  const { sql, job } = context
  const sealed = await seal(sql, password.value)
  return {
    type: 'succeeded',
    output: { storedIn: 'vault' },
    record: sql`provisioning.store_credentials(${job.id}, ${job.leaseToken}, ${sealed})`,
  }
}
