import type { Database } from '../kernel/database/client.ts'
import { networkError } from '../kernel/database/socket.ts'
import { ENDPOINT_LOGIN, loginAddress } from '../tenant-database/roles.ts'
import { storedPassword, withPassword } from '../tenant-database/stored-password.ts'
import type { TenantEndpoint } from './access.ts'
import { openConnection, type UseLimits } from './connection.ts'
import { createPool, type Lease, type Pool, type PoolLimits } from './pool.ts'

/** Tenants whose connections are kept; those that were not asked for the longest time and are idle go first. */
const MOST_TENANTS = 30
const LIMITS: PoolLimits = { connections: 2, waiting: 20, idleMs: 20_000, lifeMs: 1_800_000 }
/** A sleeping Neon compute takes 1–2 s to wake, rarely more. */
const CONNECT_MS = 8_000

export interface Pools {
  /** @throws what Pool.acquire throws; an error with the code BUSY when too many tenants are at work at once */
  acquire(endpoint: TenantEndpoint, limits: UseLimits): Promise<Lease>
  end(): void
}

/** @param sql where the passwords are */
export function createPools(sql: Database, mostTenants = MOST_TENANTS): Pools {
  const pools = new Map<string, Pool>()

  const makeRoom = () => {
    if (pools.size < mostTenants) return
    for (const [name, pool] of pools) {
      if (!pool.isIdle) continue
      pools.delete(name)
      pool.end()
      return
    }
    throw networkError('BUSY', 'requests of too many tenants are at work')
  }
  const poolOf = (endpoint: TenantEndpoint): Pool => {
    const name = [endpoint.organizationId, endpoint.pooledHost, endpoint.port, endpoint.databaseName].join(
      ' ',
    )
    const known = pools.get(name)
    if (known) pools.delete(name)
    else makeRoom()
    const pool = known ?? createPool(createOpener(sql, endpoint), LIMITS)
    pools.set(name, pool)
    return pool
  }
  return {
    acquire: (endpoint, limits) => poolOf(endpoint).acquire(limits),
    end() {
      for (const pool of pools.values()) pool.end()
      pools.clear()
    },
  }
}

/** Knows the password from one connection to the next. */
function createOpener(sql: Database, endpoint: TenantEndpoint) {
  const address = loginAddress(endpoint, ENDPOINT_LOGIN)
  let password: string | undefined
  const readPassword = async () => {
    password = await storedPassword(sql, endpoint.organizationId, ENDPOINT_LOGIN, endpoint.isComing)
    return password
  }
  return async (onLost: () => void) => {
    const opened = await withPassword(
      readPassword,
      (current) => openConnection(address, current, { connectMs: CONNECT_MS, onLost }).catch(refusedLogin),
      (outcome) => outcome instanceof Error,
      password,
    )
    if (!opened.ok) throw networkError('NO_PASSWORD', 'the password is not in Vault')
    if (opened.value instanceof Error) throw opened.value
    return opened.value
  }
}

/** @throws the error, unless it says that the password was refused */
function refusedLogin(error: unknown): Error {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  if (error instanceof Error && code === '28P01') return error
  // Closed for a move since the request came in: nothing that the caller may or may not.
  if (code === '42501') throw networkError('CONNECTION_REFUSED', 'the database takes no connections')
  throw error
}
