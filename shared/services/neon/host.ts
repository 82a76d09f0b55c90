import { failed, success } from '../../kernel/result.ts'
import { failure } from '../../tenant-database/failures.ts'
import type { DatabaseCopies, DatabaseHost } from '../database/host.ts'
import type { Awake } from './awake.ts'
import type { NeonProvider } from './client.ts'
import { neonTenant, tenantRoleName } from './tenant.ts'

/** Under this the password of the role that Neon's API has made is in the secrets of a run that has just made or found the project. */
export const API_PASSWORD = 'apiPassword'

/** The databases of the tier "database" are Neon projects. */
export function neonHost(neon: NeonProvider, isListedAwake: Awake): DatabaseHost {
  return {
    tier: 'database',
    hosted(facts) {
      const tenant = neonTenant.parse(facts)
      const adminRole = tenantRoleName(tenant.organizationId)
      return {
        adminRole,
        ...(tenant.neonProjectId && tenant.databaseName
          ? { copies: branchesOf(neon, tenant.neonProjectId, tenant.databaseName, adminRole) }
          : {}),
        async isAwake() {
          if (!tenant.neonProjectId) return success(false)
          const compute = await neon.compute(tenant.neonProjectId)
          return compute.ok ? success(compute.value.state === 'active') : compute
        },
        isListedAwake: () => isListedAwake(tenant),
        async adminPassword({ secrets }) {
          const known = secrets.get(API_PASSWORD)
          if (known) return success(known)
          const { neonProjectId, databaseName } = tenant
          if (!neonProjectId || !databaseName) return failed(failure('credentials_missing'))
          const connection = await neon.connection(neonProjectId, databaseName, adminRole)
          return connection.ok ? success(connection.value.password) : connection
        },
      }
    },
  }
}

/** A copy is a branch of the tenant's project: it shares the storage of what neither of the two changes. */
function branchesOf(
  neon: NeonProvider,
  projectId: string,
  databaseName: string,
  roleName: string,
): DatabaseCopies {
  return {
    async open(name, expiresAt, assertLease) {
      const opened = await neon.openBranch(
        { projectId, name, databaseName, roleName, expiresAt },
        assertLease,
      )
      if (!opened.ok) return opened
      const { branchId: id, host, port } = opened.value
      return success({ id, host, port })
    },
    close: ({ id }, assertLease) => neon.deleteBranch(projectId, id, assertLease),
  }
}
