import { z } from 'zod'
import type { JobFunction } from '../engine/job-function.ts'
import { authorize } from '../kernel/as-caller.ts'
import { storableText } from '../kernel/database/storable.ts'
import { emailAddress } from '../kernel/email-address.ts'
import { unlessJustRefused } from '../kernel/remembered-refusals.ts'
import { cancelProvisioning } from './cancel-provisioning.ts'
import { provisionUser } from './provision-user.ts'
import { requestProvisioning } from './request-provisioning.ts'
import { userMetadata } from './user-metadata.ts'

/** Services, sizes, regions and their aliases are words; which ones there are is the database's to say. */
const choice = z.string().regex(/^[\w-]{1,50}$/, 'is not a word of letters, digits and hyphens')

const fields = z.strictObject({
  organizationId: z.guid().toLowerCase().optional(),
  /** The organization, for whoever calls it a client. */
  clientId: z.guid().toLowerCase().optional(),
  /** What the organization is called from now on. */
  clientName: storableText.max(200).optional(),
  /** Where its bills go from now on, and its workflows write. */
  orgEmail: emailAddress.optional(),
  /** Absent services mean all that are not ready. */
  services: z.array(choice).min(1).max(20).optional(),
  databaseSize: choice.optional(),
  dataRegion: choice.optional(),
  tier: choice.optional(),
  /** Stop instead, and undo what was made. */
  cancel: z.boolean().optional(),
  /** Only tell what a cancellation would do. */
  dryRun: z.boolean().optional(),
  /** Of a user who has signed up just now; instead of the organization, for the backend alone. */
  email: emailAddress.optional(),
  /** Goes over the user's own metadata, for what has still to be made. */
  metadata: userMetadata.optional(),
  /** Reply when the job has ended instead of at once. */
  wait: z.boolean().default(false),
})

type Fields = z.infer<typeof fields>

const WISHES = ['services', 'databaseSize', 'dataRegion', 'tier', 'clientName', 'orgEmail'] as const

/** Which fields belong to which request; `wait` to those that start a job. */
const body = fields.superRefine((given, context) => {
  const refuse = (names: readonly (keyof Fields)[], message: string) => {
    for (const name of names)
      if (given[name] !== undefined) context.addIssue({ code: 'custom', path: [name], message })
  }
  const named = [given.organizationId, given.clientId, given.email].filter((name) => name !== undefined)
  if (named.length !== 1)
    context.addIssue({
      code: 'custom',
      path: ['organizationId'],
      message: 'give this, a clientId or an email, one of them',
    })
  if (given.email === undefined) refuse(['metadata'], 'goes with an email only')
  else refuse([...WISHES, 'cancel'], 'does not go with an email')
  if (given.cancel) refuse(WISHES, 'does not go with cancel')
  else refuse(['dryRun'], 'goes with cancel only')
})

/**
 * Makes an organization's tenant ready, or tries again: {organizationId, services?, databaseSize?, dataRegion?, tier?, clientName?,
 * orgEmail?, wait?}; stops that: {organizationId, cancel: true, dryRun?}. In place of the organizationId there may be a clientId. For
 * the backend, and for owners and admins of the organization; the audit log names who asked. Or makes the tenant of a new user:
 * {email, metadata?, wait?}, for the backend alone.
 */
export const provisionFunction: JobFunction<Fields> = {
  worker: 'provisioning',
  body,
  async request(sql, caller, { email, metadata = {}, cancel, dryRun = false, clientId, ...wanted }) {
    if (email !== undefined) return { jobId: await provisionUser(sql, caller, email, metadata) }
    const organizationId = wanted.organizationId ?? clientId
    if (organizationId === undefined)
      throw new Error('a body without organizationId, clientId or email was let through')
    const act = async () => {
      await authorize(sql, caller, organizationId, ['owner', 'admin'])
      if (cancel) return cancelProvisioning(sql, caller, organizationId, dryRun)
      return { jobId: await requestProvisioning(sql, caller, organizationId, wanted) }
    }
    // To tell what would be done costs no provider a call and has no limit.
    return dryRun ? act() : unlessJustRefused(caller, { ...wanted, organizationId, cancel }, act)
  },
}
