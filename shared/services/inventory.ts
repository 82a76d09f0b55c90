import type { Result } from '../kernel/result.ts'

export interface InventoryResource {
  readonly resourceId: string
  /** The organization that exactly our kind of name, or our metadata, carries; null for everybody else's. */
  readonly organizationId: string | null
  readonly createdAt: string
}

export interface InventoryPage {
  readonly resources: readonly InventoryResource[]
  /** Null behind the last page. */
  readonly nextCursor: string | null
  /** Why the page is not complete; null when it is. */
  readonly gap: string | null
}

/** All that a service holds in our account, page by page, and the means to delete of it. */
export interface Inventory {
  page(cursor: string | null): Promise<Result<InventoryPage>>
  /** `before` runs right before the request; what it throws passes through, and nothing is deleted. */
  remove(resourceId: string, before: () => Promise<void>): Promise<Result<void>>
}

/** An organization's id as Postgres writes it, for the patterns of names; what else is in an account does not concern us. */
export const ORGANIZATION_ID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
