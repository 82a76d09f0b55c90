import type { Failure } from '../../kernel/failures.ts'
import type { Result } from '../../kernel/result.ts'
import { suspendTimeoutToAskFor, type TenantLimits } from './tenant.ts'

/** A limit that a Neon account's plan may refuse, as Neon's API calls it. */
export type RefusableLimit = 'suspend_timeout_seconds' | 'history_retention_seconds'

/** The limits that the account's plan refused. What was sent instead is Neon's default, or the most that the plan has. */
export type LimitsResult<T> = Result<T> & { readonly refused: readonly RefusableLimit[] }

const SUSPEND_REFUSED = /suspend interval is not permitted/i
const HISTORY_REFUSED = /history retention seconds exceeds/i

/** 412 for the suspend timeout, 400 for the history retention. The messages are the only thing that tells which it was. */
export function isPlanRefusal(status: number, said: string): boolean {
  return (status === 412 && SUSPEND_REFUSED.test(said)) || (status === 400 && HISTORY_REFUSED.test(said))
}

/**
 * Does something with a project's limits, and again without those that the account's plan refuses: a tenant without its
 * suspend timeout is better off than a tenant without a database. A refused request has changed nothing at Neon.
 */
export async function withinPlan<T>(
  limits: TenantLimits,
  send: (limits: TenantLimits) => Promise<Result<T>>,
  refused: readonly RefusableLimit[] = [],
): Promise<LimitsResult<T>> {
  const result = await send(limits)
  const less = result.ok ? undefined : withoutRefused(limits, result.failure)
  if (!less || refused.includes(less.refused)) return { ...result, refused }
  return withinPlan(less.limits, send, [...refused, less.refused])
}

function withoutRefused(
  limits: TenantLimits,
  { code, message }: Failure,
): { limits: TenantLimits; refused: RefusableLimit } | undefined {
  if (code !== 'neon_limit_refused') return undefined
  if (SUSPEND_REFUSED.test(message))
    return { limits: { ...limits, suspendTimeoutSeconds: undefined }, refused: 'suspend_timeout_seconds' }
  const most = /max:\s*"?(\d+)/.exec(message)?.[1]
  const historyRetentionSeconds = most === undefined ? undefined : Number(most)
  return { limits: { ...limits, historyRetentionSeconds }, refused: 'history_retention_seconds' }
}

/** Whether each limit was refused; null for one that was not asked for. */
export function refusals(limits: TenantLimits, refused: readonly RefusableLimit[]) {
  const suspendRefused = refused.includes('suspend_timeout_seconds')
  return {
    suspendRefused: suspendTimeoutToAskFor(limits) !== undefined ? suspendRefused : null,
    historyRefused: refused.includes('history_retention_seconds'),
  }
}
