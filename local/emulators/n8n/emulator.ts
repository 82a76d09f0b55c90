import { PORT_USES } from '../../../tools/ports.ts'
import type { Clock } from '../clock.ts'
import { CallCounts } from '../http/call-counts.ts'
import { FaultControl } from '../http/faults.ts'
import { Tuning } from '../http/tuning.ts'
import { Journal } from '../journal.ts'
import { startJournaledServer } from '../journaled-server.ts'
import { N8nApi } from './api.ts'
import { type Credential, Instance, type Tag, type Workflow } from './instance.ts'
import { type N8nLimits, N8nProvider, type Role } from './provider.ts'

export type { Credential, Tag, Workflow } from './instance.ts'
export type { N8nLimits, Role } from './provider.ts'

export interface N8nEmulatorOptions {
  /** 0 or none takes a free one. */
  readonly port?: number
  /** The owner's. */
  readonly apiKey: string
  /** Where everything survives a restart; without it, it lives as long as the emulator. */
  readonly stateFile?: string
  readonly limits?: Partial<N8nLimits>
  readonly clock?: Clock
  /** Of the faults' dice. */
  readonly seed?: number
}

export interface N8nStats {
  /** By n8n's own names of operations; `unknown` for addresses that are not served. */
  readonly calls: Readonly<Record<string, number>>
}

export interface N8nEmulator {
  /** Of the instance, as N8N_URL has it. */
  readonly url: string
  readonly port: number
  /** A snapshot. */
  readonly stats: N8nStats
  readonly faults: FaultControl
  /** What the instance holds, secrets included, which n8n itself would not show. */
  readonly contents: {
    readonly workflows: readonly Workflow[]
    readonly tags: readonly Tag[]
    readonly credentials: readonly Credential[]
  }
  /** Lets a key, a new one too, be that of such a person from now on. */
  giveKey(key: string, role: Role): void
  /** As a person does in the editor, which moves a workflow out of sight and stops it. */
  archive(workflowId: string): void
  /** Also fills the rate limit's bucket. */
  setLimits(changes: Partial<N8nLimits>): void
  stop(): Promise<void>
}

const HOST = '127.0.0.1'
const DEFAULT_LIMITS: N8nLimits = {
  requestsPerSecond: Number.POSITIVE_INFINITY,
  activeWorkflows: Number.POSITIVE_INFINITY,
}

/**
 * Starts a stand-in for an n8n on 127.0.0.1: workflows, tags and credentials of its public API. No workflow runs.
 * @throws PortTakenError
 */
export async function startN8nEmulator(options: N8nEmulatorOptions): Promise<N8nEmulator> {
  const { clock = Date.now } = options
  const limits = new Tuning<N8nLimits>(DEFAULT_LIMITS, options.limits, () => provider.resetLimits())
  const { journal, entries } = Journal.open(options.stateFile)
  const instance = new Instance(journal, entries)
  const api = new N8nApi({ instance, clock, activeWorkflows: () => limits.values.activeWorkflows })
  const roles = new Map<string, Role>([[options.apiKey, 'owner']])
  const provider = new N8nProvider({ api, limits: limits.values, clock, roleOf: (key) => roles.get(key) })
  const faults = new FaultControl(options.seed)
  const counts = new CallCounts()
  const stats = (): N8nStats => ({ calls: counts.calls })
  const timings = new Tuning({}, undefined)
  const controlled = { name: 'n8n', faults, timings, limits, count: counts.count, stats }
  const server = await startJournaledServer(journal, provider, controlled, PORT_USES.n8n, options.port)
  return {
    url: `http://${HOST}:${server.port}`,
    port: server.port,
    get stats() {
      return stats()
    },
    faults,
    get contents() {
      return {
        workflows: instance.workflows(),
        tags: instance.tags(),
        credentials: instance.credentials(),
      }
    },
    giveKey: (key, role) => void roles.set(key, role),
    archive: (workflowId) => {
      const workflow = instance.workflow(workflowId)
      if (!workflow) throw new Error(`There is no workflow ${workflowId}.`)
      instance.saveWorkflow({ ...workflow, active: false, isArchived: true })
    },
    setLimits: (changes) => void limits.change(changes),
    stop: server.stop,
  }
}
