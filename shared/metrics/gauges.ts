import { Gauge, Registry } from 'prom-client'

export interface GaugeDefinition {
  /** What it says, in a sentence for whoever sees it in Prometheus. */
  readonly help: string
  /** None is a tenant's: their number is that of kinds, steps, services, codes and providers. */
  readonly labels: readonly string[]
}

/** Every gauge that provisioning.metrics() gives. */
export const GAUGES = {
  provisioning_jobs: {
    help: 'Open jobs by kind. state: due, later (not due yet), running, or lost (its worker fell silent). 10000 means at least so many.',
    labels: ['kind', 'state'],
  },
  provisioning_oldest_due_job_seconds: {
    help: 'For how long the oldest due job of a kind has been due, or been lost by its worker; 0 when none is.',
    labels: ['kind'],
  },
  provisioning_paused: { help: '1 while jobs of this kind are paused.', labels: ['kind'] },
  provisioning_jobs_finished_last_hour: {
    help: 'Jobs that have ended within the last hour.',
    labels: ['kind', 'status'],
  },
  provisioning_steps_last_hour: {
    help: 'Attempts at steps that were begun within the last hour and have ended, of the newest 5000 events.',
    labels: ['kind', 'step', 'outcome'],
  },
  provisioning_step_seconds_last_hour: {
    help: 'How long the attempts of the last hour took that succeeded.',
    labels: ['kind', 'step', 'quantile'],
  },
  provisioning_step_seconds_sum_last_hour: {
    help: 'How long the attempts of the last hour that succeeded took together.',
    labels: ['kind', 'step'],
  },
  provisioning_step_failures_last_hour: {
    help: 'Attempts of the last hour that failed, by service and failure code; the 100 most frequent.',
    labels: ['service', 'code'],
  },
  provisioning_provider_breaker: {
    help: '1 for the state in which the circuit breaker of a provider is, 0 for the others.',
    labels: ['provider', 'state'],
  },
  provisioning_provider_consecutive_failures: {
    help: 'Calls to a provider in a row that were not answered.',
    labels: ['provider'],
  },
  provisioning_provider_calls_per_second: {
    help: 'Calls a second that a provider’s rate limit allows in the long run.',
    labels: ['provider'],
  },
  provisioning_provider_free_ratio: {
    help: 'What is left of a provider’s rate limit, from 0 to 1, in the bucket that has the least.',
    labels: ['provider'],
  },
  provisioning_provider_wait_seconds: {
    help: 'How long a call to a provider waits for the rate limit now.',
    labels: ['provider'],
  },
  provisioning_tenants: {
    help: 'Tenants by state. Beyond 10000 of all, those that are ready are the estimate of the last ANALYZE.',
    labels: ['state'],
  },
  provisioning_tenants_by_health: { help: 'Tenants in bad health.', labels: ['health'] },
  provisioning_open_alerts: {
    help: 'Alerts about tenants that are open, of the first 10000.',
    labels: ['kind', 'severity'],
  },
  provisioning_schema_version_tenants: {
    help: 'Ready tenants by version of the tenant schema. 10000 means at least so many.',
    labels: ['version'],
  },
  provisioning_schema_drifted_tenants: {
    help: 'Tenants whose database is not as the files of its version have made it.',
    labels: [],
  },
  provisioning_fleet_migration_tenants: {
    help: 'Tenants of the open fleet migration since it began or went on; absent when none is open.',
    labels: ['state'],
  },
  provisioning_fleet_migration_stopped: {
    help: '1 while a fleet migration is stopped because too many have failed, or because somebody said so.',
    labels: [],
  },
  provisioning_pg_net_queue: {
    help: 'Calls that wait in the queue of pg_net, by the worker that they ring. none: calls of others.',
    labels: ['worker'],
  },
  provisioning_pg_net_unsent_seconds: {
    help: 'Since when pg_net has been known to leave a call of ours in its queue; 0 when it does not.',
    labels: [],
  },
  provisioning_sweep_age_seconds: { help: 'When the sweep last ran.', labels: [] },
  provisioning_dispatch_problem: {
    help: '1 while the database cannot ring any function; dispatch_state.problem says why.',
    labels: [],
  },
  provisioning_connections: {
    help: 'Connections to the project’s database: of the functions, and of all others.',
    labels: ['of'],
  },
  provisioning_connections_max: {
    help: 'Connections that the project’s database takes at most.',
    labels: [],
  },
  provisioning_sign_up_failures: { help: 'Users whose rows could not be made at sign-up yet.', labels: [] },
  provisioning_alert_deliveries_waiting: {
    help: 'News of alerts that the webhook has yet to take.',
    labels: [],
  },
} as const satisfies Record<string, GaugeDefinition>

/** A row of provisioning.metrics(). */
export interface Reading {
  readonly metric: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/**
 * The readings as Prometheus takes them. A registry of its own each time: a series that has gone must not keep its last value.
 * What the database gives that this version does not know is left out.
 */
export function registryOf(readings: readonly Reading[]): Registry {
  const registry = new Registry()
  const gauges = new Map(
    Object.entries<GaugeDefinition>(GAUGES).map(([name, { help, labels }]) => [
      name,
      new Gauge({ name, help, labelNames: [...labels], registers: [registry] }),
    ]),
  )
  // One without labels begins at 0, which nobody has read.
  for (const [name, { labels }] of Object.entries<GaugeDefinition>(GAUGES))
    if (labels.length === 0) gauges.get(name)?.remove()
  for (const { metric, labels, value } of readings) gauges.get(metric)?.set({ ...labels }, value)
  return registry
}
