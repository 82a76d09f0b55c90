import { success } from '../../kernel/result.ts'
import { type Inventory, ORGANIZATION_ID } from '../inventory.ts'
import type { StripeProvider } from './client.ts'

const OUR_METADATA = new RegExp(`^(${ORGANIZATION_ID})$`)

/** The customers of the account. */
export function stripeInventory(stripe: StripeProvider): Inventory {
  return {
    async page(cursor) {
      const page = await stripe.customerPage(cursor ?? undefined)
      if (!page.ok) return page
      const { customers, nextCursor = null } = page.value
      return success({
        resources: customers.map(({ customerId, organizationId = '', createdAt }) => ({
          resourceId: customerId,
          organizationId: OUR_METADATA.exec(organizationId)?.[1] ?? null,
          createdAt,
        })),
        nextCursor,
        gap: null,
      })
    },
    remove: (customerId, before) => stripe.deleteCustomer(customerId, before),
  }
}
