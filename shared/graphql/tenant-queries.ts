import { z } from 'zod'
import type {
  QueryResolvers,
  TenantResolvers,
  TenantVerificationResolvers,
} from '../generated/resolver-types.ts'
import { emailAddress } from '../kernel/email-address.ts'
import { check, decodeTimeCursor, pageSize } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { provisioningStatus } from './provisioning-status.ts'
import type { Options } from './reader.ts'
import { HEALTH, HEALTH_HISTORY } from './reads/health.ts'
import { EVENTS, ORGANIZATION_ALERTS } from './reads/provisioning.ts'
import { TENANT, TENANT_COUNTS, TENANT_SUMMARIES, TENANTS, VERIFICATION } from './reads/tenants.ts'

const DAY_MS = 86_400_000

const words = z.array(z.string().max(100)).max(50).nullish()
const tenantFilter = z.object({
  status: words,
  health: words,
  region: words,
  plan: words,
  errorCode: words,
  search: z.string().trim().min(1).max(200).nullish(),
  hasOpenAlerts: z.boolean().nullish(),
})

/** What a tenant may be called by: one of these. */
const tenantName = z
  .object({
    email: emailAddress.optional(),
    id: z.guid('is not an id').optional(),
    slug: z.string().trim().min(1).max(200).optional(),
  })
  .refine((names) => Object.keys(names).length === 1, 'wants exactly one of email, id and slug')

const tenantPage = z.object({
  tenants: z.array(z.looseObject({ id: z.string() })),
  has_next_page: z.boolean(),
  end_cursor: z.string().nullable(),
})

const counted = z.object({ count: z.int(), exact: z.boolean() })
const tenantCounts = z.object({
  total: counted,
  by_status: z.array(counted.extend({ status: z.string() })),
  by_health: z.array(counted.extend({ health: z.string() })),
  open_alerts: counted,
})

/** What operators and the service role ask about tenants of everybody. */
export const tenantQueries = {
  tenants: async (_, { filter, sort, page }, { reader }) => {
    const found = tenantPage.parse(
      await reader.call(TENANTS, {
        filter: tenantFilterOf(filter),
        sort,
        first: pageSize(page?.first ?? 50),
        after: check('after', z.string().max(2000).nullish(), page?.after) ?? null,
      }),
    )
    return {
      nodes: found.tenants.map(camelCased),
      hasNextPage: found.has_next_page,
      endCursor: found.end_cursor,
    }
  },

  tenant: async (_, wanted, { reader }) => {
    const called = check('tenant', tenantName, definedOf({ ...wanted }))
    const found = await reader.call(TENANT, definedOf(called))
    return isObject(found) ? camelCased(found) : null
  },

  tenantCounts: async (_, __, { reader }) => camelCased(tenantCounts.parse(await reader.call(TENANT_COUNTS))),

  tenantVerification: async (_, { subject }, { operatorReader }) => {
    const text = check('subject', z.string().trim().min(1, 'is empty').max(320), subject)
    const document = await operatorReader.call(VERIFICATION, { subject: text })
    // Loaded when it is needed: the catalogue of failures brings the services with it, and they take their time to load.
    const { verificationOf } = await import('./verification.ts')
    return verificationOf(document)
  },
} satisfies QueryResolvers<GraphqlContext>

/** Fields of a tenant that are read by themselves, for as many tenants as there are with one query. */
export const tenantFields: TenantResolvers<GraphqlContext> = {
  provisioning: ({ id }, _, { operatorReader }) => provisioningStatus(operatorReader, id),

  healthDetails: ({ id }, _, { operatorReader }) => operatorReader.readOf(HEALTH, id),

  healthHistory: ({ id }, { since, bucket }, { operatorReader }) =>
    operatorReader.readOf(HEALTH_HISTORY[bucket], id, {
      since: (since ?? new Date(Date.now() - DAY_MS)).toISOString(),
    }),

  alerts: ({ id }, { includeResolved, first, after }, { operatorReader }) =>
    operatorReader.readOf(ORGANIZATION_ALERTS, id, {
      includeResolved,
      first: pageSize(first),
      after: decodeTimeCursor(after),
    }),

  events: ({ id }, { first, after }, { operatorReader }) =>
    operatorReader.readOf(EVENTS, id, { first: pageSize(first), after: decodeTimeCursor(after) }),
}

export const verificationFields: TenantVerificationResolvers<GraphqlContext> = {
  tenant: async ({ organizationId: id }, _, { operatorReader }) => {
    const found = typeof id !== 'string' ? null : await operatorReader.readOf(TENANT_SUMMARIES, id)
    return isObject(found) ? camelCased(found) : null
  },
}

/** A filter as the database's functions take it. @throws Problem that names what is wrong in it */
export function tenantFilterOf(filter: unknown): Options {
  const { hasOpenAlerts, errorCode, ...conditions } = check('filter', tenantFilter, filter ?? {})
  return {
    ...definedOf<string | string[]>(conditions),
    ...definedOf<boolean | string[]>({ has_open_alerts: hasOpenAlerts, error_code: errorCode }),
  }
}

function definedOf<T>(values: Readonly<Record<string, T | null | undefined>>): Readonly<Record<string, T>> {
  return Object.fromEntries(
    Object.entries(values).filter(
      (entry): entry is [string, T] => entry[1] !== null && entry[1] !== undefined,
    ),
  )
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
