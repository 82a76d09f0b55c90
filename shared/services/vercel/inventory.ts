import type { Database } from '../../kernel/database/client.ts'
import { success } from '../../kernel/result.ts'
import type { Inventory } from '../inventory.ts'
import type { VercelProvider } from './client.ts'

/** The projects of the team. One is an organization's when it is linked to a repository that was ever made for that. */
export function vercelInventory(vercel: VercelProvider, sql: Database): Inventory {
  return {
    async page(cursor) {
      const page = await vercel.projectPage(cursor ?? undefined)
      if (!page.ok) return page
      const { projects, nextCursor = null } = page.value
      const owners = await ownersOf(
        sql,
        projects.flatMap(({ repositoryId }) => repositoryId ?? []),
      )
      return success({
        resources: projects.map(({ id, repositoryId = '', createdAt }) => ({
          resourceId: id,
          organizationId: owners.get(repositoryId) ?? null,
          createdAt,
        })),
        nextCursor,
        gap: null,
      })
    },
    remove: (id, before) => vercel.deleteProject(id, before),
  }
}

async function ownersOf(sql: Database, repositoryIds: readonly string[]): Promise<Map<string, string>> {
  const rows = await sql<{ repositoryId: string; organizationId: string }[]>`
    select repository_id as "repositoryId", organization_id as "organizationId"
    from provisioning.repository_owners(${[...repositoryIds]})`
  return new Map(rows.map(({ repositoryId, organizationId }) => [repositoryId, organizationId]))
}
