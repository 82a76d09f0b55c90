import { serverOf, type TenantAddress } from '../../tenant-database/address.ts'
import { adminRoleOf } from './host.ts'

/** Postgres URLs of a project's database, with the password of the role that came with it. */
export function databaseUrls(address: TenantAddress, password: string) {
  return {
    databaseUrl: databaseUrl(address, password, 'direct'),
    pooledDatabaseUrl: databaseUrl(address, password, 'pooled'),
  }
}

function databaseUrl(address: TenantAddress, password: string, through: 'direct' | 'pooled'): string {
  const roleName = adminRoleOf(address.databaseName)
  const { host, port, user } = serverOf({ ...address, roleName }, through)
  const database = encodeURIComponent(address.databaseName ?? '')
  return `postgresql://${encodeURIComponent(user)}:${encodeURIComponent(password)}@${host}:${port}/${database}`
}
