import type { GAUGES } from '../../shared/metrics/gauges.ts'

type Unit = 'short' | 's' | 'percentunit' | 'reqps'

interface Panel {
  readonly title: string
  readonly description?: string
  readonly unit?: Unit
  /** A line each. `legend` is in Grafana's words. */
  readonly lines: readonly { readonly expression: string; readonly legend: string }[]
  /** One number, instead of its course. From which value on it is shown in red. */
  readonly number?: { readonly redFrom: number }
}

/** A gauge of the project that is chosen at the top of the dashboard. */
function of(gauge: keyof typeof GAUGES, ...matchers: readonly string[]): string {
  return `${gauge}{${['instance=~"$instance"', ...matchers].join(',')}}`
}

const line = (expression: string, legend = '') => ({ expression, legend })

const ROWS: readonly { readonly title: string; readonly panels: readonly Panel[] }[] = [
  {
    title: 'At a glance',
    panels: [
      {
        title: 'Tenants that are ready',
        lines: [line(`sum(${of('provisioning_tenants', 'state="ready"')})`)],
        number: { redFrom: Number.MAX_SAFE_INTEGER },
      },
      {
        title: 'Tenants that failed',
        lines: [line(`sum(${of('provisioning_tenants', 'state="failed"')})`)],
        number: { redFrom: 1 },
      },
      {
        title: 'Sign-ups without rows',
        lines: [line(`sum(${of('provisioning_sign_up_failures')})`)],
        number: { redFrom: 1 },
      },
      {
        title: 'Oldest due job',
        unit: 's',
        lines: [line(`max(${of('provisioning_oldest_due_job_seconds')})`)],
        number: { redFrom: 600 },
      },
      {
        title: 'The database cannot ring',
        lines: [line(`max(${of('provisioning_dispatch_problem')})`)],
        number: { redFrom: 1 },
      },
      {
        title: 'Open critical alerts',
        lines: [line(`sum(${of('provisioning_open_alerts', 'severity="critical"')})`)],
        number: { redFrom: 1 },
      },
    ],
  },
  {
    title: 'Work',
    panels: [
      {
        title: 'Open jobs',
        description:
          'due, later (not due yet), running, or lost by their worker. 10000 means at least so many.',
        lines: [line(`sum by (kind, state) (${of('provisioning_jobs')}) > 0`, '{{kind}} {{state}}')],
      },
      {
        title: 'For how long the oldest job has been due',
        unit: 's',
        lines: [line(`max by (kind) (${of('provisioning_oldest_due_job_seconds')})`, '{{kind}}')],
      },
      {
        title: 'Jobs that ended within the last hour',
        lines: [
          line(
            `sum by (kind, status) (${of('provisioning_jobs_finished_last_hour')}) > 0`,
            '{{kind}} {{status}}',
          ),
        ],
      },
      {
        title: 'Kinds that are paused',
        lines: [line(`max by (kind) (${of('provisioning_paused')})`, '{{kind}}')],
      },
    ],
  },
  {
    title: 'Steps of the last hour',
    panels: [
      {
        title: 'How long a step takes (median)',
        unit: 's',
        lines: [
          line(
            `max by (kind, step) (${of('provisioning_step_seconds_last_hour', 'quantile="0.5"')})`,
            '{{kind}} {{step}}',
          ),
        ],
      },
      {
        title: 'How long a step takes (one in twenty takes longer)',
        unit: 's',
        lines: [
          line(
            `max by (kind, step) (${of('provisioning_step_seconds_last_hour', 'quantile="0.95"')})`,
            '{{kind}} {{step}}',
          ),
        ],
      },
      {
        title: 'Where the time goes: seconds of all attempts together',
        unit: 's',
        lines: [line(`sum by (step) (${of('provisioning_step_seconds_sum_last_hour')})`, '{{step}}')],
      },
      {
        title: 'Attempts',
        lines: [
          line(`sum by (step, outcome) (${of('provisioning_steps_last_hour')})`, '{{step}} {{outcome}}'),
        ],
      },
      {
        title: 'Why attempts failed',
        lines: [
          line(
            `sum by (service, code) (${of('provisioning_step_failures_last_hour')})`,
            '{{service}} {{code}}',
          ),
        ],
      },
    ],
  },
  {
    title: 'Providers',
    panels: [
      {
        title: 'Circuit breaker is not closed',
        lines: [
          line(
            `max by (provider) (${of('provisioning_provider_breaker', 'state!="closed"')})`,
            '{{provider}}',
          ),
        ],
      },
      {
        title: 'Calls in a row without an answer',
        lines: [
          line(`max by (provider) (${of('provisioning_provider_consecutive_failures')})`, '{{provider}}'),
        ],
      },
      {
        title: 'What is left of the rate limit',
        unit: 'percentunit',
        lines: [line(`min by (provider) (${of('provisioning_provider_free_ratio')})`, '{{provider}}')],
      },
      {
        title: 'What the rate limit allows',
        unit: 'reqps',
        lines: [line(`max by (provider) (${of('provisioning_provider_calls_per_second')})`, '{{provider}}')],
      },
      {
        title: 'How long a call waits for the rate limit',
        unit: 's',
        lines: [line(`max by (provider) (${of('provisioning_provider_wait_seconds')})`, '{{provider}}')],
      },
    ],
  },
  {
    title: 'Tenants',
    panels: [
      {
        title: 'By state',
        description: 'Beyond 10000 of all, those that are ready are an estimate.',
        lines: [line(`sum by (state) (${of('provisioning_tenants')})`, '{{state}}')],
      },
      {
        title: 'In bad health',
        lines: [
          line(`sum by (health) (${of('provisioning_tenants_by_health')})`, '{{health}}'),
          line(`sum(${of('provisioning_schema_drifted_tenants')})`, 'changed by hand'),
        ],
      },
      {
        title: 'Open alerts',
        lines: [
          line(`sum by (kind, severity) (${of('provisioning_open_alerts')})`, '{{kind}} {{severity}}'),
          line(`sum(${of('provisioning_alert_deliveries_waiting')})`, 'not delivered'),
        ],
      },
      {
        title: 'Versions of the tenant schema',
        lines: [
          line(`sum by (version) (${of('provisioning_schema_version_tenants')})`, 'version {{version}}'),
        ],
      },
      {
        title: 'Fleet migration',
        lines: [
          line(`sum by (state) (${of('provisioning_fleet_migration_tenants')})`, '{{state}}'),
          line(`max(${of('provisioning_fleet_migration_stopped')})`, 'is stopped'),
        ],
      },
    ],
  },
  {
    title: 'The project’s database',
    panels: [
      {
        title: 'Connections',
        lines: [
          line(`sum by (of) (${of('provisioning_connections')})`, '{{of}}'),
          line(`max(${of('provisioning_connections_max')})`, 'at most'),
        ],
      },
      {
        title: 'Queue of pg_net',
        lines: [line(`sum by (worker) (${of('provisioning_pg_net_queue')})`, '{{worker}}')],
      },
      {
        title: 'Sweep and pg_net',
        unit: 's',
        lines: [
          line(`max(${of('provisioning_sweep_age_seconds')})`, 'since the last sweep'),
          line(`max(${of('provisioning_pg_net_unsent_seconds')})`, 'pg_net does not send'),
        ],
      },
    ],
  },
]

