import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import type { ComponentType } from 'react'
import { ApiError } from './lib/api'

const RETRYABLE = ['unreachable', 'database_unavailable', 'internal_error']

/** What all components of a page share. Nothing of it is stored. */
export const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 10_000,
      // Without a connection they fail at once, which is shown; by itself a query would look as if it were under way.
      networkMode: 'always',
      refetchOnReconnect: true,
      retry: (count, error) => count < 2 && error instanceof ApiError && RETRYABLE.includes(error.code),
    },
    // Nothing is done later, when nobody expects it any more.
    mutations: { networkMode: 'always' },
  },
})

/** A component that needs no provider around it. */
export function withQueries<Props extends object>(Component: ComponentType<Props>): ComponentType<Props> {
  return function WithQueries(props: Props) {
    return (
      <QueryClientProvider client={queries}>
        <Component {...props} />
      </QueryClientProvider>
    )
  }
}
