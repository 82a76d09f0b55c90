import { z } from 'zod'
import type { StepContext } from '../../engine/step.ts'
import { resourceOf, type TenantResource } from '../resources.ts'
import type { N8nClient } from './client.ts'
import { N8N_WORKFLOWS } from './names.ts'

/** What the step needs to know of an organization. */
export interface N8nTenant {
  readonly organizationId: string
  readonly name: string
  readonly slug: string
  readonly email: string
  /** Of its Supabase project; undefined while it has none. */
  readonly projectUrl: string | undefined
  readonly recorded: TenantResource | undefined
}

const organization = z.object({
  id: z.string(),
  name: z.string(),
  slug: z.string(),
  billing_email: z.string().nullable(),
})

/** Reads it from what provisioning.tenant() has. */
export const n8nTenant: z.ZodType<N8nTenant> = z
  .looseObject({ organization })
  .transform(({ organization, ...tenant }) => ({
    organizationId: organization.id,
    name: organization.name,
    slug: organization.slug,
    email: organization.billing_email ?? '',
    projectUrl: resourceOf(tenant, 'supabase_project')?.url ?? undefined,
    recorded: resourceOf(tenant, N8N_WORKFLOWS),
  }))

export type N8nStepContext = StepContext<N8nTenant> & { readonly n8n: N8nClient }

/** As tenant_resources.details has it, by template. */
export const recordedWorkflows = z.array(z.object({ template: z.string(), id: z.string() })).catch([])
