import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import type { FormEvent } from 'react'
import {
  EXPECT_MEMBER,
  EXPECTED_MEMBERS,
  type ExpectedMembersQuery,
  WITHDRAW_EXPECTATION,
} from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { Moment } from './lib/time'
import { sentenceCase } from './lib/words'
import { Button } from './ui/button'
import { Badge, Card, CardHeader, Failure, Field, inputClass, Loading, Spinner } from './ui/parts'

/** Whom the organization expects: they join it when they sign up with this address. */
export function ExpectedMembersCard({
  access,
  organizationId,
}: {
  access: ProjectAccess
  organizationId: string
}) {
  const client = useQueryClient()
  const expected = useQuery<ExpectedMembersQuery, ApiError>({
    queryKey: ['expected', organizationId],
    queryFn: ({ signal }) => request(access, EXPECTED_MEMBERS, { organizationId }, signal),
  })
  const change = useMutation<unknown, ApiError, () => Promise<unknown>>({
    mutationFn: (work) => work(),
    onSuccess: () => client.invalidateQueries({ queryKey: ['expected', organizationId] }),
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const given = new FormData(form)
    const email = String(given.get('email')).trim()
    const role = given.get('role') === 'ADMIN' ? 'ADMIN' : 'MEMBER'
    change.mutate(() => request(access, EXPECT_MEMBER, { organizationId, email, role }), {
      onSuccess: () => form.reset(),
    })
  }
  const list = expected.data?.expectedMembers ?? []
  return (
    <Card>
      <CardHeader title="Expected members">
        Whoever signs up with one of these addresses is asked to join your organization.
      </CardHeader>
      <form onSubmit={submit} className="flex flex-wrap items-end gap-3 px-5 py-4">
        <Field
          className="min-w-0 flex-1 basis-60"
          label="E-mail address"
          name="email"
          type="email"
          required
          autoComplete="off"
        />
        <label className="space-y-1.5 text-sm font-medium">
          <span className="block">Role</span>
          <select name="role" className={inputClass} defaultValue="MEMBER">
            <option value="MEMBER">Member</option>
            <option value="ADMIN">Admin</option>
          </select>
        </label>
        <Button type="submit" variant="outline" disabled={change.isPending}>
          {change.isPending ? <Spinner /> : null}
          Expect
        </Button>
      </form>
      {change.error ? (
        <div className="px-5 pb-4">
          <Failure error={change.error} />
        </div>
      ) : null}
      {expected.error && !expected.data ? (
        <div className="px-5 pb-4">
          <Failure error={expected.error} onRetry={() => void expected.refetch()} />
        </div>
      ) : expected.isPending ? (
        <Loading what="the expected members" rows={1} />
      ) : list.length === 0 ? (
        <p className="border-t px-5 py-4 text-sm text-muted-foreground">Nobody is expected at the moment.</p>
      ) : (
        <ul className="divide-y border-t">
          {list.map(({ id, email, role, endsAt }) => (
            <li key={id} className="flex flex-wrap items-center gap-x-3 gap-y-1 px-5 py-3 text-sm">
              <span className="min-w-0 flex-1 basis-52 font-medium break-all">{email}</span>
              <Badge>{sentenceCase(role)}</Badge>
              <span className="text-muted-foreground">
                until <Moment at={endsAt} />
              </span>
              <Button
                variant="ghost"
                size="small"
                aria-label={`Withdraw ${email}`}
                onClick={() =>
                  change.mutate(() => request(access, WITHDRAW_EXPECTATION, { organizationId, email }))
                }
              >
                Withdraw
              </Button>
            </li>
          ))}
        </ul>
      )}
    </Card>
  )
}
