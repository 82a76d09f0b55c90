import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { Eye, EyeOff } from 'lucide-react'
import { useEffect, useState } from 'react'
import { addressOf, type Connection, connectionTexts, type Form } from './connection-texts'
import { CONNECTION_INFO, type ConnectionInfoQuery } from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { Button } from './ui/button'
import { Confirm } from './ui/dialog'
import { Card, CardHeader, CopyButton, Empty, Failure, Loading } from './ui/parts'
import { Tabs } from './ui/tabs'

const SHOWN_MS = 30_000
const TLS_WORDS: Readonly<Record<Connection['sslMode'], string>> = {
  VERIFY_FULL: 'required, certificate verified',
  REQUIRE: 'required',
  DISABLE: 'off, on this machine alone',
}
const FORMS: readonly { readonly name: Form; readonly title: string }[] = [
  { name: 'psql', title: 'psql' },
  { name: 'uri', title: 'URI' },
  { name: 'env', title: '.env' },
  { name: 'node', title: 'Node.js' },
]

/** How to connect. The password is shown on request, kept in memory alone, and hidden again after half a minute. */
export function ConnectionCard({
  access,
  organizationId,
}: {
  access: ProjectAccess
  organizationId: string
}) {
  const [form, setForm] = useState<Form>('psql')
  const [isPooled, setPooled] = useState(true)
  const [isAsked, setAsked] = useState(false)
  // The password with the user that it belongs to: a rotation makes another login.
  const [revealed, setRevealed] = useState<Connection>()
  const client = useQueryClient()
  const queryKey = ['connection', organizationId]
  const info = useQuery<ConnectionInfoQuery, ApiError>({
    queryKey,
    queryFn: ({ signal }) =>
      request(access, CONNECTION_INFO, { organizationId, revealPassword: false }, signal),
  })
  const reveal = useMutation<ConnectionInfoQuery, ApiError>({
    mutationFn: () => request(access, CONNECTION_INFO, { organizationId, revealPassword: true }),
    onSuccess: ({ tenantConnectionInfo: found }) => {
      setRevealed(found ?? undefined)
      setAsked(false)
      client.setQueryData<ConnectionInfoQuery>(queryKey, {
        tenantConnectionInfo: found && { ...found, password: null },
      })
      // What was shown stays nowhere else.
      reveal.reset()
    },
    gcTime: 0,
  })
  useEffect(() => {
    if (!revealed) return
    const timer = setTimeout(() => setRevealed(undefined), SHOWN_MS)
    return () => clearTimeout(timer)
  }, [revealed])
  const connection = revealed ?? info.data?.tenantConnectionInfo
  if (info.error?.code === 'database_not_found')
    return (
      <Card>
        <CardHeader title="Connection" />
        <Empty title="There is no database yet">Its address is shown here as soon as it is set up.</Empty>
      </Card>
    )
  if (!connection)
    return (
      <Card>
        <CardHeader title="Connection" />
        {info.error ? (
          <div className="p-5">
            <Failure error={info.error} onRetry={() => void info.refetch()} />
          </div>
        ) : (
          <Loading what="the connection" />
        )}
      </Card>
    )
  const password = revealed?.password ?? undefined
  const address = addressOf(connection, isPooled)
  const shown = connectionTexts(connection, isPooled, password ?? '••••••••')[form]
  const copied = connectionTexts(connection, isPooled, password ?? 'YOUR_PASSWORD')[form]
  return (
    <Card>
      <CardHeader
        title="Connection"
        actions={
          password === undefined ? (
            <Button variant="outline" size="small" onClick={() => setAsked(true)}>
              <Eye aria-hidden />
              Reveal the password
            </Button>
          ) : (
            <Button variant="outline" size="small" onClick={() => setRevealed(undefined)}>
              <EyeOff aria-hidden />
              Hide the password
            </Button>
          )
        }
      >
        For programs that you run on a server. Browsers use the GraphQL endpoint.
      </CardHeader>
      <div className="space-y-4 px-5 py-4">
        <Tabs<Form> label="Form" tabs={FORMS} value={form} onChange={setForm}>
          <div className="flex items-start gap-2 rounded-lg border bg-muted/60 py-2 pr-2 pl-4">
            <pre
              data-secret={password === undefined ? undefined : ''}
              className="min-w-0 flex-1 py-2 font-mono text-sm [overflow-wrap:anywhere] whitespace-pre-wrap"
            >
              {shown}
            </pre>
            <CopyButton text={copied} what={`the ${form} form`} />
          </div>
        </Tabs>
        <p role="status" className="text-sm text-muted-foreground">
          {password === undefined
            ? 'The password is hidden. A copy has YOUR_PASSWORD in its place.'
            : 'The password is shown for 30 seconds. That you saw it is in the audit log.'}
        </p>
        {connection.pooledHost ? (
          <label className="flex w-fit items-center gap-2 text-sm">
            <input
              type="checkbox"
              className="size-4 accent-primary"
              checked={isPooled}
              onChange={() => setPooled(!isPooled)}
            />
            Through the pooler, for many short connections
          </label>
        ) : null}
        <dl className="grid gap-x-6 gap-y-3 border-t pt-4 text-sm sm:grid-cols-2">
          {[
            ['Host', address.host],
            ['Port', String(address.port)],
            ['Database', connection.database],
            ['User', connection.role],
            ['TLS', TLS_WORDS[connection.sslMode]],
            ['GraphQL endpoint', connection.graphqlEndpoint ?? 'none yet'],
          ].map(([name = '', value = '']) => (
            <div key={name} className="min-w-0">
              <dt className="text-muted-foreground">{name}</dt>
              <dd className="flex min-h-9 items-center gap-2 font-mono">
                <span className="min-w-0 break-all">{value}</span>
                {['TLS', 'Port'].includes(name) || value === 'none yet' ? null : (
                  <CopyButton text={value} what={name} />
                )}
              </dd>
            </div>
          ))}
        </dl>
      </div>
      <Confirm
        title="Reveal the password?"
        confirm="Reveal"
        isOpen={isAsked}
        isBusy={reveal.isPending}
        error={reveal.error}
        onConfirm={() => reveal.mutate()}
        onClose={() => setAsked(false)}
      >
        <p>
          It is shown for 30 seconds on this page. Who saw it, and when, goes to the audit log of your
          organization.
        </p>
      </Confirm>
    </Card>
  )
}
