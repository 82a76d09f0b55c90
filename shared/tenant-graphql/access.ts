import { z } from 'zod'
import type { Database } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import type { TenantAddress } from '../tenant-database/address.ts'
import type { ApiKeyProof } from './api-key.ts'

/** Where the requests of one tenant go, and what the settings allow them. */
export interface TenantEndpoint extends TenantAddress {
  readonly organizationId: string
  readonly databaseName: string
  /** The version of tenant-schema/ that the database is at. */
  readonly schemaVersion: number
  readonly introspection: boolean
  /** Only documents that operators have stored are run. */
  readonly storedDocumentsOnly: boolean
  /** The database that the tenant moves to, which is tried before anybody uses it. */
  readonly isComing?: boolean
}

/** Who asks, and what they may. */
export interface Access {
  readonly endpoint: TenantEndpoint
  readonly scope: 'read' | 'write'
  /** The person; absent for a key. */
  readonly member?: { readonly userId: string; readonly role: string }
  /** Whose requests are counted together. */
  readonly countedAs: string
  readonly requestsPerMinute: number
}

const facts = z.object({
  organizationId: z.string(),
  /** Null while the endpoint is not enabled. */
  endpoint: z
    .object({
      host: z.string().nullable(),
      pooledHost: z.string().nullable(),
      port: z.number().nullable(),
      pooledPort: z.number().nullable(),
      poolerTenant: z.string().nullable(),
      databaseName: z.string(),
      roleName: z.string().nullable(),
      sslMode: z.string(),
      schemaVersion: z.number(),
    })
    .nullable(),
  /** For the moment in which the tenant changes its database. */
  isMoving: z.boolean(),
  requestsPerMinute: z.number(),
  introspection: z.boolean(),
  storedDocumentsOnly: z.boolean(),
})

const keyFacts = facts.extend({
  keyId: z.string(),
  scope: z.enum(['read', 'write']),
  /** How long it is valid yet, in milliseconds; null for good. Not above 0: it has ended. */
  endsInMs: z.number().nullable(),
})

const memberFacts = facts.extend({ role: z.string() })

/** An access, and how long it may be relied on, in milliseconds: less than a second after a revocation nobody has it. */
export interface Checked {
  readonly access: Access
  readonly goodForMs: number
}

const GOOD_FOR_MS = 900

/** @param meant the organization that the caller names, if one is named @throws Problem */
export async function accessOfKey(
  sql: Database,
  { prefix, hash }: ApiKeyProof,
  meant: string | undefined,
): Promise<Checked> {
  const [row] = await sql<{ found: unknown }[]>`
    select provisioning.open_endpoint_with_key(${prefix}, ${hash}) as found`
  if (!row?.found) throw new Problem('unauthorized', 'The API key is not valid.')
  const { keyId, scope, endsInMs, ...found } = keyFacts.parse(row.found)
  if (endsInMs !== null && endsInMs <= 0)
    throw new Problem('unauthorized', 'The API key has expired, was revoked or was replaced.')
  if (meant !== undefined && meant !== found.organizationId)
    throw new Problem('forbidden', 'The API key is one of another organization.')
  return {
    access: {
      endpoint: endpointOf(found),
      scope,
      countedAs: keyId,
      requestsPerMinute: found.requestsPerMinute,
    },
    goodForMs: Math.min(GOOD_FOR_MS, endsInMs ?? GOOD_FOR_MS),
  }
}

/** @throws Problem, the same for a stranger and for an organization that does not exist */
export async function accessOfMember(
  sql: Database,
  userId: string,
  organizationId: string,
): Promise<Checked> {
  const [row] = await sql<{ found: unknown }[]>`
    select provisioning.open_endpoint_as_member(${userId}, ${organizationId}) as found`
  if (!row?.found) throw new Problem('forbidden', 'Only members of the organization may do this.')
  const { role, ...found } = memberFacts.parse(row.found)
  return {
    access: {
      endpoint: endpointOf(found),
      scope: 'write',
      member: { userId, role },
      countedAs: `${organizationId}/${userId}`,
      requestsPerMinute: found.requestsPerMinute,
    },
    goodForMs: GOOD_FOR_MS,
  }
}

/** For the project's own backend, which may do what a key with the scope write may. @throws Problem */
export async function accessOfBackend(sql: Database, organizationId: string): Promise<Checked> {
  const [row] = await sql<{ found: unknown }[]>`
    select provisioning.endpoint_facts(${organizationId}) as found`
  if (!row?.found) throw new Problem('organization_not_found', `There is no organization ${organizationId}.`)
  const found = facts.parse(row.found)
  return {
    access: {
      endpoint: endpointOf(found),
      scope: 'write',
      countedAs: `${organizationId}/backend`,
      requestsPerMinute: found.requestsPerMinute,
    },
    goodForMs: GOOD_FOR_MS,
  }
}

/** While it is being made, a minute is a good guess. */
const NOT_READY_SECONDS = 60
/** The last rows are copied in seconds, as a rule. */
const MOVING_SECONDS = 5

function endpointOf({
  organizationId,
  endpoint,
  isMoving,
  introspection,
  storedDocumentsOnly,
}: z.infer<typeof facts>): TenantEndpoint {
  if (isMoving)
    throw new Problem(
      'tenant_moving',
      'The tenant is moving to another database, and is back in a moment.',
      [],
      MOVING_SECONDS,
    )
  if (!endpoint)
    throw new Problem(
      'tenant_not_ready',
      'The tenant’s database has no GraphQL endpoint yet; provisioning_status says why.',
      [],
      NOT_READY_SECONDS,
    )
  return { ...endpoint, organizationId, introspection, storedDocumentsOnly }
}
