import { useParams } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { type MyOrganization, type Project, useMine, useProject } from '../app/project.ts'
import { NotFound } from './not-found.tsx'

/** A page of the organization that the address names. */
export function OrganizationPage({
  children,
}: {
  children: (organization: MyOrganization, project: Project) => ReactNode
}) {
  const project = useProject()
  const { slug } = useParams({ strict: false })
  const { data } = useMine()
  const organization = data?.myOrganizations.find((each) => each.slug === slug)
  return organization ? children(organization, project) : <NotFound />
}
