import { useQuery } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { PageTitle } from '../app/page-title.tsx'
import { type MyOrganization, type Project, useMine } from '../app/project.ts'
import {
  PROVISIONING_STATUS,
  type ProvisioningStatusQuery,
} from '../components/tenants/generated/operations.ts'
import { type ApiError, request } from '../components/tenants/lib/api.ts'
import { ProvisionTenantForm } from '../components/tenants/provision-tenant-form.tsx'
import { TenantSettings } from '../components/tenants/tenant-settings.tsx'
import { queries } from '../components/tenants/with-queries.tsx'
import { OrganizationPage } from './organization-page.tsx'

export function Infrastructure() {
  return (
    <OrganizationPage>
      {(organization, project) => (
        <OfOrganization key={organization.id} organization={organization} project={project} />
      )}
    </OrganizationPage>
  )
}

function OfOrganization({ organization, project }: { organization: MyOrganization; project: Project }) {
  const { refetch } = useMine()
  const navigate = useNavigate()
  const { url, getAccessToken } = project
  const lacksTenant = useLacksTenant(organization, project)
  if (lacksTenant && organization.permissions.includes('PROVISION'))
    return (
      <>
        <PageTitle title="Provision tenant">{organization.name} has no database yet. Choose one.</PageTitle>
        <ProvisionTenantForm
          url={url}
          getAccessToken={getAccessToken}
          organization={organization}
          onBegun={() => {
            queries.removeQueries({ queryKey: ['tenant-job', organization.id] })
            void refetch().then(() => navigate({ to: '/o/$slug', params: { slug: organization.slug } }))
          }}
        />
      </>
    )
  return (
    <>
      <PageTitle title="Infrastructure">
        How programs and people get to the database of {organization.name}.
      </PageTitle>
      <TenantSettings
        url={url}
        getAccessToken={getAccessToken}
        organization={organization}
        permissions={organization.permissions}
        onRenamed={() => void refetch()}
        onDeleted={() => void refetch().then(() => navigate({ to: '/' }))}
      />
    </>
  )
}

/** Whether it was cancelled, or never begun: nothing is under way that would make one. */
function useLacksTenant(organization: MyOrganization, project: Project): boolean {
  const { overall } = Object(organization.provisioningStatus)
  const { data } = useQuery<ProvisioningStatusQuery, ApiError>(
    {
      queryKey: ['tenant-job', organization.id],
      queryFn: ({ signal }) =>
        request(project, PROVISIONING_STATUS, { organizationId: organization.id }, signal),
      // Of a tenant that is there, or is being made, nobody has to ask.
      enabled: overall === 'pending' || overall === 'cancelled',
    },
    queries,
  )
  const now = data?.provisioningStatus
  return now?.overall === 'CANCELLED' || (now?.overall === 'PENDING' && now.jobStatus === null)
}
