import { type Result, success } from '../kernel/result.ts'
import type { NeonProvider } from '../services/neon/client.ts'
import type { StripeProvider } from '../services/stripe/client.ts'

export type ProviderName = 'neon' | 'stripe'

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

/** All that a provider holds in our account, page by page, and the means to delete of it. */
export interface Inventory {
  readonly provider: ProviderName
  page(cursor: string | null): Promise<Result<InventoryPage>>
  /** `before` runs right before the request; what it throws passes through, and nothing is deleted. */
  remove(resourceId: string, before: () => Promise<void>): Promise<Result<void>>
}

// As Postgres writes a uuid; whatever else is in the account does not concern us.
const UUID = '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'
const PROJECT_NAME = new RegExp(`^org-(${UUID})$`)
const ORGANIZATION_ID = new RegExp(`^(${UUID})$`)

export function neonInventory(neon: NeonProvider): Inventory {
  return {
    provider: 'neon',
    async page(cursor) {
      const page = await neon.projectPage(cursor ?? undefined)
      if (!page.ok) return page
      const { projects, unavailable, nextCursor = null } = page.value
      return success({
        resources: projects.map(({ projectId, name, createdAt }) => ({
          resourceId: projectId,
          organizationId: PROJECT_NAME.exec(name)?.[1] ?? null,
          createdAt,
        })),
        nextCursor,
        gap: unavailable > 0 ? `Neon could not list every project (${unavailable} on one page).` : null,
      })
    },
    remove: (projectId, before) => neon.deleteProject(projectId, before),
  }
}

export function stripeInventory(stripe: StripeProvider): Inventory {
  return {
    provider: 'stripe',
    async page(cursor) {
      const page = await stripe.customerPage(cursor ?? undefined)
      if (!page.ok) return page
      const { customers, nextCursor = null } = page.value
      return success({
        resources: customers.map(({ customerId, organizationId = '', createdAt }) => ({
          resourceId: customerId,
          organizationId: ORGANIZATION_ID.exec(organizationId)?.[1] ?? null,
          createdAt,
        })),
        nextCursor,
        gap: null,
      })
    },
    remove: (customerId, before) => stripe.deleteCustomer(customerId, before),
  }
}
