import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { KeyRound, Plus } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import {
  API_KEYS,
  type ApiKeysQuery,
  CREATE_API_KEY,
  type KeyFragment,
  type KeyScope,
  RENAME_API_KEY,
  REROLL_API_KEY,
  REVOKE_API_KEY,
} from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { Ago, Moment } from './lib/time'
import { Button } from './ui/button'
import { Confirm, Dialog } from './ui/dialog'
import {
  Badge,
  Card,
  CardHeader,
  CopyButton,
  Empty,
  Failure,
  Field,
  inputClass,
  Loading,
  Spinner,
} from './ui/parts'

const DAY_MS = 86_400_000
const GRACE_HOURS = 24

type Act =
  | { readonly act: 'create' }
  | { readonly act: 'rename' | 'revoke' | 'replace'; readonly apiKey: KeyFragment }

/** The API keys of the tenant's GraphQL endpoint. A new one is shown once. */
export function KeysCard({ access, organizationId }: { access: ProjectAccess; organizationId: string }) {
  const client = useQueryClient()
  const [act, setAct] = useState<Act>()
  const [newKey, setNewKey] = useState<string>()
  const keys = useQuery<ApiKeysQuery, ApiError>({
    queryKey: ['keys', organizationId],
    queryFn: ({ signal }) => request(access, API_KEYS, { organizationId }, signal),
  })
  const done = () => {
    setAct(undefined)
    void client.invalidateQueries({ queryKey: ['keys', organizationId] })
  }
  const change = useMutation<string | undefined, ApiError, () => Promise<string | undefined>>({
    mutationFn: (work) => work(),
    onSuccess: (key) => {
      setNewKey(key)
      done()
      // The key stays nowhere but in the dialog.
      change.reset()
    },
    gcTime: 0,
  })
  const open = (next: Act) => {
    change.reset()
    setAct(next)
  }
  const close = () => setAct(undefined)
  const list = keys.data?.apiKeys ?? []
  return (
    <Card>
      <CardHeader
        title="API keys"
        actions={
          <Button size="small" onClick={() => open({ act: 'create' })}>
            <Plus aria-hidden />
            New key
          </Button>
        }
      >
        With a key a program uses the GraphQL endpoint of your database.
      </CardHeader>
      {keys.error && !keys.data ? (
        <div className="p-5">
          <Failure error={keys.error} onRetry={() => void keys.refetch()} />
        </div>
      ) : keys.isPending ? (
        <Loading what="the keys" />
      ) : list.length === 0 ? (
        <Empty title="There are no keys yet">
          Make one for each program, so that each can be revoked by itself.
        </Empty>
      ) : (
        <ul className="divide-y">
          {list.map((apiKey) => (
            <KeyRow key={apiKey.id} apiKey={apiKey} onAct={open} />
          ))}
        </ul>
      )}
      <Dialog title="New API key" isOpen={act?.act === 'create'} onClose={close}>
        <NewKeyForm
          error={change.error}
          isBusy={change.isPending}
          onCancel={close}
          onCreate={(wishes) =>
            change.mutate(
              async () =>
                (await request(access, CREATE_API_KEY, { organizationId, ...wishes })).createApiKey.key,
            )
          }
        />
      </Dialog>
      {act && act.act === 'rename' ? (
        <Dialog title="Rename the key" isOpen onClose={close}>
          <RenameForm
            apiKey={act.apiKey}
            error={change.error}
            isBusy={change.isPending}
            onCancel={close}
            onRename={(name) =>
              change.mutate(
                async () => void (await request(access, RENAME_API_KEY, { id: act.apiKey.id, name })),
              )
            }
          />
        </Dialog>
      ) : null}
      {act && act.act === 'revoke' ? (
        <Confirm
          title={`Revoke “${act.apiKey.name}”?`}
          confirm="Revoke"
          isDangerous
          isOpen
          isBusy={change.isPending}
          error={change.error}
          onClose={close}
          onConfirm={() =>
            change.mutate(async () => void (await request(access, REVOKE_API_KEY, { id: act.apiKey.id })))
          }
        >
          <p>Programs that use it are refused from then on. This cannot be taken back.</p>
        </Confirm>
      ) : null}
      {act && act.act === 'replace' ? (
        <Confirm
          title={`Replace “${act.apiKey.name}”?`}
          confirm="Replace"
          isOpen
          isBusy={change.isPending}
          error={change.error}
          onClose={close}
          onConfirm={() =>
            change.mutate(
              async () =>
                (await request(access, REROLL_API_KEY, { id: act.apiKey.id, graceHours: GRACE_HOURS }))
                  .rerollApiKey.key,
            )
          }
        >
          <p>
            You get another key with the same rights. The present one stays valid for {GRACE_HOURS} hours, so
            that programs can change over.
          </p>
        </Confirm>
      ) : null}
      <Dialog title="Your new API key" isOpen={newKey !== undefined} onClose={() => setNewKey(undefined)}>
        <p className="text-sm text-muted-foreground">
          Copy it now: it is shown this once, and we keep no copy.
        </p>
        <div className="flex items-center gap-2 rounded-lg border bg-muted/60 py-1 pr-1 pl-3">
          <code data-secret="" className="min-w-0 flex-1 font-mono text-sm break-all">
            {newKey}
          </code>
          <CopyButton text={newKey ?? ''} what="the key" />
        </div>
        <div className="flex justify-end">
          <Button onClick={() => setNewKey(undefined)}>I have copied it</Button>
        </div>
      </Dialog>
    </Card>
  )
}

