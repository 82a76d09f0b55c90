import { z } from 'zod'
import type { StepContext, StepOutcome } from '../../engine/step.ts'
import { resourceOf, type TenantResource } from '../resources.ts'
import type { GithubProvider, Repository } from './client.ts'

/** As in provisioning.resource_kinds. */
export const GITHUB_REPOSITORY = 'github_repository'

/** What GitHub's steps need to know of an organization. */
export interface GithubTenant {
  readonly organizationId: string
  readonly slug: string
  readonly recorded: TenantResource | undefined
  /** Of its Supabase project; undefined while it has none. */
  readonly project: { readonly url: string; readonly publishableKey: string } | undefined
}

const organization = z.object({ id: z.string(), slug: z.string() })
const projectDetails = z.object({ publishableKey: z.string() })

/** Reads it from what provisioning.tenant() has. */
export const githubTenant: z.ZodType<GithubTenant> = z
  .looseObject({ organization })
  .transform(({ organization, ...tenant }) => ({
    organizationId: organization.id,
    slug: organization.slug,
    recorded: resourceOf(tenant, GITHUB_REPOSITORY),
    project: projectOf(resourceOf(tenant, 'supabase_project')),
  }))

function projectOf(resource: TenantResource | undefined): GithubTenant['project'] {
  const details = projectDetails.safeParse(resource?.details)
  return resource?.url && details.success
    ? { url: resource.url, publishableKey: details.data.publishableKey }
    : undefined
}

export type GithubStepContext = StepContext<GithubTenant> & { readonly github: GithubProvider }

/** A step that needs the organization's rows. */
export type GithubStep = (context: GithubStepContext) => Promise<StepOutcome>

/** The description of an organization's repository: from the request that makes it on, it says whose it is. */
export function markOf(organizationId: string): string {
  return `Repository of the client ${organizationId}`
}

/** Whether the repository was made for this organization, of the template that is set. */
export function isOurs(
  { description, template }: Repository,
  organizationId: string,
  github: Pick<GithubProvider, 'template'>,
): boolean {
  return description === markOf(organizationId) && template?.toLowerCase() === github.template.toLowerCase()
}
