import { z } from 'zod'
import type { StepContext, StepOutcome, TenantFacts } from '../../engine/step.ts'
import type { Database } from '../../kernel/database/client.ts'
import { failure } from '../../kernel/failures.ts'
import { resourceOf, type TenantResource } from '../resources.ts'
import type { SupabaseProvider } from './client.ts'

/** As in provisioning.resource_kinds. */
export const SUPABASE_PROJECT = 'supabase_project'

/**
 * The name of an organization's project. Deterministic, because Supabase has no idempotency keys and several projects may have one
 * name: it is searched by it.
 */
export function projectName(organizationId: string): string {
  return `client-${organizationId}-prod`
}

export type SupabaseStepContext = StepContext & { readonly supabase: SupabaseProvider }
export type SupabaseStep = (context: SupabaseStepContext) => Promise<StepOutcome>

/** What is recorded of the organization's project. */
export function recordedProject(facts: TenantFacts): TenantResource | undefined {
  return resourceOf(facts, SUPABASE_PROJECT)
}

const wishes = z
  .object({
    data_region: z.string().nullable(),
    region: z.string().nullable(),
    nearest: z.array(z.string()),
    instance_size: z.string().nullable(),
    on_removal: z.enum(['delete', 'pause']),
    look_seconds: z.number(),
    slow_minutes: z.number(),
  })
  .transform((row) => ({
    dataRegion: row.data_region,
    /** Null where Supabase offers none. */
    region: row.region,
    /** Data regions in which it offers projects. */
    nearest: row.nearest,
    instanceSize: row.instance_size ?? undefined,
    onRemoval: row.on_removal,
    lookSeconds: row.look_seconds,
    slowMinutes: row.slow_minutes,
  }))

export type Wishes = z.infer<typeof wishes>

/** How the organization's project is to be made, followed and removed. */
export async function readWishes(sql: Database, organizationId: string): Promise<Wishes> {
  const [row] = await sql<{ wishes: unknown }[]>`
    select provisioning.supabase_wishes(${organizationId}) as wishes`
  return wishes.parse(row?.wishes)
}

/** The step of an organization that is still there. */
export function ofOrganization(step: SupabaseStep): SupabaseStep {
  return async (context) =>
    context.tenant.organization ? step(context) : { type: 'failed', failure: failure('organization_gone') }
}
