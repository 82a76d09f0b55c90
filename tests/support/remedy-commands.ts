import type { TenantCommand } from '../../shared/tenants/remedies.ts'

/** All that there are, which the compiler sees to. */
export const REMEDY_COMMANDS: {
  readonly [Name in TenantCommand['command']]: readonly (TenantCommand & { command: Name })[]
} = {
  retry: [{ command: 'retry' }, { command: 'retry', service: 'neon' }],
  set_secret: [{ command: 'set_secret', name: 'A' }],
  choose_region: [{ command: 'choose_region' }],
  bundle_tenant_schema: [{ command: 'bundle_tenant_schema' }],
  deploy_functions: [{ command: 'deploy_functions' }],
  provision_user: [{ command: 'provision_user' }],
  lift_removal: [{ command: 'lift_removal' }],
  provision: [{ command: 'provision' }],
  retry_removal: [{ command: 'retry_removal' }],
  set_plan: [{ command: 'set_plan' }],
  watch: [{ command: 'watch' }],
  sweep: [{ command: 'sweep' }],
  diagnose: [{ command: 'diagnose' }],
  check_health: [{ command: 'check_health' }],
  list_alerts: [{ command: 'list_alerts' }],
  list_pauses: [{ command: 'list_pauses' }],
}
