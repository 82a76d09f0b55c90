import { decodeTimeCursor, encodeCursor, organizationId, pageSize } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { camelCased } from './names.ts'
import { pauseQueries } from './pauses.ts'
import { provisioningStatus } from './provisioning-status.ts'
import { HEALTH, HEALTH_HISTORY, type HealthBucket } from './reads/health.ts'
import { CONNECTION_INFO, MY_ORGANIZATIONS } from './reads/organizations.ts'
import { ALERTS, EVENTS } from './reads/provisioning.ts'
import { IS_OPERATOR } from './reads/tenants.ts'
import { tenantFields, tenantQueries, verificationFields } from './tenant-queries.ts'

const DAY_MS = 86_400_000

interface OfOrganization {
  readonly organizationId: string
}

interface Page {
  readonly first: number
  readonly after?: string | null
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
    provisioningStatus(reader, organizationId(id)),

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

  ...tenantQueries,
  ...pauseQueries,

  isOperator: (_: unknown, __: unknown, { reader }: GraphqlContext) => reader.read(IS_OPERATOR),
}

/** Fields that are read by themselves, for as many objects as there are with one query. */
export const fields = {
  Organization: {
    provisioning: ({ id }: { id: string }, _: unknown, { reader }: GraphqlContext) =>
      provisioningStatus(reader, id),
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
  /** Measurements are stored under names in snake case, with their units. */
  TenantHealth: { metrics: ({ metrics }: { metrics: object }) => camelCased(metrics) },
  Tenant: tenantFields,
  TenantVerification: verificationFields,
  ProvisioningRequest: { provisioning: provisioningOf },
  Cancellation: { provisioning: provisioningOf },
}

function provisioningOf({ organizationId: id }: OfOrganization, _: unknown, { reader }: GraphqlContext) {
  return provisioningStatus(reader, id)
}
