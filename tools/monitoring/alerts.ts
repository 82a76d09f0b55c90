/** An alert of Prometheus, and what whoever is woken by it does. */
export interface Alert {
  readonly name: string
  /** PromQL over the gauges of shared/metrics/gauges.ts. */
  readonly expression: string
  /** For how long it must hold: one bad scrape wakes nobody. */
  readonly minutes: number
  /** critical: sign-ups are hurt now. warning: look at it today. */
  readonly severity: 'warning' | 'critical'
  /** In a line, for a telephone. */
  readonly summary: string
  /** What it means, and what does not work meanwhile. */
  readonly meaning: string
  /** In Markdown of docs/. */
  readonly remedy: string
}

const FAILED = 'sum without (status) (provisioning_jobs_finished_last_hour{status="failed"})'
const ENDED = 'sum without (status) (provisioning_jobs_finished_last_hour{status=~"succeeded|failed"})'
const UNHEALTHY = 'sum without (health) (provisioning_tenants_by_health{health="unhealthy"})'

/** All alerts, those that explain others first. */
export const ALERTS: readonly Alert[] = [
  {
    name: 'ProvisioningMetricsMissing',
    expression: 'absent(provisioning_jobs) or up{job="tenant-provisioning"} == 0',
    minutes: 5,
    severity: 'critical',
    summary: 'Prometheus gets no metrics of the project',
    meaning:
      'Nothing is known, and no other alert can fire. The function `metrics` does not answer, or not with metrics; or the project is down.',
    remedy:
      'Ask it by hand: `curl -i -H "Authorization: Bearer $METRICS_KEY" https://YOUR-PROJECT.supabase.co/functions/v1/metrics`. 401: the key in Prometheus is not that of the function. 503 with `not_configured`: the secret `METRICS_KEY` is not set. 404: the function is not deployed. Another 503: its log names what is missing, or the database does not answer.',
  },
  {
    name: 'ProvisioningCannotRing',
    expression: 'provisioning_dispatch_problem == 1',
    minutes: 2,
    severity: 'critical',
    summary: 'The database cannot ring the functions: nobody is provisioned',
    meaning:
      'Sign-ups succeed and their jobs wait. The address of the functions or the doorbell key is not in Vault, Vault cannot decrypt it, or pg_net does not send.',
    remedy:
      '`select problem from provisioning.dispatch_state` says which; [common problems](common-problems.md) has the statement for each. The jobs go on by themselves.',
  },
  {
    name: 'ProvisioningSweepStopped',
    expression: 'provisioning_sweep_age_seconds > 120',
    minutes: 1,
    severity: 'critical',
    summary: 'The sweep of the database has not run for two minutes',
    meaning:
      'The sweep runs every ten seconds. Without it lost jobs, retries and sign-ups that failed wait; what is rung at once, such as a new sign-up, still works.',
    remedy:
      'Look at the [cron runs](operations.md#checking-that-it-works). When there are none, pg_cron does not run: restart the database. When they fail, they have the reason.',
  },
  {
    name: 'ProvisioningCallsUnsent',
    expression: 'provisioning_pg_net_unsent_seconds > 60',
    minutes: 1,
    severity: 'critical',
    summary: 'pg_net leaves calls to the functions in its queue',
    meaning:
      'Its worker does not run, or others have queued more than the 200 calls a second that it sends. Nobody is rung meanwhile, so that its queue stays short.',
    remedy:
      '`select net.worker_restart();`. The next sweep rings again. If it comes back, look who fills `net.http_request_queue`.',
  },
  {
    name: 'ProvisioningPgNetQueueLong',
    expression: 'sum without (worker) (provisioning_pg_net_queue) > 2000',
    minutes: 5,
    severity: 'warning',
    summary: 'More than 2,000 calls wait in the queue of pg_net',
    meaning:
      'pg_net sends 200 calls a second, for everything in the project. Our doorbells wait behind those of others, and each sign-up with them. The label `worker` says whose they are; `none` is everybody else.',
    remedy:
      'Find what queues so many, by the `url` in `net.http_request_queue`; often it is a webhook on a table that is written in bulk.',
  },
  {
    name: 'ProvisioningSignUpFailed',
    expression: 'provisioning_sign_up_failures > 0',
    minutes: 5,
    severity: 'critical',
    summary: 'Users have signed up whose rows could not be made',
    meaning:
      'They can sign in and have neither profile nor organization. The sign-up itself was not stopped.',
    remedy:
      '`message` in `provisioning.sign_up_failures` has the words of Postgres. Mend the cause, often a trigger or a constraint of your own. The sweep tries again, at least once an hour.',
  },
  {
    name: 'ProvisioningJobsOverdue',
    expression:
      'provisioning_oldest_due_job_seconds > 600 unless on (instance, job, kind) provisioning_paused == 1',
    minutes: 5,
    severity: 'critical',
    summary: 'Jobs of the kind {{ $labels.kind }} have been due for more than ten minutes',
    meaning:
      'Nobody claims them, or more arrive than are done. A large batch, such as a backfill or a fleet migration, is overdue for as long as it takes: see whether `provisioning_jobs` of this kind falls.',
    remedy:
      '`npm run tenants -- doctor` says what holds them up. When nothing does, raise `max_running_jobs` in the [settings](operations.md#settings), as far as the connections of the database allow.',
  },
  {
    name: 'ProvisioningJobsLost',
    expression: 'provisioning_jobs{state="lost"} > 0',
    minutes: 10,
    severity: 'warning',
    summary: 'Jobs of the kind {{ $labels.kind }} were lost by their worker and are not taken up again',
    meaning:
      'A worker that ends in the middle is nothing unusual: the sweep gives its job to another within seconds. That it does not is.',
    remedy:
      'Look whether the sweep runs ([ProvisioningSweepStopped](#provisioningsweepstopped)), and whether workers end again and again: the log of the function says why, often its memory or its time.',
  },
  {
    name: 'ProvisioningJobsFailing',
    expression: `${FAILED} >= 3 and ${FAILED} / ${ENDED} > 0.1`,
    minutes: 0,
    severity: 'critical',
    summary: 'More than a tenth of the jobs of the kind {{ $labels.kind }} failed within the last hour',
    meaning: 'They are not tried again by themselves. What fails for many has one cause, mostly.',
    remedy:
      '`provisioning_step_failures_last_hour` has the codes, and [failure codes](failure-codes.md) what to do about each. Then [retry all](operations.md#manual-retry) with that code.',
  },
  {
    name: 'ProvisioningKeyRefused',
    expression:
      'sum without (code) (provisioning_step_failures_last_hour{code=~".+_key_(missing|rejected)"}) > 0',
    minutes: 0,
    severity: 'critical',
    summary: 'The key of {{ $labels.service }} is missing or not accepted',
    meaning: 'Each new tenant fails at this service until the key is right.',
    remedy:
      '`npx supabase secrets set …` with a valid key, then [retry all](operations.md#manual-retry) with that code. The alert ends an hour after the last failure.',
  },
  {
    name: 'ProvisioningBreakerOpen',
    expression: 'provisioning_provider_breaker{state="closed"} == 0',
    minutes: 10,
    severity: 'warning',
    summary: '{{ $labels.provider }} has not answered for ten minutes',
    meaning:
      'Calls to it are held back, and one at a time tries. Tenants that need it wait; what needs other providers goes on.',
    remedy:
      'Look at the status page of the provider. Nothing is to be done here: the jobs go on by themselves. `npm run tenants -- providers` shows how it stands.',
  },
  {
    name: 'ProvisioningRateUsedUp',
    expression: 'provisioning_provider_free_ratio < 0.05',
    minutes: 30,
    severity: 'warning',
    summary: 'The rate limit of {{ $labels.provider }} has been used up for half an hour',
    meaning: 'Work goes on, as fast as the limit allows. A batch does that by itself; sign-ups go before it.',
    remedy:
      'If sign-ups alone use it up, ask the provider for a higher limit and enter it into [`rate_limits`](operations.md#rate-limits-regions-sizes-plans).',
  },
  {
    name: 'ProvisioningStepsSlow',
    expression: 'provisioning_step_seconds_last_hour{quantile="0.95",kind="provision"} > 60',
    minutes: 15,
    severity: 'warning',
    summary: 'One in twenty attempts at the step {{ $labels.step }} takes longer than a minute',
    meaning: 'New tenants wait for it. A provider is slow, or a schema file takes long.',
    remedy:
      'Compare the steps on the dashboard: one alone points to its provider, all of them to the database or the functions.',
  },
  {
    name: 'ProvisioningTenantsUnhealthy',
    expression: `${UNHEALTHY} >= 3 and ${UNHEALTHY} > 0.02 * sum without (state) (provisioning_tenants{state="ready"})`,
    minutes: 5,
    severity: 'critical',
    summary: 'More than 2 % of the tenants are unhealthy',
    meaning:
      'Single tenants are told by `tenant_alerts` and the webhook. So many at once have one cause: a provider, a region, or a schema file.',
    remedy:
      '`npm run tenants -- list --health unhealthy` shows what they have in common, and `health TENANT` what the checks say.',
  },
  {
    name: 'ProvisioningAlertsOpen',
    expression: 'sum without (kind) (provisioning_open_alerts{severity="critical"}) > 0',
    minutes: 15,
    severity: 'warning',
    summary: '{{ $value }} tenants need a person',
    meaning: 'Each is a tenant about which something is to be decided or mended that does not mend itself.',
    remedy: '`npm run tenants -- alerts` shows them, the oldest first, and `status TENANT` what to do.',
  },
  {
    name: 'ProvisioningAlertsUndelivered',
    expression: 'provisioning_alert_deliveries_waiting > 0',
    minutes: 30,
    severity: 'warning',
    summary: 'The webhook does not take the news of alerts',
    meaning: 'They are kept and tried again, each after twice the time, for about 14 hours.',
    remedy:
      '`last_error` in `provisioning.alert_deliveries` has what the receiver answered. Correct `alert_webhook_url` in Vault, or the receiver.',
  },
  {
    name: 'ProvisioningFleetMigrationStopped',
    expression: 'provisioning_fleet_migration_stopped == 1',
    minutes: 0,
    severity: 'warning',
    summary: 'A fleet migration has stopped',
    meaning:
      'Too many tenants refused the new version of the tenant schema, or somebody stopped it. The others keep the old version, and work.',
    remedy:
      '`npm run tenants -- migrate --status` says why, with the errors by tenant. When the cause is mended, `migrate` goes on. See [tenants](tenants.md#a-new-tenant-schema-file-for-existing-tenants).',
  },
  {
    name: 'ProvisioningSchemaDrift',
    expression: 'provisioning_schema_drifted_tenants > 0',
    minutes: 60,
    severity: 'warning',
    summary: '{{ $value }} databases of tenants are not as their files have made them',
    meaning: 'Somebody has changed a table by hand. The next file of the tenant schema may fail there.',
    remedy:
      '`npm run tenants -- migrate --status` lists them, and `health TENANT` [what differs](health.md#a-schema-that-was-changed-by-hand).',
  },
  {
    name: 'ProvisioningPauseForgotten',
    expression: 'provisioning_paused == 1',
    minutes: 720,
    severity: 'warning',
    summary: 'Jobs of the kind {{ $labels.kind }} have been paused for half a day',
    meaning: 'Somebody has paused them, and nothing ends that by itself.',
    remedy: '`npm run tenants -- pauses` says why; `resume` [ends it](operations.md#pausing-work).',
  },
  {
    name: 'ProvisioningConnectionsScarce',
    expression: 'sum without (of) (provisioning_connections) > 0.85 * provisioning_connections_max',
    minutes: 5,
    severity: 'warning',
    summary: 'More than 85 % of the connections to the project’s database are in use',
    meaning: 'When they are used up, functions and applications are refused.',
    remedy:
      'The label `of` says whose they are. For the functions, set `DATABASE_POOLER_URL` or lower `max_running_jobs`; see [limits](operations.md#limits).',
  },
]