function KeyRow({ apiKey, onAct }: { apiKey: KeyFragment; onAct(act: Act): void }) {
  const { name, prefix, scope, status, createdAt, lastUsedAt, expiresAt, revokedAt, replacedBy } = apiKey
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-5 py-4">
      <KeyRound aria-hidden className="size-5 shrink-0 text-muted-foreground" />
      <div className="min-w-0 flex-1 basis-56">
        <p className="flex flex-wrap items-center gap-2">
          <span className="font-medium break-all">{name}</span>
          <Badge>{scope === 'WRITE' ? 'Reads and writes' : 'Reads'}</Badge>
          {status === 'ACTIVE' ? null : (
            <Badge tone="warning">{status === 'REVOKED' ? 'Revoked' : 'Expired'}</Badge>
          )}
          {status === 'ACTIVE' && replacedBy ? <Badge tone="info">Replaced</Badge> : null}
        </p>
        <p className="mt-0.5 text-sm text-muted-foreground">
          <code className="font-mono">{prefix}…</code> · made <Moment at={createdAt} /> ·{' '}
          {lastUsedAt ? (
            <>
              last used <Ago at={lastUsedAt} />
            </>
          ) : (
            'never used'
          )}
          {status === 'ACTIVE' && (revokedAt ?? expiresAt) ? (
            <>
              {' '}
              · ends <Moment at={revokedAt ?? expiresAt ?? ''} />
            </>
          ) : null}
        </p>
      </div>
      {status === 'ACTIVE' ? (
        <div className="flex gap-1">
          <Button
            variant="ghost"
            size="small"
            aria-label={`Rename ${name}`}
            onClick={() => onAct({ act: 'rename', apiKey })}
          >
            Rename
          </Button>
          {replacedBy ? null : (
            <Button
              variant="ghost"
              size="small"
              aria-label={`Replace ${name}`}
              onClick={() => onAct({ act: 'replace', apiKey })}
            >
              Replace
            </Button>
          )}
          <Button
            variant="ghost"
            size="small"
            className="text-destructive"
            aria-label={`Revoke ${name}`}
            onClick={() => onAct({ act: 'revoke', apiKey })}
          >
            Revoke
          </Button>
        </div>
      ) : null}
    </li>
  )
}

interface KeyWishes {
  readonly name: string
  readonly scope: KeyScope
  readonly expiresAt: string | null
}

interface FormProps {
  readonly error: ApiError | null
  readonly isBusy: boolean
  onCancel(): void
}

function NewKeyForm({
  error,
  isBusy,
  onCancel,
  onCreate,
}: FormProps & { onCreate(wishes: KeyWishes): void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const given = new FormData(event.currentTarget)
    const days = Number(given.get('days'))
    onCreate({
      name: String(given.get('name')).trim() || 'API key',
      scope: given.get('scope') === 'WRITE' ? 'WRITE' : 'READ',
      expiresAt: days > 0 ? new Date(Date.now() + days * DAY_MS).toISOString() : null,
    })
  }
  return (
    <form onSubmit={submit} className="space-y-4">
      <Field
        label="Name"
        name="name"
        maxLength={100}
        placeholder="Website"
        hint="By which you tell it from others."
        autoComplete="off"
      />
      <label className="block space-y-1.5 text-sm font-medium">
        <span className="block">What it may do</span>
        <select name="scope" className={inputClass} defaultValue="READ">
          <option value="READ">Read</option>
          <option value="WRITE">Read and write</option>
        </select>
      </label>
      <label className="block space-y-1.5 text-sm font-medium">
        <span className="block">Ends</span>
        <select name="days" className={inputClass} defaultValue="90">
          <option value="30">in 30 days</option>
          <option value="90">in 90 days</option>
          <option value="365">in a year</option>
          <option value="0">only when it is revoked</option>
        </select>
      </label>
      {error ? <Failure error={error} /> : null}
      <FormButtons isBusy={isBusy} onCancel={onCancel} submit="Create the key" />
    </form>
  )
}

function RenameForm({
  apiKey,
  error,
  isBusy,
  onCancel,
  onRename,
}: FormProps & { apiKey: KeyFragment; onRename(name: string): void }) {
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    onRename(String(new FormData(event.currentTarget).get('name')).trim())
  }
  return (
    <form onSubmit={submit} className="space-y-4">
      <Field
        label="Name"
        name="name"
        maxLength={100}
        required
        defaultValue={apiKey.name}
        autoComplete="off"
      />
      {error ? <Failure error={error} /> : null}
      <FormButtons isBusy={isBusy} onCancel={onCancel} submit="Rename" />
    </form>
  )
}

function FormButtons({ isBusy, onCancel, submit }: { isBusy: boolean; onCancel(): void; submit: string }) {
  return (
    <div className="flex justify-end gap-2">
      <Button variant="outline" onClick={onCancel}>
        Cancel
      </Button>
      <Button type="submit" disabled={isBusy}>
        {isBusy ? <Spinner /> : null}
        {submit}
      </Button>
    </div>
  )
}
