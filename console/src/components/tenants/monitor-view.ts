import type { HealthState, ProvisioningState, TenantFilter, TenantSort } from './generated/operations'

/** What the list shows: all of it fits into an address, so that a view can be sent to somebody. */
export interface MonitorView {
  readonly status?: ProvisioningState
  readonly health?: HealthState
  readonly region?: string
  readonly plan?: string
  readonly search?: string
  /** Of a failure. */
  readonly code?: string
  readonly alerts?: true
  readonly sort?: TenantSort
  /** The cursor of the row before the page. */
  readonly after?: string
  /** The id of the organization whose verification is open. */
  readonly tenant?: string
}

/** `replace` when it is no place to come back to, such as a search that is being typed. */
export type OnView = (view: MonitorView, how?: 'push' | 'replace') => void

export interface ViewProps {
  readonly view: MonitorView
  readonly onView: OnView
}

export function filterOf({ status, health, region, plan, search, code, alerts }: MonitorView): TenantFilter {
  return {
    ...(status ? { status: [status] } : {}),
    ...(health ? { health: [health] } : {}),
    ...(region ? { region: [region] } : {}),
    ...(plan ? { plan: [plan] } : {}),
    ...(search ? { search } : {}),
    ...(code ? { errorCode: [code] } : {}),
    ...(alerts ? { hasOpenAlerts: true } : {}),
  }
}

type Change = { readonly [Key in keyof MonitorView]?: MonitorView[Key] | undefined }

/** The first page of another view; what is undefined is left out. */
export function changed(view: MonitorView, change: Change): MonitorView {
  return withChange(view, { after: undefined, tenant: undefined, ...change })
}

/** The same page, with something else beside it. */
export function withChange(view: MonitorView, change: Change): MonitorView {
  return Object.fromEntries(Object.entries({ ...view, ...change }).filter(([, value]) => value !== undefined))
}
