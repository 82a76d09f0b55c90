import { PageTitle } from '../app/page-title.tsx'
import { HealthDashboard } from '../components/tenants/health-dashboard.tsx'
import { OrganizationPage } from './organization-page.tsx'

export function Health() {
  return (
    <OrganizationPage>
      {(organization, { url, getAccessToken }) => (
        <>
          <PageTitle title="Health">How the database of {organization.name} is, and was.</PageTitle>
          <HealthDashboard
            key={organization.id}
            url={url}
            getAccessToken={getAccessToken}
            organizationId={organization.id}
            canWake={organization.permissions.includes('WAKE_DATABASE')}
          />
        </>
      )}
    </OrganizationPage>
  )
}
