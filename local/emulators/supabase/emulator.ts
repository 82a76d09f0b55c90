import { PORT_USES } from '../../../tools/ports.ts'
import type { Clock } from '../clock.ts'
import { CallCounts } from '../http/call-counts.ts'
import { FaultControl } from '../http/faults.ts'
import { startEmulatorServer } from '../http/server.ts'
import { Tuning } from '../http/tuning.ts'
import { Journal } from '../journal.ts'
import { TenantDatabases } from '../postgres/databases.ts'
import { HOST, startPostgresProxies } from '../postgres/proxy.ts'
import { SupabaseApi } from './api.ts'
import { Connections } from './connections.ts'
import { SupabaseContract } from './contract.ts'
import {
  DEFAULT_LIMITS,
  DEFAULT_TIMINGS,
  EMULATED_ORGANIZATION,
  type SupabaseEmulatorOptions,
  type SupabaseLimits,
  type SupabaseTimings,
} from './options.ts'
import { supabaseOwner } from './owner-role.ts'
import { answerProjectControl, changeProject, type ProjectChanges } from './project-control.ts'
import { ProjectStore } from './project-store.ts'
import { SupabaseProvider } from './provider.ts'

export type { SupabaseEmulatorOptions, SupabaseLimits, SupabaseTimings } from './options.ts'

export interface SupabaseStats {
  /** By the names that the vendor's client library has; `unknown` for addresses that are not served. */
  readonly calls: Readonly<Record<string, number>>
  /** Sessions let through so far. */
  readonly connections: number
  readonly projects: number
}

export interface SupabaseEmulator {
  /** Base URL for a client: http://127.0.0.1:PORT */
  readonly url: string
  readonly organizationSlug: string
  /** Where the projects' databases are. */
  readonly postgresPort: number
  /** A snapshot. */
  readonly stats: SupabaseStats
  readonly faults: FaultControl
  setTimings(changes: Partial<SupabaseTimings>): void
  /** Also fills the rate limit's bucket. */
  setLimits(changes: Partial<SupabaseLimits>): void
  /** Lets a project hang, go on, or fall ill. */
  changeProject(ref: string, changes: ProjectChanges): void
  /** Makes databases ahead of time and resolves when there are that many. */
  fillSpares(count: number): Promise<void>
  /** Ends both servers; with `drop` also every database that the emulator made. */
  stop(options?: { readonly drop?: boolean }): Promise<void>
}

/**
 * Starts a stand-in for Supabase's Management API on 127.0.0.1: its HTTP API, checked against the vendor's description, and the way to
 * the projects' databases, which are real. Differences: one organization; a project's services are said to be healthy and are not there;
 * each database has a name of its own, and so has its owner, because all stand on one server and one host; no TLS.
 * @throws PortTakenError, or Error when Postgres does not answer.
 */
export async function startSupabaseEmulator(options: SupabaseEmulatorOptions): Promise<SupabaseEmulator> {
  const { clock = Date.now, organizationSlug = EMULATED_ORGANIZATION } = options
  const timings = new Tuning<SupabaseTimings>(DEFAULT_TIMINGS, options.timings)
  const limits = new Tuning<SupabaseLimits>(DEFAULT_LIMITS, options.limits, () => provider.resetLimits())
  const storage = await openStorage(options)
  const { store, databases } = storage
  const connections = new Connections(store, clock)
  const closeAfter = async (error: unknown): Promise<never> => {
    await closeStorage(storage, false)
    throw error
  }
  const proxy = await startProxies(options, connections).catch(closeAfter)
  const provider = new SupabaseProvider({
    api: new SupabaseApi({
      ...{ store, databases, connections, clock, organizationSlug },
      ...{ timings: timings.values, limits: limits.values },
      ...{ host: options.directHost ?? HOST, pooledHost: proxy.pooledHost, postgresPort: proxy.port },
    }),
    contract: new SupabaseContract(),
    limits: limits.values,
    clock,
    accessToken: options.accessToken,
    validateReplies: options.validateReplies ?? true,
  })
  const controlled = controls(options, { store, connections, clock, timings, limits })
  const server = await startEmulatorServer(provider, controlled, PORT_USES.supabase, options.apiPort).catch(
    async (error: unknown) => {
      await proxy.stop()
      return closeAfter(error)
    },
  )
  let stopped: Promise<void> | undefined
  return {
    url: `http://${HOST}:${server.port}`,
    organizationSlug,
    postgresPort: proxy.port,
    get stats() {
      return controlled.stats()
    },
    faults: controlled.faults,
    setTimings: (changes) => void timings.change(changes),
    setLimits: (changes) => void limits.change(changes),
    changeProject: (ref, changes) => {
      const project = store.get(ref)
      if (!project) throw new Error(`There is no project ${ref}.`)
      changeProject({ store, clock }, project, changes)
    },
    fillSpares: (count) => databases.fillSpares(count),
    stop: ({ drop = false } = {}) => {
      stopped ??= Promise.all([server.stop(), proxy.stop()]).then(() => closeStorage(storage, drop))
      return stopped
    },
  }
}

function startProxies(
  { adminUrl, postgresPort: port = 0, poolerPort }: SupabaseEmulatorOptions,
  connections: Connections,
) {
  return startPostgresProxies(connections.admit, {
    ...{ adminUrl, port, use: PORT_USES.projects },
    ...(poolerPort === undefined ? {} : { poolerPort }),
  })
}

interface Storage {
  readonly journal: Journal
  readonly store: ProjectStore
  readonly databases: TenantDatabases
}

async function openStorage({ adminUrl, stateFile }: SupabaseEmulatorOptions): Promise<Storage> {
  const { journal, entries } = Journal.open(stateFile)
  const databases = new TenantDatabases(adminUrl, journal, supabaseOwner)
  const store = new ProjectStore(journal, entries)
  await databases.dropUnused(entries, new Set(store.all().map(({ physicalName }) => physicalName)))
  return { journal, store, databases }
}

async function closeStorage({ journal, store, databases }: Storage, drop: boolean): Promise<void> {
  await databases.dropSpares()
  if (drop) {
    const projects = store.all()
    for (const project of projects) store.remove(project)
    await Promise.all(projects.map(({ physicalName }) => databases.drop(physicalName)))
  }
  await databases.close()
  journal.close()
}

interface Controlled {
  readonly store: ProjectStore
  readonly connections: Connections
  readonly clock: Clock
  readonly timings: Tuning<SupabaseTimings>
  readonly limits: Tuning<SupabaseLimits>
}

function controls({ seed }: SupabaseEmulatorOptions, controlled: Controlled) {
  const { store, connections, clock, timings, limits } = controlled
  const counts = new CallCounts()
  return {
    name: 'supabase',
    faults: new FaultControl(seed),
    timings,
    limits,
    count: counts.count,
    stats: (): SupabaseStats => ({
      calls: counts.calls,
      connections: connections.count,
      projects: store.all().length,
    }),
    control: (method: string, path: string, body: unknown) =>
      answerProjectControl({ store, clock }, method, path, body),
  }
}
