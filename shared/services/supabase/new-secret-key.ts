import type { StepOutcome } from '../../engine/step.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { keepProjectSecrets, projectSecrets } from '../project-secrets.ts'
import type { ApiKey } from './api.ts'
import { failure } from './failures.ts'
import { isLeftAlone, LEFT_ASLEEP } from './left-alone.ts'
import { recordedProject, type SupabaseStepContext } from './step.ts'

/** Only keys that rotations make have such a name. */
const PREFIX = 'rotated_'

/**
 * Gives the project another secret key beside the present one, tries it, and only then puts it into Vault in the other's place. The
 * former one stays valid until everybody who uses it has the new one, and for the time of grace. A key that an interrupted
 * rotation has made is taken up, so that there is never more than one too many.
 */
export async function newSecretKey(context: SupabaseStepContext): Promise<StepOutcome> {
  const { sql, job, tenant, supabase } = context
  const project = recordedProject(tenant)
  const ref = project?.externalId
  if (!ref || !project.url) return { type: 'failed', failure: failure('supabase_project_gone') }
  const alone = await isLeftAlone(context, ref)
  if (!alone.ok) return { type: 'failed', failure: alone.failure }
  if (alone.value) return LEFT_ASLEEP
  const { secretKey: present } = await projectSecrets(sql, job.organizationId)
  const listed = await secretKeys(context, ref)
  if (!listed.ok) return { type: 'failed', failure: listed.failure }
  if (!listed.value.some(({ type }) => type === 'secret'))
    return job.request.scheduled === true
      ? { type: 'succeeded', output: { left: 'legacy' } }
      : { type: 'failed', failure: failure('supabase_legacy_keys', ref) }
  const made = await findOrCreate(context, ref, listed.value, present)
  if (!made.ok) return { type: 'failed', failure: made.failure }
  const key = made.value
  const tried = await supabase.tryKey(project.url, key.value)
  if (!tried.ok) return { type: 'failed', failure: tried.failure }
  const former = listed.value.find(({ id, value }) => value === present && id !== key.id)
  if (former)
    await context.saveRecord(sql`provisioning.note_former_key(${job.id}, ${job.leaseToken}, ${former.id})`)
  await keepProjectSecrets(context, { secretKey: key.value })
  return {
    type: 'succeeded',
    output: { keyId: key.id },
    record: sql`provisioning.record_secret_key(${job.id}, ${job.leaseToken}, ${key.id})`,
  }
}

interface SecretKey {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly value: string
}

async function findOrCreate(
  context: SupabaseStepContext,
  ref: string,
  listed: readonly SecretKey[],
  present: string | undefined,
): Promise<Result<SecretKey>> {
  const { job, supabase, assertLease } = context
  const name = nameFor(job.id)
  const known = await unused(context, listed, name, present)
  if (known) return success(known)
  const created = await supabase.createSecretKey(ref, name, assertLease)
  if (!created.ok) return created
  const again = await secretKeys(context, ref)
  if (!again.ok) return again
  const made = again.value.find((key) => key.name === name)
  return made ? success(made) : failed(failure('supabase_keys_missing', name))
}

/** The key of this job, even when Vault has it already; or one that another rotation has left, and that nobody was given. */
async function unused(
  { sql, job }: SupabaseStepContext,
  listed: readonly SecretKey[],
  name: string,
  present: string | undefined,
): Promise<SecretKey | undefined> {
  const own = listed.find((key) => key.name === name)
  if (own) return own
  const former = await formerKeys(sql, job.organizationId)
  return listed.find(
    (key) => key.name.startsWith(PREFIX) && key.value !== present && !former.includes(key.id),
  )
}

async function formerKeys(sql: SupabaseStepContext['sql'], organizationId: string): Promise<string[]> {
  const rows = await sql<{ id: string }[]>`
    select key_id as id from provisioning.former_project_keys where organization_id = ${organizationId}`
  return rows.map(({ id }) => id)
}

/** Small letters, digits and underscores, as Supabase wants them. */
function nameFor(jobId: string): string {
  return `${PREFIX}${jobId.replaceAll('-', '')}`
}

async function secretKeys({ supabase }: SupabaseStepContext, ref: string): Promise<Result<SecretKey[]>> {
  const keys = await supabase.apiKeys(ref)
  return keys.ok ? success(keys.value.flatMap(secretKeyIn)) : keys
}

function secretKeyIn({ id, name, type, api_key: value }: ApiKey): SecretKey[] {
  return type === 'secret' && id && value ? [{ id, name, type, value }] : []
}
