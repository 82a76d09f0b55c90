import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { RETRY_TENANTS, type RetryTenantsMutation, type TenantFilter } from './generated/operations'
import { plain } from './lib/amounts'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { failureText } from './lib/failure-text'
import { Button } from './ui/button'
import { Failure, Loading, Notice, Spinner } from './ui/parts'

const PORTION = 100

interface BulkRetryProps {
  readonly access: ProjectAccess
  readonly filter: TenantFilter
  onReason(code: string): void
  onClose(): void
}

/** First counts, by reason; then tries them again in portions, after everybody who waits for something. */
export function BulkRetry({ access, filter, onReason, onClose }: BulkRetryProps) {
  const client = useQueryClient()
  const dry = useQuery<RetryTenantsMutation, ApiError>({
    queryKey: ['bulk-retry', filter],
    queryFn: () => request(access, RETRY_TENANTS, { filter, dryRun: true, first: PORTION }),
    staleTime: 0,
  })
  const [done, setDone] = useState(0)
  const retry = useMutation<number, ApiError>({
    mutationFn: async () => {
      let total = 0
      let last: RetryTenantsMutation['retryTenants']
      do {
        last = (await request(access, RETRY_TENANTS, { filter, dryRun: false, first: PORTION })).retryTenants
        total += last.retried
        setDone(total)
      } while (last.retried > 0 && last.remaining > 0)
      return total
    },
    onSettled: () => client.invalidateQueries(),
  })
  const found = dry.data?.retryTenants
  return (
    <div className="space-y-4 text-sm">
      {dry.error && !found ? <Failure error={dry.error} onRetry={() => void dry.refetch()} /> : null}
      {retry.error ? <Failure error={retry.error} /> : null}
      {dry.isPending ? <Loading what="the number" rows={2} /> : null}
      {retry.isSuccess ? (
        <Notice tone="success">
          {plain(retry.data)} tenants are tried again. People who wait for something go first.
        </Notice>
      ) : found && found.matched === 0 ? (
        <p className="text-muted-foreground">None of the tenants of this view has failed.</p>
      ) : found ? (
        <>
          <p>
            {found.exact ? '' : 'More than '}
            <strong>{plain(found.matched)}</strong>{' '}
            {found.matched === 1 ? 'tenant of this view has' : 'tenants of this view have'} failed:
          </p>
          <ul className="divide-y rounded-lg border">
            {found.byReason.map(({ code, message, count }) => (
              <li key={code} className="flex items-start gap-3 px-3 py-2">
                <span className="w-14 shrink-0 text-right font-semibold tabular-nums">{plain(count)}</span>
                <div className="min-w-0 flex-1">
                  <p className="break-words">{message || failureText(code)}</p>
                  <button
                    type="button"
                    className="font-mono text-xs text-primary underline underline-offset-4"
                    onClick={() => {
                      onReason(code)
                      onClose()
                    }}
                  >
                    {code}
                  </button>
                </div>
              </li>
            ))}
          </ul>
        </>
      ) : null}
      <div className="flex justify-end gap-2">
        <Button variant="outline" onClick={onClose}>
          Close
        </Button>
        {found && found.matched > 0 && !retry.isSuccess ? (
          <Button disabled={retry.isPending} onClick={() => retry.mutate()}>
            {retry.isPending ? <Spinner /> : null}
            {retry.isPending ? `${plain(done)} so far` : `Try ${plain(found.matched)} again`}
          </Button>
        ) : null}
      </div>
    </div>
  )
}
