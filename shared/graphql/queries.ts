import { z } from 'zod'
import {
  check,
  decodeNameCursor,
  decodeTimeCursor,
  encodeCursor,
  organizationId,
  pageSize,
} from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { HEALTH, HEALTH_HISTORY, type HealthBucket } from './reads/health.ts'
import { CONNECTION_INFO, MY_ORGANIZATIONS } from './reads/organizations.ts'
import { ALERTS, EVENTS, PROVISIONING_STATUS } from './reads/provisioning.ts'
import { IS_OPERATOR, TENANTS } from './reads/tenants.ts'

const DAY_MS = 86_400_000

interface OfOrganization {
  readonly organizationId: string
}

interface Page {
  readonly first: number
  readonly after?: string | null
}

const tenantFilter = z.object({
  overall: z.enum(['pending', 'provisioning', 'ready', 'failed', 'cancelled']).nullish(),
  health: z.enum(['unknown', 'healthy', 'degraded', 'unhealthy', 'sleeping']).nullish(),
  dataRegion: z.string().max(50).nullish(),
  plan: z.string().max(50).nullish(),
  search: z.string().trim().min(1).max(200).nullish(),
})

const tenantRows = z.array(z.looseObject({ cursor: z.unknown() }))

type TenantSort = 'CREATED_AT_DESC' | 'CREATED_AT_ASC' | 'NAME_ASC' | 'NAME_DESC'

interface TenantArguments {
  readonly filter?: unknown
  readonly sort: TenantSort
  readonly page?: Page | null
}

export const queries = {
  myOrganizations: (_: unknown, __: unknown, { reader }: GraphqlContext) => reader.read(MY_ORGANIZATIONS),

  provisioningEvents: (
    _: unknown,
    { organizationId: id, first, after }: OfOrganization & Page,
    context: GraphqlContext,
  ) =>
    context.reader.readOf(EVENTS, organizationId(id), {
      first: pageSize(first),
      after: decodeTimeCursor(after),
    }),

  provisioningStatus: (_: unknown, { organizationId: id }: OfOrganization, { reader }: GraphqlContext) =>
    reader.readOf(PROVISIONING_STATUS, organizationId(id)),

  tenantHealth: (_: unknown, { organizationId: id }: OfOrganization, { reader }: GraphqlContext) =>
    reader.readOf(HEALTH, organizationId(id)),

  tenantHealthHistory: (
    _: unknown,
    wanted: OfOrganization & { since?: Date | null; bucket: HealthBucket },
    { reader }: GraphqlContext,
  ) => {
    const since = wanted.since ?? new Date(Date.now() - DAY_MS)
    return reader.readOf(HEALTH_HISTORY[wanted.bucket], organizationId(wanted.organizationId), {
      since: since.toISOString(),
    })
  },

  tenantAlerts: (
    _: unknown,
    wanted: { organizationId?: string | null; includeResolved: boolean } & Page,
    { reader }: GraphqlContext,
  ) =>
    reader.read(ALERTS, {
      organizationId:
        typeof wanted.organizationId === 'string' ? organizationId(wanted.organizationId) : null,
      includeResolved: wanted.includeResolved,
      first: pageSize(wanted.first),
      after: decodeTimeCursor(wanted.after),
    }),

  tenantConnectionInfo: (
    _: unknown,
    { organizationId: id, revealPassword }: OfOrganization & { revealPassword: boolean },
    { reader }: GraphqlContext,
  ) => reader.call(CONNECTION_INFO, { organizationId: organizationId(id), reveal: revealPassword }),

  tenants: listTenants,

  isOperator: (_: unknown, __: unknown, { reader }: GraphqlContext) => reader.read(IS_OPERATOR),
}

async function listTenants(_: unknown, { filter, sort, page }: TenantArguments, { reader }: GraphqlContext) {
  const first = pageSize(page?.first ?? 50)
  const wanted = check('filter', tenantFilter, filter ?? {})
  const given = Object.entries(wanted).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  const rows = tenantRows.parse(
    await reader.call(TENANTS, {
      filter: Object.fromEntries(given),
      sort,
      first,
      after: sort.startsWith('NAME') ? decodeNameCursor(page?.after) : decodeTimeCursor(page?.after),
    }),
  )
  const nodes = rows.slice(0, first)
  const last = nodes.at(-1)
  return { nodes, hasNextPage: rows.length > first, endCursor: last ? encodeCursor(last.cursor) : null }
}

/** Fields that are read by themselves, for as many objects as there are with one query. */
export const fields = {
  Organization: {
    provisioning: ({ id }: { id: string }, _: unknown, { reader }: GraphqlContext) =>
      reader.readOf(PROVISIONING_STATUS, id),
    health: ({ id }: { id: string }, _: unknown, { reader }: GraphqlContext) => reader.readOf(HEALTH, id),
    events: ({ id }: { id: string }, { first }: Page, { reader }: GraphqlContext) =>
      reader.readOf(EVENTS, id, { first: pageSize(first), after: null }),
  },
  ProvisioningEvent: {
    cursor: ({ startedAt, id }: { startedAt: string; id: string }) => encodeCursor([startedAt, id]),
  },
  TenantAlert: {
    cursor: ({ openedAt, id }: { openedAt: string; id: string }) => encodeCursor([openedAt, id]),
  },
  TenantHealth: { metrics: ({ metrics }: { metrics: object }) => camelCased(metrics) },
  ProvisioningRequest: { provisioning: provisioningOf },
  Cancellation: { provisioning: provisioningOf },
}

function provisioningOf({ organizationId: id }: OfOrganization, _: unknown, { reader }: GraphqlContext) {
  return reader.readOf(PROVISIONING_STATUS, id)
}

/** Measurements are stored under names in snake case, with their units. */
function camelCased(metrics: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, value]) => [
      name.replaceAll(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  )
}