const WIDTH = 24
const DATASOURCE = { type: 'prometheus', uid: '$datasource' }

/** docs/monitoring/grafana-dashboard.json, which Grafana 10 and newer imports. */
export function printDashboard(): string {
  let id = 0
  let y = 0
  const panels = ROWS.flatMap(({ title, panels: inRow }) => {
    const row = {
      id: ++id,
      type: 'row',
      title,
      collapsed: false,
      gridPos: { x: 0, y, w: WIDTH, h: 1 },
      panels: [],
    }
    y += 1
    const columns = inRow.every(({ number }) => number) ? inRow.length : 3
    const [w, h] = [WIDTH / columns, inRow.every(({ number }) => number) ? 4 : 8]
    const placed = inRow.map((panel, index) =>
      grafanaPanel(++id, panel, { x: (index % columns) * w, y: y + Math.floor(index / columns) * h, w, h }),
    )
    y += Math.ceil(inRow.length / columns) * h
    return [row, ...placed]
  })
  const dashboard = {
    uid: 'tenant-provisioning',
    title: 'Tenant provisioning',
    description: 'Generated by `npm run monitoring` from tools/monitoring/dashboard.ts.',
    tags: ['supabase', 'provisioning'],
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-6h', to: 'now' },
    templating: { list: [datasourceVariable, instanceVariable] },
    panels,
  }
  return `${JSON.stringify(dashboard, null, 2)}\n`
}

const datasourceVariable = {
  name: 'datasource',
  label: 'Prometheus',
  type: 'datasource',
  query: 'prometheus',
}

const instanceVariable = {
  name: 'instance',
  label: 'Project',
  type: 'query',
  datasource: DATASOURCE,
  query: { query: 'label_values(provisioning_jobs, instance)', refId: 'instance' },
  refresh: 2,
  multi: true,
  includeAll: true,
  allValue: '.*',
}

function grafanaPanel(id: number, panel: Panel, gridPos: Readonly<Record<'x' | 'y' | 'w' | 'h', number>>) {
  const { title, description, unit = 'short', lines, number } = panel
  const thresholds = {
    mode: 'absolute',
    steps: [{ color: 'green', value: null }, ...(number ? [{ color: 'red', value: number.redFrom }] : [])],
  }
  return {
    id,
    type: number ? 'stat' : 'timeseries',
    title,
    ...(description === undefined ? {} : { description }),
    gridPos,
    datasource: DATASOURCE,
    fieldConfig: { defaults: { unit, min: 0, thresholds }, overrides: [] },
    options: number
      ? { reduceOptions: { calcs: ['lastNotNull'] }, colorMode: 'value', graphMode: 'area' }
      : { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi', sort: 'desc' } },
    targets: lines.map(({ expression, legend }, index) => ({
      refId: String.fromCharCode(65 + index),
      datasource: DATASOURCE,
      expr: expression,
      legendFormat: legend,
    })),
  }
}
