import { failed, type Result, success } from '../../kernel/result.ts'
import { databaseTenant } from '../database/tenant.ts'
import { keepProjectSecrets, projectSecrets } from '../project-secrets.ts'
import type { ApiKey } from './api.ts'
import { databaseUrls } from './database-urls.ts'
import { failure } from './failures.ts'
import { recordedProject, type SupabaseStep } from './step.ts'

interface Keys {
  readonly publishableKey: string
  readonly secretKey: string
  /** Where the project has keys of the old kind alone. */
  readonly serviceRoleKey?: string
}

/**
 * Takes the project's keys, and its URLs with the password: what is secret into Vault, the rest into the rows that people see. It comes
 * after the proof that every table has row level security, and never before, so that nobody ever holds a key to an open table.
 */
export const projectKeys: SupabaseStep = async (context) => {
  const { sql, job, tenant, supabase } = context
  const ref = recordedProject(tenant)?.externalId
  if (!ref) return { type: 'failed', failure: failure('supabase_project_gone') }
  const revealed = await supabase.apiKeys(ref)
  if (!revealed.ok) return { type: 'failed', failure: revealed.failure }
  const known = await projectSecrets(sql, job.organizationId)
  const keys = chooseKeys(revealed.value, known.secretKey)
  if (!keys.ok) return { type: 'failed', failure: keys.failure }
  const { publishableKey, ...secret } = keys.value
  const { databasePassword } = known
  const address = databaseTenant.parse(tenant)
  await keepProjectSecrets(context, {
    ...secret,
    ...(databasePassword ? databaseUrls(address, databasePassword) : {}),
  })
  return {
    type: 'succeeded',
    output: { resourceId: ref, storedIn: 'vault' },
    record: sql`provisioning.record_project_keys(${job.id}, ${job.leaseToken}, ${sql.json({ publishableKey })})`,
  }
}

/**
 * Those of the new kind where they exist: the old ones can neither be exchanged by themselves nor told apart in use.
 * @param known the secret key that Vault has: it stays as long as the project has it, as a rotation has made others former ones
 */
function chooseKeys(keys: readonly ApiKey[], known: string | undefined): Result<Keys> {
  const one = (type: string, name?: string) => {
    const ofType = keys.filter((key) => key.type === type && (name === undefined || key.name === name))
    return (ofType.find((key) => key.name === 'default') ?? ofType[0])?.api_key ?? undefined
  }
  // Before there were types, a key had its name alone.
  const legacy = (name: string) =>
    one('legacy', name) ?? keys.find((key) => !key.type && key.name === name)?.api_key ?? undefined
  const publishableKey = one('publishable') ?? legacy('anon')
  const kept = keys.find(({ type, api_key: value }) => type === 'secret' && value && value === known)?.api_key
  const secret = kept ?? one('secret')
  const serviceRoleKey = secret ? undefined : legacy('service_role')
  const secretKey = secret ?? serviceRoleKey
  if (!publishableKey || !secretKey) return failed(failure('supabase_keys_missing'))
  return success({ publishableKey, secretKey, ...(serviceRoleKey ? { serviceRoleKey } : {}) })
}
