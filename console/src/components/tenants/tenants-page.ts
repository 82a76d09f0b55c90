import { keepPreviousData, type UseQueryOptions } from '@tanstack/react-query'
import { TENANTS, type TenantsQuery } from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { filterOf, type MonitorView } from './monitor-view'
import { queries } from './with-queries'

const ROWS = 50

/** The page of the list that a view shows. */
export function tenantsPage(
  access: ProjectAccess,
  view: MonitorView,
): UseQueryOptions<TenantsQuery, ApiError> & { readonly queryKey: readonly unknown[] } {
  const [filter, sort, after] = [filterOf(view), view.sort ?? 'CREATED_AT_DESC', view.after ?? null]
  return {
    queryKey: ['tenants', filter, sort, after],
    queryFn: ({ signal }) => request(access, TENANTS, { filter, sort, page: { first: ROWS, after } }, signal),
    placeholderData: keepPreviousData,
    refetchInterval: 15_000,
  }
}

/** Asks for a view's page before anything of it is rendered; TenantMonitor then shows the answer. */
export function askForTenants(access: ProjectAccess, view: MonitorView): void {
  const { queryKey, queryFn } = tenantsPage(access, view)
  if (queryFn) void queries.prefetchQuery({ queryKey, queryFn })
}
