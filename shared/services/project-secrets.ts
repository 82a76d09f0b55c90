import type { StepContext } from '../engine/step.ts'
import type { Database } from '../kernel/database/client.ts'
import { readSeal } from '../kernel/seal.ts'

/** What is secret of a tenant's own Supabase project, and of what stands beside it. */
export interface ProjectSecrets {
  /** Of the role postgres. */
  readonly databasePassword?: string
  /** The one that comes in its place, while it may be valid already. */
  readonly nextDatabasePassword?: string
  /** sb_secret_…, or the legacy service_role key where a project has none. */
  readonly secretKey?: string
  /** The legacy key, where the project has it. */
  readonly serviceRoleKey?: string
  /** Postgres URLs, with the password. */
  readonly databaseUrl?: string
  readonly pooledDatabaseUrl?: string
  /** What callers of the client's webhooks at n8n send. */
  readonly n8nWebhookKey?: string
}

export async function projectSecrets(sql: Database, organizationId: string): Promise<ProjectSecrets> {
  const [row] = await sql<{ secrets: ProjectSecrets }[]>`
    select provisioning.project_secrets(${organizationId}) as secrets`
  return row?.secrets ?? {}
}

/** Adds to them in Vault at once, under the lease; null takes one away. No statement has one in its text. Throws LeaseLost. */
export async function keepProjectSecrets(
  { sql, job, saveRecord }: Pick<StepContext, 'sql' | 'job' | 'saveRecord'>,
  secrets: { readonly [Name in keyof ProjectSecrets]: ProjectSecrets[Name] | null },
): Promise<void> {
  const sealed = await (await readSeal(sql))(JSON.stringify(secrets))
  await saveRecord(sql`provisioning.keep_project_secrets(${job.id}, ${job.leaseToken}, ${sealed})`)
}
