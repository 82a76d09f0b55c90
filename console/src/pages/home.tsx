import { Navigate } from '@tanstack/react-router'
import { PageTitle } from '../app/page-title.tsx'
import { useMine } from '../app/project.ts'
import { Card, Empty, Spinner } from '../components/tenants/ui/parts.tsx'

/** Leads to the first organization. */
export function Home() {
  const { data } = useMine()
  const [first] = data?.myOrganizations ?? []
  if (first) return <Navigate to="/o/$slug" params={{ slug: first.slug }} replace />
  return (
    <>
      <PageTitle title="Your organizations" />
      <Card>
        <Empty title="You are in no organization yet" action={<Spinner className="text-muted-foreground" />}>
          If you have just signed up, yours is being made, and this page goes on by itself. If a team expects
          you, ask them to add you.
        </Empty>
      </Card>
    </>
  )
}
