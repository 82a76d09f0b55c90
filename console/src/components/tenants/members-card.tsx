import { type InfiniteData, useInfiniteQuery } from '@tanstack/react-query'
import { MEMBERS, type MembersQuery } from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { Moment } from './lib/time'
import { sentenceCase } from './lib/words'
import { Button } from './ui/button'
import { Badge, Card, CardHeader, Failure, Loading, Spinner } from './ui/parts'

const ROWS = 50

type Member = MembersQuery['members'][number]

/** Who belongs to the organization, in pages that are added one to the other. */
export function MembersCard({ access, organizationId }: { access: ProjectAccess; organizationId: string }) {
  const members = useInfiniteQuery<
    MembersQuery,
    ApiError,
    InfiniteData<MembersQuery>,
    readonly unknown[],
    string | null
  >({
    queryKey: ['members', organizationId],
    queryFn: ({ pageParam, signal }) =>
      request(access, MEMBERS, { organizationId, first: ROWS, after: pageParam }, signal),
    initialPageParam: null,
    getNextPageParam: (page) => (page.members.length < ROWS ? undefined : page.members.at(-1)?.cursor),
  })
  const list = members.data?.pages.flatMap((page) => page.members)
  // What is shown already stays as it is when it cannot be read anew.
  const failure = list === undefined || members.isFetchNextPageError ? members.error : null
  return (
    <Card>
      <CardHeader title="Members">Who belongs to your organization, and in which role.</CardHeader>
      {list === undefined ? null : list.length === 0 ? (
        <p className="px-5 py-4 text-sm text-muted-foreground">There are no members.</p>
      ) : (
        <ul className="divide-y">
          {list.map((member) => (
            <Row key={member.userId} member={member} />
          ))}
        </ul>
      )}
      {failure ? (
        <div className="px-5 py-4">
          <Failure
            error={failure}
            onRetry={() => void (list ? members.fetchNextPage() : members.refetch())}
          />
        </div>
      ) : null}
      {members.isPending ? <Loading what="the members" /> : null}
      {members.hasNextPage && !failure ? (
        <div className="border-t px-5 py-3">
          <Button
            variant="outline"
            size="small"
            disabled={members.isFetchingNextPage}
            onClick={() => void members.fetchNextPage()}
          >
            {members.isFetchingNextPage ? <Spinner /> : null}
            Show more
          </Button>
        </div>
      ) : null}
    </Card>
  )
}

function Row({ member: { fullName, email, role, createdAt } }: { member: Member }) {
  const name = fullName ?? email ?? 'Without a name'
  return (
    <li className="flex flex-wrap items-center gap-x-3 gap-y-1 px-5 py-3 text-sm">
      <p className="min-w-0 flex-1 basis-52">
        <span className="block font-medium break-words">{name}</span>
        {email && email !== name ? (
          <span className="block break-all text-muted-foreground">{email}</span>
        ) : null}
      </p>
      <Badge>{sentenceCase(role)}</Badge>
      <span className="text-muted-foreground">
        since <Moment at={createdAt} />
      </span>
    </li>
  )
}
