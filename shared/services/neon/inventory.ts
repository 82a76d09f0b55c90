import { success } from '../../kernel/result.ts'
import { type Inventory, ORGANIZATION_ID } from '../inventory.ts'
import type { NeonProvider } from './client.ts'
import { projectName } from './tenant.ts'

const OUR_NAME = new RegExp(`^${projectName(`(${ORGANIZATION_ID})`)}$`)

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
