import { useQuery } from '@tanstack/react-query'
import { createContext, useContext } from 'react'
import { SESSION, type SessionQuery } from '../components/tenants/generated/operations.ts'
import { type ApiError, type ProjectAccess, request } from '../components/tenants/lib/api.ts'
import { queries } from '../components/tenants/with-queries.tsx'
import type { Auth } from '../lib/auth.ts'

export interface Project extends ProjectAccess {
  readonly auth: Auth
}

export const ProjectContext = createContext<Project | null>(null)

export function useProject(): Project {
  const project = useContext(ProjectContext)
  if (!project) throw new Error('There is no ProjectContext around this component.')
  return project
}

export type MyOrganization = SessionQuery['myOrganizations'][number]

/** The caller's organizations, and whether they are an operator. */
export function useMine() {
  const project = useProject()
  return useQuery<SessionQuery, ApiError>(
    {
      queryKey: ['mine'],
      queryFn: ({ signal }) => request(project, SESSION, {}, signal),
      // Right after a sign-up there may be none for a moment.
      refetchInterval: ({ state }) => (state.data?.myOrganizations.length === 0 ? 3_000 : false),
    },
    queries,
  )
}
