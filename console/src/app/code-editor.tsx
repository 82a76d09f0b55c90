import { type KeyboardEvent, type Ref, useId, useRef } from 'react'
import { cn } from '../components/tenants/lib/classes.ts'

interface CodeEditorProps {
  readonly label: string
  readonly value: string
  onChange(value: string): void
  /** Ctrl+Enter, on a Mac also ⌘+Enter. */
  onRun(): void
  readonly minRows: number
  readonly maxRows: number
  readonly hint?: string
  readonly error?: string | undefined
  readonly ref?: Ref<HTMLTextAreaElement>
}

/** A plain text field for code, with the numbers of its lines. Tab leaves it, as every other field. */
export function CodeEditor(props: CodeEditorProps) {
  const { label, value, onChange, onRun, minRows, maxRows, hint, error, ref } = props
  const id = useId()
  const numbers = useRef<HTMLPreElement>(null)
  const count = value.split('\n').length
  const described = [hint ? `${id}-hint` : '', error ? `${id}-error` : ''].filter(Boolean).join(' ')
  const run = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    onRun()
  }
  return (
    <div className="space-y-1.5">
      <label htmlFor={id} className="block text-sm font-medium">
        {label}
      </label>
      <div
        className={cn(
          'flex overflow-hidden rounded-md border border-input bg-card font-mono text-base leading-6 sm:text-[0.8125rem]',
          'focus-within:outline-2 focus-within:outline-offset-2 focus-within:outline-ring',
          error && 'border-destructive',
        )}
      >
        <div aria-hidden className="relative w-9 shrink-0 overflow-hidden bg-muted text-muted-foreground">
          <pre ref={numbers} className="absolute inset-x-0 top-0 py-2 pr-2 text-right select-none">
            {Array.from({ length: count }, (_, line) => line + 1).join('\n')}
          </pre>
        </div>
        <textarea
          id={id}
          ref={ref}
          value={value}
          onChange={({ target }) => onChange(target.value)}
          onKeyDown={run}
          onScroll={({ currentTarget }) => {
            if (numbers.current) numbers.current.style.top = `-${currentTarget.scrollTop}px`
          }}
          rows={Math.min(maxRows, Math.max(minRows, count))}
          wrap="off"
          spellCheck={false}
          autoCapitalize="none"
          autoComplete="off"
          autoCorrect="off"
          aria-invalid={error ? true : undefined}
          aria-describedby={described || undefined}
          className="min-w-0 flex-1 resize-y bg-transparent px-3 py-2 outline-none"
        />
      </div>
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
