import { setTimeout as sleep } from 'node:timers/promises'
import type { FaultWindow } from './faults.ts'
import { insist } from './insist.ts'
import { databaseNow, expireLeases, expireLeasesOfTheDead, SETTLED_SECONDS } from './leases.ts'
import type { Injection } from './plan.ts'
import { type ChaosProject, FUNCTION } from './project.ts'
import type { Tally } from './tally.ts'

export interface Injector {
  readonly project: ChaosProject
  readonly tally: Tally
  readonly signal: AbortSignal
  /** Instances that stand still, or are about to; killing one would spare the system its return. */
  readonly stopped: Set<number>
  /** Told what could not be done. */
  readonly progress: (what: string) => void
}

const SLOW_SEARCH_MS = 1_000

type Of<Type extends Injection['type']> = Extract<Injection, { type: Type }>

/** Does one thing to the system and, when it lasts for a while, undoes it. Counts what it really did. */
export async function inject(injector: Injector, injection: Injection): Promise<void> {
  switch (injection.type) {
    case 'kill_function':
      return killFunctions(injector, injection)
    case 'stop_function':
      return stopFunction(injector, injection)
    case 'restart_postgres':
      return restartPostgres(injector, injection)
    case 'hold_doorbells':
      return holdDoorbells(injector, injection)
    case 'stop_cron':
      return stopCron(injector, injection)
    case 'expire_leases':
      return loseLeases(injector)
    case 'lock_wallets':
      return lockWallets(injector, injection)
    case 'fault':
      return misbehave(injector, injection)
  }
}

async function killFunctions(
  { project, tally, signal, stopped }: Injector,
  { instances }: Of<'kill_function'>,
): Promise<void> {
  const killed = instances.filter(
    (instance) => !stopped.has(instance) && project.instances[instance]?.functions.kill(FUNCTION, 'SIGKILL'),
  )
  tally.add('function process killed', killed.length)
  if (killed.length < project.instances.length) return
  tally.add('all function processes killed at once')
  tally.add('leases of dead workers expired', await buryWorkers(project, signal))
}

/** Right after the death of all workers: waits until the providers have done what they asked for, and ends their leases. */
export async function buryWorkers({ superuser }: ChaosProject, signal: AbortSignal): Promise<number> {
  const diedAt = await insist(() => databaseNow(superuser), signal)
  await sleep(SETTLED_SECONDS * 1000, undefined, { signal })
  return insist(() => expireLeasesOfTheDead(superuser, diedAt), signal)
}

/**
 * A process that stands still for longer than its leases last, and then goes on as if nothing had happened: either for
 * that time indeed, or with leases that are made to run out.
 */
async function stopFunction(injector: Injector, injection: Of<'stop_function'>): Promise<void> {
  const { project, tally, signal, stopped } = injector
  const functions = project.instances[injection.instance]?.functions
  const goOn = () => void functions?.kill(FUNCTION, 'SIGCONT')
  // One that stands still does not notice that we are gone.
  process.once('exit', goOn)
  stopped.add(injection.instance)
  let turns: { readonly over: Promise<unknown> } | undefined
  try {
    if (injection.expireLeases) turns = await holdTurns(injector)
    const stoppedAt = await insist(() => databaseNow(project.superuser), signal)
    if (!functions?.kill(FUNCTION, 'SIGSTOP')) return
    tally.add(`function process stopped${injection.expireLeases ? '' : ` for ${injection.forMs / 1000} s`}`)
    if (injection.expireLeases)
      tally.add('leases expired', await insist(() => expireLeases(project.superuser, stoppedAt), signal))
    await sleep(injection.forMs, undefined, { signal })
  } finally {
    process.off('exit', goOn)
    stopped.delete(injection.instance)
    goOn()
    await turns?.over
  }
}

/**
 * Brings workers into the worst moment to be stopped in: they have heard that their project does not exist, and wait for
 * their turn to create it, for so long already that their leases may run out. Searches take a second, so that many get
 * there at once; then nobody gets a turn. @returns when there will be turns again, shortly after
 */
