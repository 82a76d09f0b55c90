import { useNavigate } from '@tanstack/react-router'
import { PageTitle } from '../app/page-title.tsx'
import { useMine, useProject } from '../app/project.ts'
import { ProvisionTenantForm } from '../components/tenants/provision-tenant-form.tsx'

export function NewOrganization() {
  const { url, getAccessToken } = useProject()
  const { refetch } = useMine()
  const navigate = useNavigate()
  return (
    <>
      <PageTitle title="New organization">It gets a database of its own.</PageTitle>
      <ProvisionTenantForm
        url={url}
        getAccessToken={getAccessToken}
        onBegun={(_, slug) =>
          void refetch().then(() =>
            slug ? navigate({ to: '/o/$slug', params: { slug } }) : navigate({ to: '/' }),
          )
        }
      />
    </>
  )
}
