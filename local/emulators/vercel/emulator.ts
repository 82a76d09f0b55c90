import { PORT_USES } from '../../../tools/ports.ts'
import type { Clock } from '../clock.ts'
import { CallCounts } from '../http/call-counts.ts'
import { FaultControl } from '../http/faults.ts'
import { Tuning } from '../http/tuning.ts'
import { Journal } from '../journal.ts'
import { startJournaledServer } from '../journaled-server.ts'
import { pause } from '../pause.ts'
import { VercelApi, type VercelTimings } from './api.ts'
import { type VercelLimits, VercelProvider } from './provider.ts'
import type { DeploymentRecord, ProjectRecord } from './records.ts'
import { VercelStore } from './store.ts'

export type { VercelTimings } from './api.ts'
export type { VercelLimits } from './provider.ts'
export type { DeploymentRecord, ProjectRecord } from './records.ts'

export interface VercelEmulatorOptions {
  /** 0 or none takes a free one. */
  readonly port?: number
  /** The only token that it accepts. */
  readonly apiKey: string
  /** The team whose token it is. */
  readonly team?: string
  /**
   * GitHub's id of a repository that Vercel's GitHub App is installed for; undefined for one that it does not see. Without this
   * each repository has an id that is made of its name.
   */
  readonly repositoryId?: (fullName: string) => number | undefined
  /** Where projects survive a restart; without it they live as long as the emulator. */
  readonly stateFile?: string
  readonly timings?: Partial<VercelTimings>
  readonly limits?: Partial<VercelLimits>
  readonly clock?: Clock
  /** Of the faults' dice. */
  readonly seed?: number
}

export interface VercelStats {
  /** By the operation ids of Vercel's OpenAPI description; `unknown` for addresses that are not served. */
  readonly calls: Readonly<Record<string, number>>
}

interface BuildFailure {
  readonly code: string
  readonly message: string
}

export interface VercelEmulator {
  readonly url: string
  readonly port: number
  readonly team: string
  /** A snapshot. */
  readonly stats: VercelStats
  readonly faults: FaultControl
  /** The oldest first; with the values of their variables, also of those that the API never shows again. */
  readonly projects: readonly ProjectRecord[]
  /** The oldest first. */
  readonly deployments: readonly DeploymentRecord[]
  /** The next build fails like this. */
  failNextBuild(failure: BuildFailure): void
  /** As if somebody had ended it in the dashboard. */
  cancelDeployment(id: string): void
  setTimings(changes: Partial<VercelTimings>): void
  /** Also starts the rate limits anew. */
  setLimits(changes: Partial<VercelLimits>): void
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const DEFAULT_TIMINGS: VercelTimings = { createMs: 0, queueMs: 0, buildMs: 0 }
const DEFAULT_LIMITS: VercelLimits = {
  requestsPerMinute: 100,
  maxProjects: Number.POSITIVE_INFINITY,
}
export const EMULATED_TEAM = 'team_localemulator'

/**
 * Starts a stand-in for the calls of Vercel's API that make a project and deploy it, on 127.0.0.1. Nothing is built.
 * @throws PortTakenError
 */
export async function startVercelEmulator(options: VercelEmulatorOptions): Promise<VercelEmulator> {
  const { apiKey, clock = Date.now, team = EMULATED_TEAM, repositoryId = idOfName } = options
  const timings = new Tuning<VercelTimings>(DEFAULT_TIMINGS, options.timings)
  const limits = new Tuning<VercelLimits>(DEFAULT_LIMITS, options.limits, () => provider.resetLimits())
  const { journal, entries } = Journal.open(options.stateFile)
  const store = new VercelStore(journal, entries)
  const failures: BuildFailure[] = []
  const api = new VercelApi({
    store,
    timings: timings.values,
    limits: limits.values,
    clock,
    team,
    repositoryId,
    nextFailure: () => failures.shift(),
    pause,
  })
  const provider = new VercelProvider({ api, limits: limits.values, clock, apiKey })
  const faults = new FaultControl(options.seed)
  const counts = new CallCounts()
  const stats = (): VercelStats => ({ calls: counts.calls })
  const controlled = { name: 'vercel', faults, timings, limits, count: counts.count, stats }
  const server = await startJournaledServer(journal, provider, controlled, PORT_USES.vercel, options.port)
  return {
    url: `http://${HOST}:${server.port}`,
    port: server.port,
    team,
    get stats() {
      return stats()
    },
    faults,
    get projects() {
      return store.projects()
    },
    get deployments() {
      return store.deployments()
    },
    failNextBuild: (failure) => void failures.push(failure),
    cancelDeployment(id) {
      const deployment = store.deployment(id)
      if (!deployment) throw new Error(`There is no deployment ${id}.`)
      store.saveDeployment({ ...deployment, canceledAt: clock() })
    },
    setTimings: (changes) => void timings.change(changes),
    setLimits: (changes) => void limits.change(changes),
    stop: server.stop,
  }
}

/** The same for the same name, and hardly ever for another. */
function idOfName(fullName: string): number {
  let hash = 0
  for (const character of fullName.toLowerCase())
    hash = (Math.imul(hash, 31) + (character.codePointAt(0) ?? 0)) >>> 0
  return hash
}
