import { type GraphQLSchema, isNonNullType } from 'graphql'
import type { Database } from '../kernel/database/client.ts'
import { networkError } from '../kernel/database/socket.ts'
import type { ProblemCode } from '../kernel/http/problem.ts'
import type { TenantEndpoint } from './access.ts'
import { createDocuments } from './documents.ts'
import { createExecutor } from './execute.ts'
import { createPools, type Pools } from './pools.ts'
import { createVersions } from './versions.ts'

type Tenant = Omit<TenantEndpoint, 'introspection' | 'storedDocumentsOnly'>

const versionOf = createVersions()
const checkDocument = createDocuments()

/**
 * Runs one query through the endpoint of a tenant, as the reading role.
 * @returns the code of what is wrong; undefined when it has been answered
 */
export async function checkEndpoint(
  sql: Database,
  tenant: Tenant,
  signal: AbortSignal,
): Promise<ProblemCode | string | undefined> {
  const pools = endingAt(signal, createPools(sql))
  const endpoint = { ...tenant, introspection: false, storedDocumentsOnly: false }
  const access = { endpoint, scope: 'read', countedAs: '', requestsPerMinute: 1 } as const
  const served = await versionOf(tenant.schemaVersion)
  const { codes } = await createExecutor(pools, checkDocument)(access, served, {
    query: smallQuery(served.schema),
  }).finally(() => pools.end())
  return codes[0]
}

/** How many rows a table has that may be read; which one is the tenant schema's to say. */
function smallQuery(schema: GraphQLSchema): string {
  const list = Object.values(schema.getQueryType()?.getFields() ?? {}).find(
    ({ args }) => args.some(({ name }) => name === 'first') && !args.some(({ type }) => isNonNullType(type)),
  )
  return list ? `{ ${list.name}(first: 1) { totalCount } }` : '{ __typename }'
}

/** Whoever waits for a connection, or for an answer of one, waits no longer than until the signal. */
function endingAt(signal: AbortSignal, pools: Pools): Pools {
  const tooLate = () => networkError('DEADLINE', 'the work was given up')
  return {
    acquire: (endpoint, limits) =>
      new Promise((resolve, reject) => {
        const leave = () => reject(tooLate())
        if (signal.aborted) return leave()
        signal.addEventListener('abort', leave, { once: true })
        pools.acquire(endpoint, limits).then((lease) => {
          if (signal.aborted) return lease.release()
          signal.addEventListener('abort', () => lease.connection.cut(tooLate()), { once: true })
          resolve(lease)
        }, reject)
      }),
    end: () => pools.end(),
  }
}
