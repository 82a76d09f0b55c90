import type { MonitorView } from '../components/tenants/tenant-monitor.tsx'

const STATES = ['PENDING', 'PROVISIONING', 'READY', 'FAILED', 'CANCELLED'] as const
const HEALTHS = ['UNKNOWN', 'HEALTHY', 'DEGRADED', 'UNHEALTHY', 'SLEEPING'] as const
const SORTS = ['CREATED_AT_DESC', 'CREATED_AT_ASC', 'NAME_ASC', 'NAME_DESC', 'SLUG_ASC', 'SLUG_DESC'] as const

/** The view of the operators' list that an address names; what it may not name is left out. */
export function readView(given: Readonly<Record<string, unknown>>): MonitorView {
  const status = STATES.find((each) => each === given.status)
  const health = HEALTHS.find((each) => each === given.health)
  const sort = SORTS.find((each) => each === given.sort)
  // The router reads what looks like a number as one.
  const text = (name: string) => (given[name] === undefined ? undefined : String(given[name]).slice(0, 2_000))
  const texts = ['region', 'plan', 'search', 'code', 'after', 'tenant'] as const
  return {
    ...(status ? { status } : {}),
    ...(health ? { health } : {}),
    ...(sort ? { sort } : {}),
    ...Object.fromEntries(texts.flatMap((name) => (text(name) ? [[name, text(name)]] : []))),
    ...(given.alerts === true ? { alerts: true } : {}),
  }
}
