import { useMutation } from '@tanstack/react-query'
import { RotateCw } from 'lucide-react'
import { useState } from 'react'
import { ConnectionCard } from './connection-card'
import { DangerZone } from './danger-zone'
import { ExpectedMembersCard } from './expected-members-card'
import { type Permission, ROTATE_CREDENTIALS, type RotateCredentialsMutation } from './generated/operations'
import { KeysCard } from './keys-card'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { MembersCard } from './members-card'
import { SchemaCard } from './schema-card'
import { Button } from './ui/button'
import { Confirm } from './ui/dialog'
import { Card, CardHeader, Empty, Notice } from './ui/parts'
import { withQueries } from './with-queries'

export interface TenantSettingsProps extends ProjectAccess {
  readonly organization: { readonly id: string; readonly name: string; readonly slug: string }
  /** Of the caller in the organization; only what they allow is shown. The API decides in any case. */
  readonly permissions: readonly Permission[]
  /** Called when the organization was deleted. */
  readonly onDeleted?: () => void
  /** Called when its name was changed. */
  readonly onRenamed?: () => void
}

/** The infrastructure of a tenant: connection, API keys, rotation, members, and its deletion. */
export const TenantSettings = withQueries(Settings)

function Settings({ organization, permissions, onDeleted, onRenamed, ...access }: TenantSettingsProps) {
  const may = (permission: Permission) => permissions.includes(permission)
  if (!may('READ_CONNECTION') && !may('MANAGE_KEYS') && !may('MANAGE_MEMBERS'))
    return (
      <Card>
        <Empty title="For owners and admins">
          Connection details, API keys and members are managed by the owners and admins of {organization.name}
          . Ask one of them.
        </Empty>
      </Card>
    )
  return (
    <div className="space-y-6">
      {may('READ_CONNECTION') ? <ConnectionCard access={access} organizationId={organization.id} /> : null}
      {may('MANAGE_KEYS') ? <KeysCard access={access} organizationId={organization.id} /> : null}
      {may('PROVISION') ? <Rotation access={access} organizationId={organization.id} /> : null}
      {may('READ_CONNECTION') ? <SchemaCard access={access} organizationId={organization.id} /> : null}
      {may('MANAGE_MEMBERS') ? (
        <>
          <MembersCard access={access} organizationId={organization.id} />
          <ExpectedMembersCard access={access} organizationId={organization.id} />
        </>
      ) : null}
      {may('EDIT_ORGANIZATION') ? (
        <DangerZone
          access={access}
          organization={organization}
          canDelete={may('DELETE_ORGANIZATION')}
          onDeleted={onDeleted}
          onRenamed={onRenamed}
        />
      ) : null}
    </div>
  )
}

function Rotation({ access, organizationId }: { access: ProjectAccess; organizationId: string }) {
  const [isAsked, setAsked] = useState(false)
  const rotate = useMutation<RotateCredentialsMutation, ApiError>({
    mutationFn: () => request(access, ROTATE_CREDENTIALS, { organizationId }),
    onSuccess: () => setAsked(false),
  })
  return (
    <Card>
      <CardHeader
        title="Password of the database"
        actions={
          <Button variant="outline" size="small" onClick={() => setAsked(true)}>
            <RotateCw aria-hidden />
            Change the password
          </Button>
        }
      >
        A new login takes the place of the present one, which stays valid for some hours.
      </CardHeader>
      {rotate.isSuccess ? (
        <div className="px-5 py-4">
          <Notice tone="success" title="A new login is being made">
            Reveal the connection again in a moment, and give your programs the new user and password.
          </Notice>
        </div>
      ) : null}
      <Confirm
        title="Change the password?"
        confirm="Change it"
        isOpen={isAsked}
        isBusy={rotate.isPending}
        error={rotate.error}
        onConfirm={() => rotate.mutate()}
        onClose={() => setAsked(false)}
      >
        <p>Your programs have to change over to the new user and password before the present one ends.</p>
      </Confirm>
    </Card>
  )
}
