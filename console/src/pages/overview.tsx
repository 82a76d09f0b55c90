import { Link } from '@tanstack/react-router'
import { Play } from 'lucide-react'
import { PageTitle } from '../app/page-title.tsx'
import { sentenceCase } from '../components/tenants/lib/words.ts'
import { ProvisioningStatus } from '../components/tenants/provisioning-status.tsx'
import { buttonClass } from '../components/tenants/ui/button.tsx'
import { Badge } from '../components/tenants/ui/parts.tsx'
import { OrganizationPage } from './organization-page.tsx'

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
            whenReady={
              <div className="flex flex-col gap-3">
                <p>It answers GraphQL already, with the rights that you have in it.</p>
                <Link to="/o/$slug/query" params={{ slug: organization.slug }} className={buttonClass()}>
                  <Play aria-hidden />
                  Run the first query
                </Link>
                {organization.permissions.includes('READ_CONNECTION') ? (
                  <Link
                    to="/o/$slug/infrastructure"
                    params={{ slug: organization.slug }}
                    className={buttonClass({ variant: 'outline' })}
                  >
                    Connect to it
                  </Link>
                ) : null}
              </div>
            }
          />
        </>
      )}
    </OrganizationPage>
  )
}

const withArticle = (role: string) => (/^[aeiou]/.test(role) ? `an ${role}` : `a ${role}`)
