import { type FormEvent, useState } from 'react'
import { Button } from '../components/tenants/ui/button.tsx'
import { Dialog } from '../components/tenants/ui/dialog.tsx'
import { Field, Notice, Spinner } from '../components/tenants/ui/parts.tsx'
import { authErrorText } from '../lib/auth.ts'
import { useProject } from './project.ts'

/** Over the page whose session has ended, so that nothing on it is lost. */
export default function SignInAgain({ email }: { email: string }) {
  const { auth } = useProject()
  const [failure, setFailure] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const password = String(new FormData(event.currentTarget).get('password') ?? '')
    setBusy(true)
    const { error } = await auth.client.signInWithPassword({ email, password })
    setBusy(false)
    setFailure(error ? authErrorText(error) : undefined)
  }
  return (
    <Dialog title="Sign in again" isOpen onClose={() => undefined}>
      <form onSubmit={(event) => void submit(event)} className="space-y-4">
        <p className="text-sm text-muted-foreground">
          Your session has ended. Sign in as {email} to go on where you were.
        </p>
        {failure ? <Notice tone="danger">{failure}</Notice> : null}
        <input type="email" name="email" value={email} autoComplete="username" readOnly hidden />
        <Field label="Password" name="password" type="password" autoComplete="current-password" required />
        <div className="flex flex-wrap justify-end gap-2">
          <Button variant="outline" onClick={() => void auth.signOut()}>
            Leave
          </Button>
          <Button type="submit" disabled={isBusy}>
            {isBusy ? <Spinner /> : null}
            Sign in
          </Button>
        </div>
      </form>
    </Dialog>
  )
}
