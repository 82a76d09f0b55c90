import type { QueryResolvers, Resolvers, Severity } from '../generated/resolver-types.ts'
import { accessQueries } from './access.ts'
import { decodeTimeCursor, encodeCursor, organizationId, pageSize } from './arguments.ts'
import type { GraphqlContext } from './context.ts'
import { fleetQueries } from './fleet.ts'
import { keyQueries } from './keys.ts'
import { membershipQueries } from './memberships.ts'
import { camelCased } from './names.ts'
import { ownOrganization } from './own-organizations.ts'
import { pauseQueries } from './pauses.ts'
import { provisioningStatus } from './provisioning-status.ts'
import { HEALTH, HEALTH_HISTORY } from './reads/health.ts'
import { CONNECTION_INFO, MY_ORGANIZATIONS } from './reads/organizations.ts'
import { ALERTS, EVENTS, OPTIONS } from './reads/provisioning.ts'
import { IS_OPERATOR } from './reads/tenants.ts'
import { tenantFields, tenantQueries, verificationFields } from './tenant-queries.ts'

const DAY_MS = 86_400_000

interface OfOrganization {
  readonly organizationId: string
}

export const queries: Required<QueryResolvers<GraphqlContext>> = {
  myOrganizations: (_, __, { reader }) => reader.read(MY_ORGANIZATIONS),

  provisioningEvents: (_, { organizationId: id, first, after }, { reader }) =>
    reader.readOf(EVENTS, organizationId(id), {
      first: pageSize(first),
      after: decodeTimeCursor(after),
    }),

  provisioningStatus: (_, { organizationId: id }, { reader }) =>
    provisioningStatus(reader, organizationId(id)),

  tenantHealth: (_, { organizationId: id }, { reader }) => reader.readOf(HEALTH, organizationId(id)),

  tenantHealthHistory: (_, wanted, { reader }) => {
    const since = wanted.since ?? new Date(Date.now() - DAY_MS)
    return reader.readOf(HEALTH_HISTORY[wanted.bucket], organizationId(wanted.organizationId), {
      since: since.toISOString(),
    })
  },

  tenantAlerts: (_, wanted, { reader }) =>
    reader.read(ALERTS, {
      organizationId:
        typeof wanted.organizationId === 'string' ? organizationId(wanted.organizationId) : null,
      includeResolved: wanted.includeResolved,
      first: pageSize(wanted.first),
      after: decodeTimeCursor(wanted.after),
    }),

  tenantConnectionInfo: (_, { organizationId: id, revealPassword }, { reader }) =>
    reader.call(CONNECTION_INFO, { organizationId: organizationId(id), reveal: revealPassword }),

  ...tenantQueries,
  ...pauseQueries,
  ...fleetQueries,
  ...membershipQueries,
  ...keyQueries,
  ...accessQueries,

  provisioningOptions: (_, __, { reader }) => reader.read(OPTIONS),

  isOperator: (_, __, { reader }) => reader.read(IS_OPERATOR),
}

/** A reason is stored with the state that it makes of the tenant. */
const REASON_SEVERITIES: Readonly<Record<string, Severity>> = {
  info: 'info',
  degraded: 'warning',
  unhealthy: 'critical',
}

/** Fields that are read by themselves, for as many objects as there are with one query. */
export const fields: Resolvers<GraphqlContext> = {
  Organization: {
    provisioning: ({ id }, _, { reader }) => provisioningStatus(reader, id),
    health: ({ id }, _, { reader }) => reader.readOf(HEALTH, id),
    events: ({ id }, { first }, { reader }) =>
      reader.readOf(EVENTS, id, { first: pageSize(first), after: null }),
  },
  ProvisioningEvent: {
    cursor: ({ startedAt, id }) => encodeCursor([startedAt, id]),
  },
  OrganizationMember: {
    cursor: ({ createdAt, userId }) => encodeCursor([createdAt, userId]),
  },
  TenantAlert: {
    cursor: ({ openedAt, id }) => encodeCursor([openedAt, id]),
  },
  /** Measurements are stored under names in snake case, with their units. */
  TenantHealth: { metrics: ({ metrics }) => camelCased(metrics ?? {}) },
  HealthReason: { severity: ({ severity }) => REASON_SEVERITIES[severity] ?? severity },
  Tenant: tenantFields,
  TenantVerification: verificationFields,
  ProvisioningRequest: { provisioning: provisioningOf },
  Cancellation: { provisioning: provisioningOf },
  OrganizationResult: { organization: ownOrganization },
  Membership: { organization: ownOrganization },
}

function provisioningOf({ organizationId: id }: OfOrganization, _: unknown, { reader }: GraphqlContext) {
  return provisioningStatus(reader, id)
}
