import { useNavigate } from '@tanstack/react-router'
import { PageTitle } from '../app/page-title.tsx'
import { useMine } from '../app/project.ts'
import { TenantSettings } from '../components/tenants/tenant-settings.tsx'
import { OrganizationPage } from './organization-page.tsx'

export function Infrastructure() {
  const { refetch } = useMine()
  const navigate = useNavigate()
  return (
    <OrganizationPage>
      {(organization, { url, getAccessToken }) => (
        <>
          <PageTitle title="Infrastructure">
            How programs and people get to the database of {organization.name}.
          </PageTitle>
          <TenantSettings
            key={organization.id}
            url={url}
            getAccessToken={getAccessToken}
            organization={organization}
            permissions={organization.permissions}
            onRenamed={() => void refetch()}
            onDeleted={() => void refetch().then(() => navigate({ to: '/' }))}
          />
        </>
      )}
    </OrganizationPage>
  )
}
