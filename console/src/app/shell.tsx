import { Link, Navigate, Outlet, useLocation, useNavigate, useParams } from '@tanstack/react-router'
import { Activity, Boxes, Gauge, LogOut, Server, SquareTerminal } from 'lucide-react'
import { lazy, Suspense, useEffect, useState } from 'react'
import { useOnline } from '../components/tenants/lib/online.ts'
import { Button } from '../components/tenants/ui/button.tsx'
import { Failure, inputClass, Loading, Notice } from '../components/tenants/ui/parts.tsx'
import { useLost, useSession } from '../lib/auth.ts'
import { Brand } from './brand.tsx'
import { useMine, useProject } from './project.ts'
import { ThemeButton } from './theme-button.tsx'

const SignInAgain = lazy(() => import('./sign-in-again.tsx'))

/** What stands around every page of somebody who is signed in. */
export function Shell() {
  const { auth } = useProject()
  const session = useSession(auth)
  const lost = useLost(auth)
  const { href } = useLocation()
  if (session === undefined) return <Loading what="your session" />
  // Whoever has left does not want the next one to be led to their page.
  if (session === null && !lost)
    return <ToSignIn search={auth.hadSession() || href === '/' ? {} : { to: href }} />
  if (auth.isRecovering()) return <Navigate to="/new-password" replace />
  return (
    <>
      <SignedIn email={session?.user.email ?? lost?.email ?? ''} />
      {lost ? (
        <Suspense>
          <SignInAgain email={lost.email} />
        </Suspense>
      ) : null}
    </>
  )
}

/** Once: the address that it sees changes with it. */
function ToSignIn({ search }: { search: { to?: string } }) {
  const navigate = useNavigate()
  const [first] = useState(search)
  useEffect(() => {
    void navigate({ to: '/sign-in', search: first, replace: true })
  }, [navigate, first])
  return null
}

function SignedIn({ email }: { email: string }) {
  const { auth } = useProject()
  const { error, data, refetch } = useMine()
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        className="sr-only focus:not-sr-only focus:absolute focus:z-20 focus:m-2 focus:rounded-md focus:bg-card focus:p-2"
      >
        Skip to the content
      </a>
      <header className="border-b bg-card">
        <div className="mx-auto flex h-14 max-w-6xl items-center gap-3 px-4 sm:px-6">
          <Link to="/" aria-label="Console, home" className="shrink-0">
            <Brand />
          </Link>
          <Switcher />
          <nav aria-label="Main" className="ml-2 hidden gap-1 md:flex">
            <Places />
          </nav>
          <div className="ml-auto flex items-center gap-1">
            <ThemeButton />
            <Button
              variant="ghost"
              size="icon"
              aria-label={`Sign out ${email}`}
              title={`Sign out ${email}`}
              onClick={() => void auth.signOut()}
            >
              <LogOut />
            </Button>
          </div>
        </div>
      </header>
      <main id="main" className="mx-auto w-full max-w-6xl flex-1 px-4 pt-6 pb-24 sm:px-6 sm:pt-8 md:pb-12">
        {data ? (
          <>
            <OfflineNotice />
            <Outlet />
          </>
        ) : error ? (
          <Failure error={error} onRetry={() => void refetch()} />
        ) : (
          <Loading what="your organizations" />
        )}
      </main>
      <nav
        aria-label="Main, small screens"
        className="fixed inset-x-0 bottom-0 z-10 flex border-t bg-card md:hidden"
      >
        <Places />
      </nav>
    </div>
  )
}

/** Beside what is on the page already. A page that has nothing yet says it itself. */
function OfflineNotice() {
  return useOnline() ? null : (
    <div className="mb-6">
      <Notice tone="warning" title="You are offline">
        What you see may be old. This page goes on when the connection is back.
      </Notice>
    </div>
  )
}

/** No slug has a space. */
const NEW = 'new organization'

/** Goes from one organization to another. */
function Switcher() {
  const { data } = useMine()
  const { slug } = useParams({ strict: false })
  const navigate = useNavigate()
  const organizations = data?.myOrganizations ?? []
  if (organizations.length === 0) return null
  const isElsewhere = !organizations.some((organization) => organization.slug === slug)
  return (
    <select
      aria-label="Organization"
      className={`${inputClass} h-9 max-w-56 truncate`}
      value={isElsewhere ? '' : slug}
      onChange={({ target: { value } }) =>
        void (value === NEW
          ? navigate({ to: '/new-organization' })
          : navigate({ to: '/o/$slug', params: { slug: value } }))
      }
    >
      {isElsewhere ? <option value="">Choose an organization</option> : null}
      {organizations.map((organization) => (
        <option key={organization.id} value={organization.slug}>
          {organization.name}
        </option>
      ))}
      <option value={NEW}>New organization …</option>
    </select>
  )
}

const placeClass =
  'flex min-w-0 flex-1 flex-col items-center gap-1 px-0.5 py-2 text-xs text-muted-foreground md:flex-none md:flex-row md:rounded-md md:px-3 md:py-1.5 md:text-sm [&_svg]:size-5 [&_svg]:shrink-0 md:[&_svg]:size-4 hover:text-foreground data-[status=active]:font-medium data-[status=active]:text-primary md:data-[status=active]:bg-muted md:data-[status=active]:text-foreground'

function Places() {
  const { data } = useMine()
  const params = useParams({ strict: false })
  const mine = data?.myOrganizations ?? []
  // The address may name an organization that there is not, or that is somebody else's.
  const { slug } = mine.find((each) => each.slug === params.slug) ?? mine[0] ?? {}
  return (
    <>
      {slug ? (
        <>
          <Link to="/o/$slug" params={{ slug }} className={placeClass} activeOptions={{ exact: true }}>
            <Gauge aria-hidden />
            Overview
          </Link>
          <Link to="/o/$slug/health" params={{ slug }} className={placeClass}>
            <Activity aria-hidden />
            Health
          </Link>
          <Link to="/o/$slug/query" params={{ slug }} className={placeClass}>
            <SquareTerminal aria-hidden />
            Query
          </Link>
          <Link to="/o/$slug/infrastructure" params={{ slug }} className={placeClass}>
            <Server aria-hidden />
            Infrastructure
          </Link>
        </>
      ) : null}
      {data?.isOperator ? (
        <Link to="/tenants" className={placeClass}>
          <Boxes aria-hidden />
          Tenants
        </Link>
      ) : null}
    </>
  )
}
