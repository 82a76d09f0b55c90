import { useNavigate, useSearch } from '@tanstack/react-router'
import { PageTitle } from '../app/page-title.tsx'
import { useProject } from '../app/project.ts'
import { TenantMonitor } from '../components/tenants/tenant-monitor.tsx'

export function Tenants() {
  const { url, getAccessToken } = useProject()
  const view = useSearch({ from: '/shell/tenants' })
  const navigate = useNavigate()
  return (
    <>
      <PageTitle title="Tenants">All tenants of this project.</PageTitle>
      <TenantMonitor
        url={url}
        getAccessToken={getAccessToken}
        view={view}
        onView={(next, how) =>
          void navigate({ to: '/tenants', search: next, resetScroll: false, replace: how === 'replace' })
        }
      />
    </>
  )
}
