import { PORT_USES } from '../../../tools/ports.ts'
import type { Clock } from '../clock.ts'
import { CallCounts } from '../http/call-counts.ts'
import { FaultControl } from '../http/faults.ts'
import { Tuning } from '../http/tuning.ts'
import { Journal } from '../journal.ts'
import { startJournaledServer } from '../journaled-server.ts'
import { pause } from '../pause.ts'
import { GithubApi, type GithubTimings } from './api.ts'
import { type Access, Callers } from './callers.ts'
import { type GithubLimits, GithubProvider } from './provider.ts'
import type { RepositoryRecord } from './repository.ts'
import { RepositoryStore } from './repository-store.ts'
import { loadSealedBoxes } from './sealed-boxes.ts'

export type { GithubTimings } from './api.ts'
export type { GithubLimits } from './provider.ts'
export type { RepositoryRecord } from './repository.ts'

export interface GithubEmulatorOptions {
  /** 0 or none takes a free one. */
  readonly port?: number
  /** A token that may do everything. */
  readonly apiKey: string
  /** The one that there is. */
  readonly organization?: string
  /** The template repository that it has from the beginning. */
  readonly template?: string
  /** Where repositories survive a restart; without it they live as long as the emulator. */
  readonly stateFile?: string
  readonly timings?: Partial<GithubTimings>
  readonly limits?: Partial<GithubLimits>
  readonly clock?: Clock
  /** Of the faults' dice. */
  readonly seed?: number
}

export interface GithubStats {
  /** By the operation ids of GitHub's OpenAPI description; `unknown` for addresses that are not served. */
  readonly calls: Readonly<Record<string, number>>
}

export interface GithubEmulator {
  readonly url: string
  readonly port: number
  readonly organization: string
  /** Owner and name. */
  readonly template: string
  /** A snapshot. */
  readonly stats: GithubStats
  readonly faults: FaultControl
  /** Those of the organization but the template, the oldest first. */
  readonly repositories: readonly RepositoryRecord[]
  /** Of the repository OWNER/NAME; undefined when there is none. */
  repositoryId(fullName: string): number | undefined
  /** What a workflow of this repository would find, opened; undefined when there is none. */
  secret(repositoryId: number, name: string): string | undefined
  /** Makes a token valid; what is left out of its access is as for the first one. */
  giveToken(token: string, access?: Partial<Access>): void
  /** Makes a GitHub App known, installed in the organization. @param publicKey in PEM */
  giveApp(id: string, publicKey: string, access?: Partial<Access>): void
  setTimings(changes: Partial<GithubTimings>): void
  /** Also starts the rate limits anew. */
  setLimits(changes: Partial<GithubLimits>): void
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const DEFAULT_TIMINGS: GithubTimings = { createMs: 0, fillMs: 0 }
const DEFAULT_LIMITS: GithubLimits = {
  requestsPerHour: 5_000,
  changesPerMinute: 80,
  changesPerHour: 500,
  maxRepositories: Number.POSITIVE_INFINITY,
}
export const EMULATED_ORGANIZATION = 'local-clients'
export const EMULATED_TEMPLATE = 'client-template'

/**
 * Starts a stand-in for the calls of GitHub's API that make a repository of a template and give it variables and secrets, on
 * 127.0.0.1. There is one organization, and no git.
 * @throws PortTakenError
 */
export async function startGithubEmulator(options: GithubEmulatorOptions): Promise<GithubEmulator> {
  const { clock = Date.now, organization = EMULATED_ORGANIZATION, template = EMULATED_TEMPLATE } = options
  const timings = new Tuning<GithubTimings>(DEFAULT_TIMINGS, options.timings)
  const limits = new Tuning<GithubLimits>(DEFAULT_LIMITS, options.limits, () => provider.resetLimits())
  const boxes = await loadSealedBoxes()
  const { journal, entries } = Journal.open(options.stateFile)
  const store = new RepositoryStore(journal, entries)
  if (!store.holder(organization, template)) {
    const now = clock()
    store.save({
      id: store.newId(),
      owner: organization,
      name: template,
      description: 'What every client’s repository begins with',
      private: true,
      archived: false,
      isTemplate: true,
      templateId: null,
      defaultBranch: 'main',
      createdAt: now,
      updatedAt: now,
      filledAt: now,
      keys: boxes.newKeys(),
      variables: {},
      secrets: {},
      formerNames: [],
    })
  }
  const callers = new Callers(options.apiKey, clock)
  const api = new GithubApi({
    store,
    callers,
    boxes,
    timings: timings.values,
    limits: limits.values,
    clock,
    organization,
    pause,
  })
  const provider = new GithubProvider({ api, limits: limits.values, clock })
  const faults = new FaultControl(options.seed)
  const counts = new CallCounts()
  const stats = (): GithubStats => ({ calls: counts.calls })
  const controlled = { name: 'github', faults, timings, limits, count: counts.count, stats }
  const server = await startJournaledServer(journal, provider, controlled, PORT_USES.github, options.port)
  return {
    url: `http://${HOST}:${server.port}`,
    port: server.port,
    organization,
    template: `${organization}/${template}`,
    get stats() {
      return stats()
    },
    faults,
    get repositories() {
      return store.all().filter(({ isTemplate }) => !isTemplate)
    },
    repositoryId(fullName) {
      const [owner = '', name = ''] = fullName.split('/')
      return store.holder(owner, name)?.id
    },
    secret(repositoryId, name) {
      const repository = store.get(repositoryId)
      const sealed = repository?.secrets[name.toUpperCase()]?.sealed
      return repository && sealed !== undefined ? boxes.open(repository.keys, sealed) : undefined
    },
    giveToken: (token, access) => callers.giveToken(token, access),
    giveApp: (id, publicKey, access) => callers.giveApp(id, publicKey, access),
    setTimings: (changes) => void timings.change(changes),
    setLimits: (changes) => void limits.change(changes),
    stop: server.stop,
  }
}
