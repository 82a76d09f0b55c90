import { createRootRouteWithContext, createRoute, createRouter, Outlet } from '@tanstack/react-router'
import { askForTenants } from '../components/tenants/tenants-page.ts'
import { ForgotPassword, NewPassword, SignIn, SignUp } from '../pages/auth.tsx'
import { Home } from '../pages/home.tsx'
import { NotFound } from '../pages/not-found.tsx'
import { Overview } from '../pages/overview.tsx'
import { lazyPage } from './lazy-page.tsx'
import { readView } from './monitor-view.ts'
import type { Project } from './project.ts'
import { Shell } from './shell.tsx'
import { readTarget } from './target.ts'

const root = createRootRouteWithContext<{ project: Project }>()({
  component: Outlet,
  notFoundComponent: NotFound,
})
const signUp = createRoute({ getParentRoute: () => root, path: '/sign-up', component: SignUp })
const signIn = createRoute({
  getParentRoute: () => root,
  path: '/sign-in',
  validateSearch: readTarget,
  component: SignIn,
})
const forgot = createRoute({
  getParentRoute: () => root,
  path: '/forgot-password',
  component: ForgotPassword,
})
const renew = createRoute({ getParentRoute: () => root, path: '/new-password', component: NewPassword })

const shell = createRoute({ getParentRoute: () => root, id: 'shell', component: Shell })
const home = createRoute({ getParentRoute: () => shell, path: '/', component: Home })
const overview = createRoute({ getParentRoute: () => shell, path: '/o/$slug', component: Overview })

const infrastructure = createRoute({
  getParentRoute: () => shell,
  path: '/o/$slug/infrastructure',
  component: lazyPage(async () => (await import('../pages/infrastructure.tsx')).Infrastructure),
})
const health = createRoute({
  getParentRoute: () => shell,
  path: '/o/$slug/health',
  component: lazyPage(async () => (await import('../pages/health.tsx')).Health),
})
const query = createRoute({
  getParentRoute: () => shell,
  path: '/o/$slug/query',
  component: lazyPage(async () => (await import('../pages/query.tsx')).Query),
})
const newOrganization = createRoute({
  getParentRoute: () => shell,
  path: '/new-organization',
  component: lazyPage(async () => (await import('../pages/new-organization.tsx')).NewOrganization),
})
const tenants = createRoute({
  getParentRoute: () => shell,
  path: '/tenants',
  validateSearch: readView,
  // The answer is under way while the page is rendered. A pointer over the link asks for the program alone.
  beforeLoad: ({ context, search, preload }) => {
    if (!preload) askForTenants(context.project, search)
  },
  component: lazyPage(async () => (await import('../pages/tenants.tsx')).Tenants),
})

export const routeTree = root.addChildren([
  signUp,
  signIn,
  forgot,
  renew,
  shell.addChildren([home, overview, infrastructure, health, query, newOrganization, tenants]),
])

export function createAppRouter(project: Project) {
  return createRouter({ routeTree, context: { project }, scrollRestoration: true, defaultPreload: 'intent' })
}

declare module '@tanstack/react-router' {
  interface Register {
    router: ReturnType<typeof createAppRouter>
  }
}
