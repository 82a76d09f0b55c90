import type { AuthError } from '@supabase/auth-js'
import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { type FormEvent, type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { Brand } from '../app/brand.tsx'
import { PageTitle } from '../app/page-title.tsx'
import { useProject } from '../app/project.ts'
import { readTarget } from '../app/target.ts'
import { ThemeButton } from '../app/theme-button.tsx'
import { Button } from '../components/tenants/ui/button.tsx'
import { Card, Field, Notice, Spinner } from '../components/tenants/ui/parts.tsx'
import { authErrorText, useSession } from '../lib/auth.ts'

const MIN_PASSWORD = 8
const linkClass = 'font-medium text-primary underline underline-offset-4'

export function SignUp() {
  const { auth } = useProject()
  const form = useAuthForm(async ({ email, password, organization }) => {
    const { data, error } = await auth.client.signUp({
      email,
      password,
      options: {
        emailRedirectTo: `${location.origin}/`,
        ...(organization ? { data: { organization_name: organization } } : {}),
      },
    })
    return { error, done: data.session ? undefined : 'confirm' }
  })
  if (form.done === 'confirm')
    return (
      <AuthPage title="Look into your mail">
        <p>
          We sent a link to {form.values.email}. Open it to confirm your address; your database is set up
          then.
        </p>
      </AuthPage>
    )
  return (
    <AuthPage
      title="Create your account"
      text="Your own Postgres database is set up while you watch."
      below={
        <>
          Have an account?{' '}
          <Link to="/sign-in" className={linkClass}>
            Sign in
          </Link>
        </>
      }
      leavesWhenSignedIn
    >
      <AuthForm form={form} submit="Sign up">
        <Field
          label="Organization"
          name="organization"
          autoComplete="organization"
          maxLength={100}
          hint="Your company or team. You can change it later."
        />
        <EmailField form={form} />
        <PasswordField form={form} autoComplete="new-password" isNew />
      </AuthForm>
    </AuthPage>
  )
}

export function SignIn() {
  const { auth } = useProject()
  const form = useAuthForm(async ({ email, password }) => {
    const { error } = await auth.client.signInWithPassword({ email, password })
    return { error }
  })
  return (
    <AuthPage
      title="Sign in"
      below={
        <>
          New here?{' '}
          <Link to="/sign-up" className={linkClass}>
            Create an account
          </Link>
        </>
      }
      leavesWhenSignedIn
    >
      <AuthForm form={form} submit="Sign in">
        <EmailField form={form} />
        <PasswordField form={form} autoComplete="current-password" />
        <p className="text-sm">
          <Link to="/forgot-password" className={linkClass}>
            Forgot your password?
          </Link>
        </p>
      </AuthForm>
    </AuthPage>
  )
}

export function ForgotPassword() {
  const { auth } = useProject()
  const form = useAuthForm(async ({ email }) => {
    const { error } = await auth.client.resetPasswordForEmail(email, {
      redirectTo: `${location.origin}/new-password`,
    })
    return { error, done: 'sent' }
  })
  return (
    <AuthPage
      title="Choose another password"
      text="We send you a link with which you choose a new one."
      below={
        <Link to="/sign-in" className={linkClass}>
          Back to sign in
        </Link>
      }
    >
      {form.done === 'sent' ? (
        <Notice tone="success" title="Look into your mail">
          If there is an account of {form.values.email}, a link is on its way. Open it in this browser within
          five minutes.
        </Notice>
      ) : (
        <AuthForm form={form} submit="Send the link">
          <EmailField form={form} />
        </AuthForm>
      )}
    </AuthPage>
  )
}

export function NewPassword() {
  const { auth } = useProject()
  const session = useSession(auth)
  const navigate = useNavigate()
  const form = useAuthForm(async ({ password }) => {
    const { error } = await auth.client.updateUser({ password })
    if (!error) auth.recovered()
    return { error, done: 'changed' }
  })
  useEffect(() => {
    if (form.done === 'changed') void navigate({ to: '/', replace: true })
  }, [form.done, navigate])
  return (
    <AuthPage title="Choose another password">
      {session === null ? (
        <Notice tone="warning" title="This link cannot be used">
          It has been used, it is too old, or it was asked for in another browser.{' '}
          <Link to="/forgot-password" className={linkClass}>
            Ask for another one
          </Link>
        </Notice>
      ) : (
        <AuthForm form={form} submit="Change the password">
          <PasswordField form={form} autoComplete="new-password" isNew />
        </AuthForm>
      )}
    </AuthPage>
  )
}

interface Values {
  readonly email: string
  readonly password: string
  readonly organization: string
}

interface Outcome {
  readonly error: AuthError | null
  readonly done?: string | undefined
}

interface AuthFormState {
  readonly values: Values
  readonly problems: Partial<Record<keyof Values, string>>
  readonly failure: string | undefined
  readonly isBusy: boolean
  readonly done: string | undefined
  submit(event: FormEvent<HTMLFormElement>): void
}

/** Reads the fields when the form is sent, so that a password is kept nowhere else. */
function useAuthForm(send: (values: Values) => Promise<Outcome>): AuthFormState {
  const [values, setValues] = useState<Values>({ email: '', password: '', organization: '' })
  const [problems, setProblems] = useState<AuthFormState['problems']>({})
  const [failure, setFailure] = useState<string>()
  const [isBusy, setBusy] = useState(false)
  const [done, setDone] = useState<string>()
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = event.currentTarget
    const given = new FormData(form)
    const read = (name: string) => String(given.get(name) ?? '')
    const wanted = {
      email: read('email').trim(),
      password: read('password'),
      organization: read('organization').trim(),
    }
    const found = problemsOf(given, wanted, form.dataset.new === 'true')
    setProblems(found)
    setFailure(undefined)
    const [firstWrong] = Object.keys(found)
    if (firstWrong) {
      const field = form.elements.namedItem(firstWrong)
      if (field instanceof HTMLElement) field.focus()
      return
    }
    setValues({ ...wanted, password: '' })
    setBusy(true)
    send(wanted)
      .then(({ error, done: next }) => (error ? setFailure(authErrorText(error)) : setDone(next)))
      .catch(() => setFailure('That did not work. Try again.'))
      .finally(() => setBusy(false))
  }
  return { values, problems, failure, isBusy, done, submit }
}

