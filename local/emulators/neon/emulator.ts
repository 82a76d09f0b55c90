import { PORT_USES } from '../../../tools/ports.ts'
import type { Clock } from '../clock.ts'
import { CallCounts } from '../http/call-counts.ts'
import { FaultControl } from '../http/faults.ts'
import { startEmulatorServer } from '../http/server.ts'
import { Tuning } from '../http/tuning.ts'
import { Journal } from '../journal.ts'
import { TenantDatabases } from '../postgres/databases.ts'
import { HOST, startPostgresProxies } from '../postgres/proxy.ts'
import { NeonApi } from './api.ts'
import { ChildBranches } from './branches.ts'
import { ComputeFleet } from './compute-fleet.ts'
import { admitToCompute } from './connection-route.ts'
import { NeonContract } from './contract.ts'
import {
  DEFAULT_LIMITS,
  DEFAULT_TIMINGS,
  type NeonEmulatorOptions,
  type NeonLimits,
  type NeonTimings,
} from './options.ts'
import { neonOwner } from './owner-role.ts'
import { changeProject } from './project-control.ts'
import { ProjectStore } from './project-store.ts'
import { NeonProvider } from './provider.ts'

export type { NeonEmulatorOptions, NeonLimits, NeonTimings } from './options.ts'

export interface NeonStats {
  /** By the operation ids of Neon's OpenAPI file; `unknown` for addresses that it does not have. */
  readonly calls: Readonly<Record<string, number>>
  readonly wakeUps: number
  /** Sessions let through so far, and those open now. */
  readonly connections: number
  readonly openConnections: number
  readonly projects: number
}

export interface NeonEmulator {
  /** Base URL for a client: http://127.0.0.1:PORT/api/v2 */
  readonly url: string
  /** Where tenants connect. */
  readonly postgresPort: number
  /** A snapshot. */
  readonly stats: NeonStats
  readonly faults: FaultControl
  setTimings(changes: Partial<NeonTimings>): void
  /** Also fills the rate limits' buckets. */
  setLimits(changes: Partial<NeonLimits>): void
  /**
   * Makes databases ahead of time and resolves when there are that many. Making one takes some 30 ms of the one local server,
   * where Neon has a cloud; with spares a burst of creations is as quick as there.
   */
  fillSpares(count: number): Promise<void>
  /** Frees the disk of a project's database; the project itself stays. For more projects than the disk could hold. */
  dropDatabase(projectId: string): Promise<void>
  /** Resolves when no request is under way, also of those whose client has gone. */
  idle(): Promise<void>
  /** Ends both servers; with `drop` also every database that the emulator made. */
  stop(options?: { readonly drop?: boolean }): Promise<void>
}

/**
 * Starts a stand-in for Neon on 127.0.0.1: its HTTP API, checked against its OpenAPI file, and its proxy in front
 * of the databases, which are real. Differences: one database and role of the API a project; branches end with the emulator; every
 * database runs the server's Postgres version; no TLS; roles are shared by the server, so their real names differ, and those
 * made by SQL can log in only when they are named after the database.
 * @throws PortTakenError, or Error when Postgres does not answer.
 */
export async function startNeonEmulator(options: NeonEmulatorOptions): Promise<NeonEmulator> {
  const clock = options.clock ?? Date.now
  const timings = new Tuning<NeonTimings>(DEFAULT_TIMINGS, options.timings)
  const limits = new Tuning<NeonLimits>(DEFAULT_LIMITS, options.limits, () => provider.resetLimits())
  const storage = await openStorage(options)
  const { store, databases } = storage
  const fleet = new ComputeFleet(store, databases, timings.values, clock)
  const { adminUrl, postgresPort: port = 0, poolerPort } = options
  const branches = new ChildBranches(adminUrl, clock)
  const proxy = await startPostgresProxies(admitToCompute(store, fleet), {
    ...{ adminUrl, port, use: PORT_USES.tenants },
    ...(poolerPort === undefined ? {} : { poolerPort }),
  }).catch(async (error: unknown) => {
    await closeStorage(storage, false)
    throw error
  })
  const provider = new NeonProvider({
    api: new NeonApi({
      store,
      databases,
      fleet,
      branches,
      timings: timings.values,
      limits: limits.values,
      clock,
      host: HOST,
      pooledHost: proxy.pooledHost,
      postgresPort: proxy.port,
    }),
    contract: new NeonContract(),
    limits: limits.values,
    clock,
    apiKey: options.apiKey,
    validateReplies: options.validateReplies ?? true,
  })
  const controlled = controls(options, { store, fleet, clock, timings, limits })
  const server = await startEmulatorServer(provider, controlled, PORT_USES.neon, options.apiPort).catch(
    async (error: unknown) => {
      await proxy.stop()
      await closeStorage(storage, false)
      throw error
    },
  )
  let stopped: Promise<void> | undefined
  return {
    url: `http://${HOST}:${server.port}/api/v2`,
    postgresPort: proxy.port,
    get stats() {
      return controlled.stats()
    },
    faults: controlled.faults,
    setTimings: (changes) => void timings.change(changes),
    setLimits: (changes) => void limits.change(changes),
    fillSpares: (count) => databases.fillSpares(count),
    dropDatabase: async (projectId) => {
      const project = storage.store.get(projectId)
      if (project) await databases.drop(project.physicalName)
    },
    idle: server.idle,
    stop: ({ drop = false } = {}) => {
      stopped ??= Promise.all([server.stop(), proxy.stop(), branches.stop()]).then(() =>
        closeStorage(storage, drop),
      )
      return stopped
    },
  }
}

interface Storage {
  readonly journal: Journal
  readonly store: ProjectStore
  readonly databases: TenantDatabases
}

async function openStorage({ adminUrl, stateFile }: NeonEmulatorOptions): Promise<Storage> {
  const { journal, entries } = Journal.open(stateFile)
  const databases = new TenantDatabases(adminUrl, journal, neonOwner)
  const store = new ProjectStore(journal, entries)
  await databases.dropUnused(entries, new Set(store.all().map(({ physicalName }) => physicalName)))
  return { journal, store, databases }
}

async function closeStorage({ journal, store, databases }: Storage, drop: boolean): Promise<void> {
  await databases.dropSpares()
  if (drop) await dropAll(store, databases)
  await databases.close()
  journal.close()
}

interface Controlled {
  readonly store: ProjectStore
  readonly fleet: ComputeFleet
  readonly clock: Clock
  readonly timings: Tuning<NeonTimings>
  readonly limits: Tuning<NeonLimits>
}

function controls({ seed }: NeonEmulatorOptions, { store, fleet, clock, timings, limits }: Controlled) {
  const counts = new CallCounts()
  return {
    name: 'neon',
    faults: new FaultControl(seed),
    timings,
    limits,
    count: counts.count,
    stats: (): NeonStats => ({
      calls: counts.calls,
      wakeUps: fleet.wakeUps,
      connections: fleet.connections,
      openConnections: fleet.openConnections,
      projects: store.liveCount,
    }),
    control: (method: string, path: string, body: unknown) =>
      changeProject({ store, fleet, clock }, method, path, body),
  }
}

async function dropAll(store: ProjectStore, databases: TenantDatabases): Promise<void> {
  await Promise.all(
    store.all().map(async (project) => {
      store.remove(project)
      await databases.drop(project.physicalName)
    }),
  )
}
