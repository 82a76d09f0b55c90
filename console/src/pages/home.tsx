import { useMutation, useQuery } from '@tanstack/react-query'
import { Navigate } from '@tanstack/react-router'
import { PageTitle } from '../app/page-title.tsx'
import { useMine, useProject } from '../app/project.ts'
import {
  ACCEPT_MEMBERSHIP,
  DECLINE_MEMBERSHIP,
  MY_EXPECTATIONS,
  type MyExpectationsQuery,
} from '../components/tenants/generated/operations.ts'
import { type ApiError, request } from '../components/tenants/lib/api.ts'
import { Moment } from '../components/tenants/lib/time.tsx'
import { Button } from '../components/tenants/ui/button.tsx'
import { Card, CardHeader, Empty, Failure, Loading, Spinner } from '../components/tenants/ui/parts.tsx'
import { queries } from '../components/tenants/with-queries.tsx'

/** Leads to the first organization. Whoever is in none is asked whether they join one that expects them. */
export function Home() {
  const { data } = useMine()
  const [first] = data?.myOrganizations ?? []
  if (first) return <Navigate to="/o/$slug" params={{ slug: first.slug }} replace />
  return (
    <>
      <PageTitle title="Your organizations" />
      <Expectations />
    </>
  )
}

function Expectations() {
  const project = useProject()
  const { refetch } = useMine()
  const expected = useQuery<MyExpectationsQuery, ApiError>(
    {
      queryKey: ['my-expectations'],
      queryFn: ({ signal }) => request(project, MY_EXPECTATIONS, {}, signal),
    },
    queries,
  )
  const answer = useMutation<object, ApiError, { organizationId: string; joins: boolean }>(
    {
      mutationFn: ({ organizationId, joins }) =>
        joins
          ? request(project, ACCEPT_MEMBERSHIP, { organizationId })
          : request(project, DECLINE_MEMBERSHIP, { organizationId }),
      onSuccess: () => Promise.all([refetch(), expected.refetch()]),
    },
    queries,
  )
  if (expected.error && !expected.data)
    return <Failure error={expected.error} onRetry={() => void expected.refetch()} />
  if (!expected.data)
    return (
      <Card>
        <Loading what="who expects you" />
      </Card>
    )
  const list = expected.data.myExpectations
  if (list.length === 0)
    return (
      <Card>
        <Empty title="You are in no organization yet" action={<Spinner className="text-muted-foreground" />}>
          If you have just signed up, yours is being made, and this page goes on by itself. If a team expects
          you, ask them to enter your e-mail address.
        </Empty>
      </Card>
    )
  return (
    <Card>
      <CardHeader title="You are expected">
        Join a team, or decline: then you get an organization of your own.
      </CardHeader>
      {answer.error ? (
        <div className="px-5 pt-4">
          <Failure error={answer.error} />
        </div>
      ) : null}
      <ul className="divide-y">
        {list.map(({ organizationId, organizationName, role, endsAt }) => (
          <li key={organizationId} className="flex flex-wrap items-center gap-x-4 gap-y-3 px-5 py-4">
            <p className="min-w-0 flex-1 basis-60">
              <span className="font-medium break-words">{organizationName}</span>
              <span className="block text-sm text-muted-foreground">
                as {role.toLowerCase()}, until <Moment at={endsAt} />
              </span>
            </p>
            <Button
              variant="outline"
              disabled={answer.isPending}
              onClick={() => answer.mutate({ organizationId, joins: false })}
            >
              Decline
            </Button>
            <Button
              disabled={answer.isPending}
              onClick={() => answer.mutate({ organizationId, joins: true })}
            >
              {answer.isPending ? <Spinner /> : null}
              Join
            </Button>
          </li>
        ))}
      </ul>
    </Card>
  )
}