async function holdTurns({ project, tally, signal }: Injector): Promise<{ readonly over: Promise<unknown> }> {
  const isNeon = project.tier === 'database'
  const { faults } = isNeon ? project.neon : project.supabase
  const { id } = faults.add({
    match: { operation: isNeon ? 'listProjects' : 'v1GetAllProjectsForOrganization' },
    action: { type: 'latency', ms: SLOW_SEARCH_MS },
  })
  await sleep(SLOW_SEARCH_MS, undefined, { signal }).finally(() => faults.clear(id))
  const seconds = SETTLED_SECONDS + 0.5
  const held = project.superuser
    .unsafe(`lock table provisioning.token_buckets in exclusive mode; select pg_sleep(${seconds})`)
    .catch(() => undefined)
  tally.add('turns to call providers held up')
  await sleep((seconds - 0.2) * 1000, undefined, { signal })
  return { over: held }
}

async function restartPostgres(
  { project, tally }: Injector,
  { downMs }: Of<'restart_postgres'>,
): Promise<void> {
  const queued = await project.superuser`select from net.http_request_queue`.then(
    ({ count }) => count,
    () => 0,
  )
  await project.server.restart(downMs)
  tally.add('Postgres crashed and restarted')
  tally.add('doorbells lost in a crash', queued)
}

/** pg_net's worker pauses; meanwhile doorbells vanish from its queue, and others are sent twice. */
async function holdDoorbells(
  { project, tally, signal }: Injector,
  hold: Of<'hold_doorbells'>,
): Promise<void> {
  const { superuser, services } = project
  // Pausing is immediate; what is waited for here would be the requests under way, which is 5 s with a stopped function.
  void services.worker.pauseHttp()
  tally.add('pg_net stopped')
  try {
    await sleep(hold.forMs, undefined, { signal })
    const dropped = await superuser`
      delete from net.http_request_queue where abs(hashtext(id || ${hold.salt})) % 100 < ${hold.dropPercent}`
    tally.add('doorbells dropped', dropped.count)
    const doubled = await superuser`
      insert into net.http_request_queue (method, url, headers, body, timeout_milliseconds)
      select method, url, headers, body, timeout_milliseconds from net.http_request_queue
      where abs(hashtext(id || ${hold.salt})) % 100 < ${hold.duplicatePercent}`
    tally.add('doorbells sent twice', doubled.count)
  } finally {
    services.worker.resumeHttp()
  }
}

async function stopCron({ project, tally, signal }: Injector, { forMs }: Of<'stop_cron'>): Promise<void> {
  void project.services.worker.pauseCron()
  tally.add('pg_cron stopped')
  await sleep(forMs, undefined, { signal }).finally(() => project.services.worker.resumeCron())
}

async function loseLeases({ project, tally, signal }: Injector): Promise<void> {
  tally.add('leases expired', await insist(() => expireLeases(project.superuser), signal))
}

/** Sign-ups of this time meet a lock that they do not wait for: they are recorded, and repaired later. */
async function lockWallets({ project, tally }: Injector, { forMs }: Of<'lock_wallets'>): Promise<void> {
  tally.add('wallets locked')
  // One message is one transaction.
  await project.superuser.unsafe(
    `lock table public.wallets in access exclusive mode; select pg_sleep(${forMs / 1000})`,
  )
  const failures = await project.superuser`select from provisioning.sign_up_failures`
  tally.add('sign-ups left for repair', failures.count)
}

async function misbehave({ project, tally, signal }: Injector, window: FaultWindow): Promise<void> {
  const { faults } = project[window.provider]
  const { id } = faults.add(window.rule)
  try {
    await sleep(window.forMs, undefined, { signal })
  } finally {
    // A rule that is used up removes itself.
    const struck = faults.list().find((fault) => fault.id === id)?.struck ?? window.rule.times ?? 0
    faults.clear(id)
    tally.add(`${window.provider}: ${window.name}`, struck)
  }
}
