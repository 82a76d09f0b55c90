import type { Database } from '../../kernel/database/client.ts'
import { success } from '../../kernel/result.ts'
import { type Inventory, ORGANIZATION_ID } from '../inventory.ts'
import type { GithubProvider } from './client.ts'
import { removeRepository } from './delete-github-repository.ts'
import { markOf } from './step.ts'

const OUR_MARK = new RegExp(`^${markOf(`(${ORGANIZATION_ID})`)}$`)

/** The repositories of the organization. An archived one is nobody's any more, unless it is recorded. */
export function githubInventory(github: GithubProvider, sql: Database): Inventory {
  return {
    async page(cursor) {
      const page = await github.repositoryPage(cursor ?? undefined)
      if (!page.ok) return page
      const { repositories, nextCursor = null } = page.value
      return success({
        resources: repositories.map(({ id, description, archived, createdAt }) => ({
          resourceId: id,
          organizationId: archived ? null : (OUR_MARK.exec(description)?.[1] ?? null),
          createdAt,
        })),
        nextCursor,
        gap: null,
      })
    },
    async remove(id, before) {
      const found = await github.repositoryById(id)
      if (!found.ok) return found
      if (!found.value) return success(undefined)
      const removed = await removeRepository(sql, github, found.value, before)
      return removed.ok ? success(undefined) : removed
    },
  }
}
