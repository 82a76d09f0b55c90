import { useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { PageTitle } from '../app/page-title.tsx'
import { type MyOrganization, type Project, useMine, useProject } from '../app/project.ts'
import { ProvisioningStatus } from '../components/tenants/provisioning-status.tsx'
import { sentenceCase } from '../lib/words.ts'
import { Badge } from '../ui/parts.tsx'
import { NotFound } from './not-found.tsx'

/** A page of the organization that the address names. */
export function OrganizationPage({
  children,
}: {
  children: (organization: MyOrganization, project: Project) => ReactNode
}) {
  const project = useProject()
  const { slug } = useParams({ strict: false })
  const { data } = useMine()
  const organization = data?.myOrganizations.find((each) => each.slug === slug)
  return organization ? children(organization, project) : <NotFound />
}

export function Overview() {
  return (
    <OrganizationPage>
      {(organization, { url, getAccessToken }) => (
        <>
          <PageTitle title={organization.name}>
            <Badge>{sentenceCase(organization.plan)} plan</Badge>{' '}
            <span className="ml-1 text-sm">You are {withArticle(organization.role.toLowerCase())}.</span>
          </PageTitle>
          <ProvisioningStatus
            key={organization.id}
            url={url}
            getAccessToken={getAccessToken}
            organizationId={organization.id}
            canRetry={organization.permissions.includes('PROVISION')}
          />
        </>
      )}
    </OrganizationPage>
  )
}

const withArticle = (role: string) => (/^[aeiou]/.test(role) ? `an ${role}` : `a ${role}`)
