import { AlertTriangle, Check, Copy, Loader2 } from 'lucide-react'
import { type ComponentProps, type ReactNode, useId, useState } from 'react'
import type { ApiError } from '../lib/api'
import { cn } from '../lib/classes'
import { errorText } from '../lib/words'
import { Button } from './button'

export function Card({ className, ...props }: ComponentProps<'section'>) {
  return <section className={cn('rounded-xl border bg-card text-card-foreground', className)} {...props} />
}

export function CardHeader({
  title,
  children,
  actions,
}: {
  title: string
  children?: ReactNode
  actions?: ReactNode
}) {
  return (
    <div className="flex flex-wrap items-start justify-between gap-3 px-5 py-4 not-last:border-b">
      <div className="min-w-0 flex-1 basis-40">
        <h2 className="text-base font-semibold">{title}</h2>
        {children ? <p className="mt-0.5 text-sm text-muted-foreground">{children}</p> : null}
      </div>
      {actions}
    </div>
  )
}

const TONES = {
  neutral: 'bg-muted text-foreground',
  success: 'bg-success/12 text-success',
  warning: 'bg-warning/12 text-warning',
  danger: 'bg-destructive/12 text-destructive',
  info: 'bg-info/12 text-info',
} as const
export type Tone = keyof typeof TONES

export function Badge({ tone = 'neutral', className, ...props }: ComponentProps<'span'> & { tone?: Tone }) {
  return (
    <span
      className={cn(
        'inline-flex items-center gap-1 rounded-full px-2.5 py-0.5 text-xs font-medium whitespace-nowrap',
        TONES[tone],
        className,
      )}
      {...props}
    />
  )
}

export function Notice({
  tone = 'info',
  title,
  children,
  actions,
}: {
  tone?: Exclude<Tone, 'neutral'>
  title?: string
  children: ReactNode
  actions?: ReactNode
}) {
  return (
    <div
      role={tone === 'danger' ? 'alert' : 'status'}
      className={cn('flex gap-3 rounded-lg border border-current/25 px-4 py-3 text-sm', TONES[tone])}
    >
      <AlertTriangle aria-hidden className="mt-0.5 size-4 shrink-0" />
      <div className="min-w-0 flex-1">
        {title ? <p className="font-semibold">{title}</p> : null}
        <div className="break-words text-foreground">{children}</div>
        {actions ? <div className="mt-2 flex flex-wrap gap-2">{actions}</div> : null}
      </div>
    </div>
  )
}

/** Why something could not be had, and the way on. */
export function Failure({ error, onRetry }: { error: ApiError; onRetry?: () => void }) {
  return (
    <Notice
      tone={error.code === 'offline' ? 'warning' : 'danger'}
      title={error.code === 'forbidden' ? 'Not allowed' : 'That did not work'}
      actions={
        onRetry && error.code !== 'forbidden' ? (
          <Button size="small" variant="outline" onClick={onRetry}>
            Try again
          </Button>
        ) : undefined
      }
    >
      {errorText(error)}
    </Notice>
  )
}

export function Empty({
  title,
  children,
  action,
}: {
  title: string
  children: ReactNode
  action?: ReactNode
}) {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-12 text-center">
      <p className="font-medium">{title}</p>
      <p className="max-w-md text-sm text-muted-foreground">{children}</p>
      {action ? <div className="mt-2">{action}</div> : null}
    </div>
  )
}

export function Loading({ what, rows = 3 }: { what: string; rows?: number }) {
  return (
    <div role="status" className="space-y-3 p-5">
      <span className="sr-only">Loading {what}…</span>
      {Array.from({ length: rows }, (_, row) => (
        <div
          key={String(row)}
          aria-hidden
          className="h-5 animate-pulse motion-reduce:animate-none rounded bg-muted"
        />
      ))}
    </div>
  )
}

export function Spinner({ className }: { className?: string }) {
  return <Loader2 aria-hidden className={cn('size-4 animate-spin motion-reduce:animate-none', className)} />
}

export interface FieldProps extends Omit<ComponentProps<'input'>, 'id'> {
  readonly label: string
  readonly hint?: ReactNode
  readonly error?: string | undefined
}

export const inputClass =
  'h-10 w-full min-w-0 rounded-md border border-input bg-card px-3 text-base sm:text-sm text-foreground placeholder:text-muted-foreground aria-invalid:border-destructive'

/** An input with its label, a hint and what is wrong with it, told to screen readers too. */
export function Field({ label, hint, error, className, ...props }: FieldProps) {
  const id = useId()
  const described = [hint ? `${id}-hint` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ')
  return (
    <div className={cn('space-y-1.5', className)}>
      <label htmlFor={id} className="block text-sm font-medium">
        {label}
      </label>
      <input
        id={id}
        className={inputClass}
        aria-invalid={error ? true : undefined}
        aria-describedby={described || undefined}
        {...props}
      />
      {hint ? (
        <p id={`${id}-hint`} className="text-sm text-muted-foreground">
          {hint}
        </p>
      ) : null}
      {error ? (
        <p id={`${id}-error`} className="text-sm text-destructive">
          {error}
        </p>
      ) : null}
    </div>
  )
}

/** What is longer than its place. The focus goes to it, so that it is scrolled with the keyboard, too. */
export function Scrollable({
  label,
  className,
  children,
}: {
  label: string
  className: string
  children: ReactNode
}) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: not every browser gives the focus to what scrolls by itself
    <section aria-label={label} tabIndex={0} className={className}>
      {children}
    </section>
  )
}

/** Copies a text, and says that it did. */
export function CopyButton({ text, what }: { text: string; what: string }) {
  const [state, setState] = useState<'idle' | 'copied' | 'failed'>('idle')
  const copy = async () => {
    setState(
      await navigator.clipboard.writeText(text).then(
        () => 'copied' as const,
        () => 'failed' as const,
      ),
    )
    setTimeout(() => setState('idle'), 2_000)
  }
  return (
    <Button variant="ghost" size="icon" onClick={copy} aria-label={`Copy ${what}`} title={`Copy ${what}`}>
      {state === 'copied' ? <Check className="text-success" /> : <Copy />}
      <span role="status" className="sr-only">
        {state === 'copied' ? 'Copied.' : state === 'failed' ? 'It could not be copied.' : ''}
      </span>
    </Button>
  )
}
