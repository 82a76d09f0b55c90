import type { Database } from '../../kernel/database/client.ts'
import { success } from '../../kernel/result.ts'
import { TRIAL, trialName } from '../database/try-schema.ts'
import { type Inventory, type InventoryResource, ORGANIZATION_ID } from '../inventory.ts'
import type { NeonProvider } from './client.ts'
import { projectName } from './tenant.ts'

const OUR_NAME = new RegExp(`^${projectName(`(${ORGANIZATION_ID})`)}$`)

const PROJECTS_A_PAGE = 50
const BRANCH = new RegExp(`^${trialName('.+')}$`)
const ID = /^([^/]+)\/([^/]+)$/

/** The branches on which the tenant schema was tried, of the projects in which that was of late. An id is PROJECT/BRANCH. */
export function branchInventory(neon: NeonProvider, sql: Database): Inventory {
  return {
    async page(cursor) {
      const projects = await sql<{ organizationId: string; projectId: string }[]>`
        select organization_id as "organizationId", neon_project_id as "projectId"
        from provisioning.branched_projects(${cursor}, ${PROJECTS_A_PAGE})`
      const resources: InventoryResource[] = []
      for (const { organizationId, projectId } of projects) {
        const listed = await neon.listBranches(projectId, TRIAL)
        if (!listed.ok) return listed
        for (const { branchId, name, createdAt } of listed.value)
          if (BRANCH.test(name))
            resources.push({ resourceId: `${projectId}/${branchId}`, organizationId, createdAt })
      }
      const isLast = projects.length < PROJECTS_A_PAGE
      return success({
        resources,
        nextCursor: isLast ? null : (projects.at(-1)?.organizationId ?? null),
        gap: null,
      })
    },
    async remove(resourceId, before) {
      const [, projectId = '', branchId = ''] = ID.exec(resourceId) ?? []
      return neon.deleteBranch(projectId, branchId, before)
    },
  }
}

/** The projects of the account or, with NEON_ORG_ID, of that organization. */
export function neonInventory(neon: NeonProvider): Inventory {
  return {
    async page(cursor) {
      const page = await neon.projectPage(cursor ?? undefined)
      if (!page.ok) return page
      const { projects, unavailable, nextCursor = null } = page.value
      return success({
        resources: projects.map(({ projectId, name, createdAt }) => ({
          resourceId: projectId,
          organizationId: OUR_NAME.exec(name)?.[1] ?? null,
          createdAt,
        })),
        nextCursor,
        gap: unavailable > 0 ? `Neon could not list every project (${unavailable} on one page).` : null,
      })
    },
    remove: (projectId, before) => neon.deleteProject(projectId, before),
  }
}
