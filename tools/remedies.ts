import { PUBLIC_SCHEMA } from '../shared/kernel/database/schema.ts'
import type { TenantCommand } from '../shared/tenants/remedies.ts'

/** What the user and the tenant are called on the command line: an id, or a slug. Never an address, which may mean a shell. */
export interface TenantNames {
  readonly user: string
  readonly tenant: string
  readonly organizationId: string
}

/** @returns the command for the terminal; undefined where only SQL does it */
export function cliCommand(command: TenantCommand, names: TenantNames): string | undefined {
  switch (command.command) {
    case 'provision_user':
      return `npm run tenants -- provision ${names.user}`
    case 'lift_removal':
      return `npm run tenants -- readmit ${names.user}`
    case 'provision':
      return `npm run tenants -- provision ${names.tenant}`
    case 'retry':
      return `npm run tenants -- retry ${names.tenant}${command.service ? ` --service ${command.service}` : ''}`
    case 'retry_removal':
      return `npm run tenants -- retry ${names.organizationId}`
    case 'watch':
      return `npm run tenants -- watch ${names.tenant}`
    case 'diagnose':
      return 'npm run tenants -- doctor'
    case 'check_health':
      return `npm run tenants -- health ${names.tenant} --deep`
    case 'list_alerts':
      return `npm run tenants -- alerts --tenant ${names.tenant}`
    case 'list_pauses':
      return 'npm run tenants -- pauses'
    case 'set_secret':
      return `npx supabase secrets set ${command.name}=…`
    case 'choose_region':
      return `npm run tenants -- provision ${names.tenant} --region REGION`
    case 'bundle_tenant_schema':
      return 'npm run tenant-schema'
    case 'deploy_functions':
      return 'npx supabase functions deploy --use-api'
    case 'set_plan':
    case 'sweep':
      return undefined
  }
}

export interface TenantIds {
  readonly userId: string
  readonly organizationId: string
}

/** @returns the statement for the SQL editor; undefined where only the command line does it */
export function sqlStatement(command: TenantCommand, ids: TenantIds): string | undefined {
  switch (command.command) {
    case 'provision_user':
      return `select provisioning.repair_user('${ids.userId}');`
    case 'lift_removal':
      return `select provisioning.lift_removal('${ids.userId}');`
    case 'provision':
      return `select * from provisioning.request_provisioning('${ids.organizationId}');`
    case 'retry':
      return command.service
        ? `select * from provisioning.request_provisioning('${ids.organizationId}', '{${command.service}}');`
        : `select * from provisioning.request_provisioning('${ids.organizationId}');`
    case 'retry_removal':
      return `select provisioning.retry_removal('${ids.organizationId}');`
    case 'set_plan':
      return `update ${PUBLIC_SCHEMA}.organizations set plan = 'free' where id = '${ids.organizationId}';`
    case 'sweep':
      return 'select provisioning.sweep();'
    case 'list_pauses':
      return 'select * from provisioning.pauses;'
    case 'list_alerts':
      return `select * from ${PUBLIC_SCHEMA}.tenant_alerts where organization_id = '${ids.organizationId}' and resolved_at is null;`
    case 'choose_region':
      return `select * from provisioning.request_provisioning('${ids.organizationId}', p_data_region := 'REGION');`
    case 'watch':
    case 'diagnose':
    case 'check_health':
    case 'set_secret':
    case 'bundle_tenant_schema':
    case 'deploy_functions':
      return undefined
  }
}
