import { failed, success } from '../../kernel/result.ts'
import type { Inventory } from '../inventory.ts'
import type { N8nClient } from './client.ts'
import { removeClient } from './delete-n8n-workflows.ts'
import { failure } from './failures.ts'
import { organizationOfTag } from './names.ts'

/** The tags of the instance: each of ours stands for all that a client has there. */
export function n8nInventory(n8n: N8nClient): Inventory {
  return {
    async page(cursor) {
      const page = await n8n.tagPage(cursor)
      if (!page.ok) return page
      const { tags, nextCursor } = page.value
      return success({
        resources: tags.map(({ id, name, createdAt = '' }) => ({
          resourceId: id,
          organizationId: organizationOfTag(name),
          createdAt,
        })),
        nextCursor,
        gap: null,
      })
    },
    async remove(tagId, before) {
      let cursor: string | null = null
      do {
        const page = await n8n.tagPage(cursor)
        if (!page.ok) return page
        const tag = page.value.tags.find(({ id }) => id === tagId)
        const organizationId = tag ? organizationOfTag(tag.name) : null
        if (tag && organizationId === null)
          return failed(failure('n8n_workflow_refused', `the tag ${tag.name} is none of ours`))
        if (organizationId !== null) {
          const removed = await removeClient(n8n, organizationId, before)
          return removed.ok ? success(undefined) : removed
        }
        cursor = page.value.nextCursor
      } while (cursor !== null)
      return success(undefined)
    },
  }
}
