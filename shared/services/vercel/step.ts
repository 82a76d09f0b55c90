import { z } from 'zod'
import type { StepContext, StepOutcome } from '../../engine/step.ts'
import { resourceOf, type TenantResource } from '../resources.ts'
import type { VercelProvider } from './client.ts'

/** As in provisioning.resource_kinds. */
export const VERCEL_PROJECT = 'vercel_project'

export interface LinkedRepository {
  /** GitHub's number of it. */
  readonly id: string
  readonly name: string
  /** OWNER/NAME. */
  readonly fullName: string
  readonly defaultBranch: string
}

/** What Vercel's steps need to know of an organization. */
export interface VercelTenant {
  readonly organizationId: string
  readonly recorded: TenantResource | undefined
  readonly repository: LinkedRepository | undefined
  /** Of its Supabase project; undefined while it has none. */
  readonly project: { readonly url: string; readonly publishableKey: string } | undefined
}

const organization = z.object({ id: z.string() })
const repositoryDetails = z.object({ fullName: z.string(), defaultBranch: z.string() })
const projectDetails = z.object({ publishableKey: z.string() })

/** Reads it from what provisioning.tenant() has. */
export const vercelTenant: z.ZodType<VercelTenant> = z
  .looseObject({ organization })
  .transform(({ organization, ...tenant }) => ({
    organizationId: organization.id,
    recorded: resourceOf(tenant, VERCEL_PROJECT),
    repository: repositoryOf(resourceOf(tenant, 'github_repository')),
    project: projectOf(resourceOf(tenant, 'supabase_project')),
  }))

function repositoryOf(resource: TenantResource | undefined): LinkedRepository | undefined {
  const details = repositoryDetails.safeParse(resource?.details)
  return resource?.state === 'active' && resource.externalId && details.success
    ? { id: resource.externalId, name: resource.name, ...details.data }
    : undefined
}

function projectOf(resource: TenantResource | undefined): VercelTenant['project'] {
  const details = projectDetails.safeParse(resource?.details)
  return resource?.url && details.success
    ? { url: resource.url, publishableKey: details.data.publishableKey }
    : undefined
}

export type VercelStepContext = StepContext<VercelTenant> & { readonly vercel: VercelProvider }

/** A step that needs the organization's rows. */
export type VercelStep = (context: VercelStepContext) => Promise<StepOutcome>
