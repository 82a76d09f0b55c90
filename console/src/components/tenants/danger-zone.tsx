import { useMutation, useQuery } from '@tanstack/react-query'
import { type FormEvent, useState } from 'react'
import {
  DELETE_ORGANIZATION,
  type DeleteOrganizationMutation,
  UPDATE_ORGANIZATION,
} from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { Button } from './ui/button'
import { Confirm } from './ui/dialog'
import { Card, CardHeader, Failure, Field, Notice, Spinner } from './ui/parts'

interface DangerZoneProps {
  readonly access: ProjectAccess
  readonly organization: { readonly id: string; readonly name: string; readonly slug: string }
  readonly canDelete: boolean
  readonly onDeleted: (() => void) | undefined
  readonly onRenamed: (() => void) | undefined
}

/** The name of the organization, and its deletion, which has to be confirmed by typing. */
export function DangerZone({ access, organization, canDelete, onDeleted, onRenamed }: DangerZoneProps) {
  const organizationId = organization.id
  const [isAsked, setAsked] = useState(false)
  const rename = useMutation<unknown, ApiError, string>({
    mutationFn: (name) => request(access, UPDATE_ORGANIZATION, { organizationId, name }),
    onSuccess: () => onRenamed?.(),
  })
  const plan = useQuery<DeleteOrganizationMutation, ApiError>({
    queryKey: ['deletion', organizationId],
    queryFn: () => request(access, DELETE_ORGANIZATION, { organizationId, dryRun: true }),
    enabled: isAsked,
  })
  const remove = useMutation<unknown, ApiError>({
    mutationFn: () =>
      request(access, DELETE_ORGANIZATION, { organizationId, confirm: organization.slug, dryRun: false }),
    onSuccess: () => onDeleted?.(),
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    rename.mutate(String(new FormData(event.currentTarget).get('name')).trim())
  }
  return (
    <>
      <Card>
        <CardHeader title="Name" />
        <form onSubmit={submit} className="flex flex-wrap items-end gap-3 px-5 py-4">
          <Field
            className="min-w-0 flex-1 basis-60"
            label="Name of the organization"
            name="name"
            required
            maxLength={100}
            defaultValue={organization.name}
            autoComplete="off"
          />
          <Button type="submit" variant="outline" disabled={rename.isPending}>
            {rename.isPending ? <Spinner /> : null}
            Save
          </Button>
          <div className="basis-full empty:hidden">
            {rename.error ? (
              <Failure error={rename.error} />
            ) : rename.isSuccess ? (
              <Notice tone="success">The name is changed.</Notice>
            ) : null}
          </div>
        </form>
      </Card>
      {canDelete ? (
        <Card className="border-destructive/50">
          <CardHeader
            title="Delete the organization"
            actions={
              <Button variant="destructive" size="small" onClick={() => setAsked(true)}>
                Delete
              </Button>
            }
          >
            Everybody loses access at once. What it has is removed.
          </CardHeader>
          <Confirm
            title={`Delete ${organization.name}?`}
            confirm="Delete for good"
            typed={organization.slug}
            isDangerous
            isOpen={isAsked}
            isBusy={remove.isPending}
            error={remove.error ?? plan.error}
            onConfirm={() => remove.mutate()}
            onClose={() => setAsked(false)}
          >
            <p>This is what becomes of what the organization has:</p>
            <ul className="list-disc space-y-1 pl-5">
              {plan.data?.deleteOrganization.resources.map(({ label, kept, removedAfterHours }) => (
                <li key={label}>
                  {label}:{' '}
                  {kept
                    ? 'kept for the books'
                    : removedAfterHours > 0
                      ? `removed after ${removedAfterHours} hours`
                      : 'removed at once'}
                </li>
              ))}
              {plan.isPending ? <li>Looking…</li> : null}
            </ul>
          </Confirm>
        </Card>
      ) : null}
    </>
  )
}
