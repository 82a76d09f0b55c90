import { Dialog as Base } from '@base-ui/react/dialog'
import { X } from 'lucide-react'
import { type ReactNode, useState } from 'react'
import type { ApiError } from '../lib/api'
import { Button, buttonClass } from './button'
import { Failure, Field, Scrollable, Spinner } from './parts'

interface DialogProps {
  readonly title: string
  readonly isOpen: boolean
  onClose(): void
  readonly children: ReactNode
}

/** A question or a form over the page, which keeps the focus until it is answered. */
export function Dialog({ title, isOpen, onClose, children }: DialogProps) {
  return (
    <Base.Root open={isOpen} onOpenChange={(open) => (open ? undefined : onClose())}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-30 bg-black/50" />
        <Base.Popup className="fixed top-1/2 left-1/2 z-40 max-h-[90dvh] w-[min(32rem,calc(100vw-2rem))] -translate-x-1/2 -translate-y-1/2 space-y-4 overflow-y-auto rounded-xl border bg-card p-6 text-card-foreground shadow-xl">
          <Base.Title className="text-lg font-semibold">{title}</Base.Title>
          {children}
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  )
}

/** Much about one thing, beside the list that it was chosen from. */
export function Drawer({ title, isOpen, onClose, children }: DialogProps) {
  return (
    <Base.Root open={isOpen} onOpenChange={(open) => (open ? undefined : onClose())}>
      <Base.Portal>
        <Base.Backdrop className="fixed inset-0 z-30 bg-black/50" />
        <Base.Popup className="fixed inset-y-0 right-0 z-40 flex w-[min(36rem,100vw)] flex-col border-l bg-card text-card-foreground shadow-xl">
          <div className="flex items-center justify-between gap-3 border-b px-5 py-3">
            <Base.Title className="min-w-0 text-lg font-semibold break-words">{title}</Base.Title>
            <Base.Close aria-label="Close" className={buttonClass({ variant: 'ghost', size: 'icon' })}>
              <X aria-hidden />
            </Base.Close>
          </div>
          <Scrollable label={title} className="flex-1 overflow-y-auto p-5">
            {children}
          </Scrollable>
        </Base.Popup>
      </Base.Portal>
    </Base.Root>
  )
}

interface ConfirmProps {
  readonly title: string
  readonly isOpen: boolean
  readonly isBusy: boolean
  readonly error: ApiError | null
  readonly confirm: string
  /** A word that has to be typed first, for what cannot be taken back. */
  readonly typed?: string
  readonly isDangerous?: boolean
  onConfirm(): void
  onClose(): void
  readonly children: ReactNode
}

/** Asks before something is done. */
export function Confirm(props: ConfirmProps) {
  return (
    <Dialog title={props.title} isOpen={props.isOpen} onClose={props.onClose}>
      <Question {...props} />
    </Dialog>
  )
}

function Question({
  isBusy,
  error,
  confirm,
  typed,
  isDangerous,
  onConfirm,
  onClose,
  children,
}: ConfirmProps) {
  const [word, setWord] = useState('')
  return (
    <>
      <div className="space-y-2 text-sm text-muted-foreground">{children}</div>
      {typed ? (
        <Field
          label={`Type ${typed} to confirm`}
          value={word}
          onChange={({ target }) => setWord(target.value)}
          autoComplete="off"
          spellCheck={false}
        />
      ) : null}
      {error ? <Failure error={error} /> : null}
      <div className="flex flex-wrap justify-end gap-2">
        <Button variant="outline" onClick={onClose}>
          Cancel
        </Button>
        <Button
          variant={isDangerous ? 'destructive' : 'primary'}
          disabled={isBusy || (typed !== undefined && word !== typed)}
          onClick={onConfirm}
        >
          {isBusy ? <Spinner /> : null}
          {confirm}
        </Button>
      </div>
    </>
  )
}
