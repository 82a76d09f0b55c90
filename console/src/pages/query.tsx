import { PageTitle } from '../app/page-title.tsx'
import { useProject } from '../app/project.ts'
import { useSession } from '../lib/auth.ts'
import { OrganizationPage } from './organization-page.tsx'
import { QueryExplorer } from './query-explorer.tsx'

/** The first query against the tenant's own endpoint, and every other one. */
export function Query() {
  const { auth } = useProject()
  const userId = useSession(auth)?.user.id ?? ''
  return (
    <OrganizationPage>
      {(organization, { url, getAccessToken }) => (
        <>
          <PageTitle title="Query">
            Ask the database of {organization.name} by GraphQL, with your own rights.
          </PageTitle>
          <QueryExplorer
            key={organization.id}
            access={{ url, getAccessToken }}
            organizationId={organization.id}
            draftOf={`${userId}/${organization.id}`}
          />
        </>
      )}
    </OrganizationPage>
  )
}
