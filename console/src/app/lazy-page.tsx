import { type ComponentType, type ReactNode, useEffect, useReducer } from 'react'
import { ApiError } from '../components/tenants/lib/api.ts'
import { useOnline } from '../components/tenants/lib/online.ts'
import { Failure, Loading } from '../components/tenants/ui/parts.tsx'

/**
 * A page whose program is loaded when it is wanted, or when a pointer comes near its link. Where it cannot be loaded, the page says so
 * and goes on by itself when there is a network again. The router's own way would show an address that cannot be reached instead.
 */
export function lazyPage(
  load: () => Promise<ComponentType>,
): (() => ReactNode) & { preload(): Promise<void> } {
  let Page: ComponentType | undefined
  let failure: ApiError | undefined
  let loading: Promise<void> | undefined
  const preload = () => {
    loading ??= load()
      .then(
        (page) => {
          Page = page
          failure = undefined
        },
        () => {
          failure = navigator.onLine
            ? new ApiError('A part of the console could not be loaded.', 'page_not_loaded')
            : new ApiError('You are offline.', 'offline')
        },
      )
      .finally(() => {
        loading = undefined
      })
    return loading
  }
  // biome-ignore lint/correctness/noComponentHookFactories: one for each page, when the program begins
  function LazyPage() {
    const [, renderAgain] = useReducer((count: number) => count + 1, 0)
    const isOnline = useOnline()
    const isThere = Page !== undefined
    useEffect(() => {
      if (isThere || !isOnline) return
      // A browser remembers of a program that it could not be loaded, for as long as the document is there.
      if (failure?.code === 'offline') location.reload()
      else if (!failure) void preload().then(renderAgain)
    }, [isThere, isOnline])
    if (Page) return <Page />
    if (!failure) return <Loading what="the page" rows={6} />
    // After an update of the console the former parts are gone, and a reload finds the new ones.
    return <Failure error={failure} onRetry={() => location.reload()} />
  }
  return Object.assign(LazyPage, { preload })
}
