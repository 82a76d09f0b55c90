import { type ReactNode, useEffect, useRef } from 'react'

let isFirstPage = true

/** The heading of a page. It names the window, and takes the focus when one comes from another page. */
export function PageTitle({
  title,
  children,
  actions,
}: {
  title: string
  children?: ReactNode
  actions?: ReactNode
}) {
  const heading = useRef<HTMLHeadingElement>(null)
  useEffect(() => {
    document.title = `${title} · Console`
    const isFirst = isFirstPage
    isFirstPage = false
    if (isFirst) return
    // With the frame that lays the page out: before it, the focus would have it laid out once more.
    const frame = requestAnimationFrame(() => heading.current?.focus())
    return () => cancelAnimationFrame(frame)
  }, [title])
  return (
    <div className="mb-6 flex flex-wrap items-end justify-between gap-3">
      <div className="min-w-0">
        <h1
          ref={heading}
          tabIndex={-1}
          className="text-2xl font-semibold tracking-tight break-words outline-none"
        >
          {title}
        </h1>
        {children ? <p className="mt-1 text-muted-foreground">{children}</p> : null}
      </div>
      {actions}
    </div>
  )
}
