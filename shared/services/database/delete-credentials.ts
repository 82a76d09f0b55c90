import type { Step } from '../../engine/step.ts'

/** Removes the password of the tenant's database from Vault, at once: nobody is to open the database any more. */
export const deleteCredentials: Step = async ({ sql, job }) => ({
  type: 'succeeded',
  output: { removedFrom: 'vault' },
  record: sql`provisioning.forget_credentials(${job.id}, ${job.leaseToken})`,
})
