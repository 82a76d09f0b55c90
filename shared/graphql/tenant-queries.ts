import { z } from 'zod'
import { check, decodeTimeCursor, organizationId, pageSize } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { provisioningStatus } from './provisioning-status.ts'
import { HEALTH, HEALTH_HISTORY, type HealthBucket } from './reads/health.ts'
import { EVENTS, ORGANIZATION_ALERTS } from './reads/provisioning.ts'
import { TENANT, TENANT_COUNTS, TENANT_SUMMARIES, TENANTS, VERIFICATION } from './reads/tenants.ts'

const DAY_MS = 86_400_000

interface Page {
  readonly first: number
  readonly after?: string | null
}

const words = z.array(z.string().max(100)).max(50).nullish()
const tenantFilter = z.object({
  status: words,
  health: words,
  region: words,
  plan: words,
  search: z.string().trim().min(1).max(200).nullish(),
  hasOpenAlerts: z.boolean().nullish(),
})

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

interface TenantArguments {
  readonly filter?: unknown
  readonly sort: string
  readonly page?: Page | null
}

/** What operators and the service role ask about tenants of everybody. */
export const tenantQueries = {
  tenants: async (_: unknown, { filter, sort, page }: TenantArguments, { reader }: GraphqlContext) => {
    const { hasOpenAlerts = null, ...conditions } = check('filter', tenantFilter, filter ?? {})
    const found = tenantPage.parse(
      await reader.call(TENANTS, {
        filter: {
          ...definedOf(conditions),
          ...(hasOpenAlerts === null ? {} : { has_open_alerts: hasOpenAlerts }),
        },
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

  tenant: async (_: unknown, wanted: { organizationId: string }, { reader }: GraphqlContext) => {
    const found = await reader.call(TENANT, { organizationId: organizationId(wanted.organizationId) })
    return isObject(found) ? camelCased(found) : null
  },

  tenantCounts: async (_: unknown, __: unknown, { reader }: GraphqlContext) =>
    camelCased(tenantCounts.parse(await reader.call(TENANT_COUNTS))),

  tenantVerification: async (
    _: unknown,
    { subject }: { subject: string },
    { operatorReader }: GraphqlContext,
  ) => {
    const text = check('subject', z.string().trim().min(1, 'is empty').max(320), subject)
    const document = await operatorReader.call(VERIFICATION, { subject: text })
    // Loaded when it is needed: the catalogue of failures brings the services with it, and they take their time to load.
    const { verificationOf } = await import('./verification.ts')
    return verificationOf(document)
  },
}

interface TenantRow {
  readonly id: string
}

/** Fields of a tenant that are read by themselves, for as many tenants as there are with one query. */
export const tenantFields = {
  provisioning: ({ id }: TenantRow, _: unknown, { operatorReader }: GraphqlContext) =>
    provisioningStatus(operatorReader, id),

  healthDetails: ({ id }: TenantRow, _: unknown, { operatorReader }: GraphqlContext) =>
    operatorReader.readOf(HEALTH, id),

  healthHistory: (
    { id }: TenantRow,
    { since, bucket }: { since?: Date | null; bucket: HealthBucket },
    { operatorReader }: GraphqlContext,
  ) =>
    operatorReader.readOf(HEALTH_HISTORY[bucket], id, {
      since: (since ?? new Date(Date.now() - DAY_MS)).toISOString(),
    }),

  alerts: (
    { id }: TenantRow,
    { includeResolved, first, after }: Page & { includeResolved: boolean },
    { operatorReader }: GraphqlContext,
  ) =>
    operatorReader.readOf(ORGANIZATION_ALERTS, id, {
      includeResolved,
      first: pageSize(first),
      after: decodeTimeCursor(after),
    }),

  events: ({ id }: TenantRow, { first, after }: Page, { operatorReader }: GraphqlContext) =>
    operatorReader.readOf(EVENTS, id, { first: pageSize(first), after: decodeTimeCursor(after) }),
}

export const verificationFields = {
  tenant: async (
    { organizationId: id }: { organizationId: string | null },
    _: unknown,
    { operatorReader }: GraphqlContext,
  ) => {
    const found = id === null ? null : await operatorReader.readOf(TENANT_SUMMARIES, id)
    return isObject(found) ? camelCased(found) : null
  },
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