function problemsOf(given: FormData, { email, password }: Values, isNew: boolean): AuthFormState['problems'] {
  return {
    ...(given.has('email') && !/^[^\s@]+@[^\s@]+$/.test(email)
      ? { email: 'Enter your e-mail address, such as ann@example.com.' }
      : {}),
    ...(given.has('password') && password === '' ? { password: 'Enter your password.' } : {}),
    ...(isNew && password !== '' && password.length < MIN_PASSWORD
      ? { password: `Take at least ${MIN_PASSWORD} characters.` }
      : {}),
  }
}

function AuthForm({ form, submit, children }: { form: AuthFormState; submit: string; children: ReactNode }) {
  const failure = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (form.failure) failure.current?.focus()
  }, [form.failure])
  return (
    <form onSubmit={form.submit} noValidate className="space-y-5" data-new={submit !== 'Sign in'}>
      {form.failure ? (
        <div ref={failure} tabIndex={-1} className="outline-none">
          <Notice tone="danger">{form.failure}</Notice>
        </div>
      ) : null}
      {children}
      <Button type="submit" className="w-full" disabled={form.isBusy}>
        {form.isBusy ? <Spinner /> : null}
        {submit}
      </Button>
    </form>
  )
}

function EmailField({ form }: { form: AuthFormState }) {
  return (
    <Field
      label="E-mail address"
      name="email"
      type="email"
      autoComplete="email"
      inputMode="email"
      required
      error={form.problems.email}
    />
  )
}

function PasswordField({
  form,
  autoComplete,
  isNew,
}: {
  form: AuthFormState
  autoComplete: string
  isNew?: boolean
}) {
  const [isShown, setShown] = useState(false)
  const id = useId()
  return (
    <div>
      <Field
        label="Password"
        name="password"
        type={isShown ? 'text' : 'password'}
        autoComplete={autoComplete}
        required
        error={form.problems.password}
        hint={isNew ? `At least ${MIN_PASSWORD} characters.` : undefined}
      />
      <label htmlFor={id} className="mt-2 flex w-fit items-center gap-2 text-sm">
        <input
          id={id}
          type="checkbox"
          className="size-4 accent-primary"
          checked={isShown}
          onChange={() => setShown(!isShown)}
        />
        Show the password
      </label>
    </div>
  )
}

interface AuthPageProps {
  readonly title: string
  readonly text?: string
  readonly children: ReactNode
  readonly below?: ReactNode
  readonly leavesWhenSignedIn?: boolean
}

function AuthPage({ title, text, children, below, leavesWhenSignedIn }: AuthPageProps) {
  const { auth } = useProject()
  const session = useSession(auth)
  // The router passes on what no page has asked for, too.
  const { to = '/' } = readTarget(useSearch({ strict: false }))
  const navigate = useNavigate()
  const leaves = leavesWhenSignedIn && Boolean(session)
  useEffect(() => {
    if (leaves) void navigate({ href: to, replace: true })
  }, [leaves, navigate, to])
  if (leaves) return null
  return (
    <div className="flex min-h-dvh flex-col">
      <header className="flex justify-end p-3">
        <ThemeButton />
      </header>
      <main className="mx-auto flex w-full max-w-md flex-1 flex-col justify-center px-4 pb-24">
        <Brand className="mb-6 size-11" />
        <PageTitle title={title}>{text}</PageTitle>
        <Card className="p-6">{children}</Card>
        {below ? <p className="mt-6 text-center text-sm text-muted-foreground">{below}</p> : null}
      </main>
    </div>
  )
}
