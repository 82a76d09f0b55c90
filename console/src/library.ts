import './library.css'

/** The components as a package: what others import, with its types. */
export { HealthDashboard, type HealthDashboardProps } from './components/tenants/health-dashboard'
export type { ProjectAccess } from './components/tenants/lib/api'
export {
  ProvisionTenantForm,
  type ProvisionTenantFormProps,
} from './components/tenants/provision-tenant-form'
export { ProvisioningStatus, type ProvisioningStatusProps } from './components/tenants/provisioning-status'
export {
  type MonitorView,
  type OnView,
  TenantMonitor,
  type TenantMonitorProps,
} from './components/tenants/tenant-monitor'
export { TenantSettings, type TenantSettingsProps } from './components/tenants/tenant-settings'
