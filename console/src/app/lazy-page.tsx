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
  const program = new Program(load)
  return Object.assign(() => <LazyPage program={program} />, { preload: program.load })
}

/** The part of the console that a page is, loaded once. */
class Program {
  page: ComponentType | undefined
  failure: ApiError | undefined
  readonly #load: () => Promise<ComponentType>
  #loading: Promise<void> | undefined

  constructor(load: () => Promise<ComponentType>) {
    this.#load = load
  }

  /** Ends when it is there, or when it is known why not. */
  readonly load = (): Promise<void> => {
    this.#loading ??= this.#load()
      .then(
        (page) => {
          this.page = page
          this.failure = undefined
        },
        () => {
          this.failure = navigator.onLine
            ? new ApiError('A part of the console could not be loaded.', 'page_not_loaded')
            : new ApiError('You are offline.', 'offline')
        },
      )
      .finally(() => {
        this.#loading = undefined
      })
    return this.#loading
  }
}

function LazyPage({ program }: { program: Program }) {
  const [, renderAgain] = useReducer((count: number) => count + 1, 0)
  const isOnline = useOnline()
  const { page: Page, failure } = program
  const isThere = Page !== undefined
  useEffect(() => {
    if (isThere || !isOnline) return
    // A browser remembers of a program that it could not be loaded, for as long as the document is there.
    if (program.failure?.code === 'offline') location.reload()
    else if (!program.failure) void program.load().then(renderAgain)
  }, [program, isThere, isOnline])
  if (Page) return <Page />
  if (!failure) return <Loading what="the page" rows={6} />
  // After an update of the console the former parts are gone, and a reload finds the new ones.
  return <Failure error={failure} onRetry={() => location.reload()} />
}
