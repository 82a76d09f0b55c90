import type { Query } from '../reader.ts'

/** Both are for the operators' reader. */
export const PROVIDERS: Query = { name: 'providers', sql: () => 'select provisioning.provider_states()' }

export const FLEET_VERSIONS: Query = {
  name: 'fleet versions',
  sql: () => 'select provisioning.fleet_migration_status()',
}
