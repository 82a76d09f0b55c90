import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { ConnectionRefusal } from '../postgres/connection-refusal.ts'
import type { TenantDatabases } from '../postgres/databases.ts'
import { quotaMessage } from './errors.ts'
import {
  type ComputeState,
  computeState,
  connectionLimit,
  type OperationRecord,
  type ProjectRecord,
  startingUntil,
  waitUntil,
  withEndpoint,
  withStartedCompute,
} from './project.ts'
import type { ProjectStore } from './project-store.ts'

export interface FleetTimings {
  readonly wakeMs: number
}

/** Which computes are awake and who is connected to them. */
export class ComputeFleet {
  readonly #store: ProjectStore
  readonly #databases: TenantDatabases
  readonly #timings: FleetTimings
  readonly #clock: Clock
  readonly #connections = new Map<string, Set<Socket>>()
  readonly #passwordChanges = new Map<string, Promise<void>>()
  wakeUps = 0
  connections = 0

  constructor(store: ProjectStore, databases: TenantDatabases, timings: FleetTimings, clock: Clock) {
    this.#store = store
    this.#databases = databases
    this.#timings = timings
    this.#clock = clock
  }

  get openConnections(): number {
    let open = 0
    for (const sockets of this.#connections.values()) open += sockets.size
    return open
  }

  state(project: ProjectRecord): ComputeState {
    return computeState(project, this.#open(project.id), this.#clock())
  }

  lastActiveAt(project: ProjectRecord): number {
    return this.#open(project.id) > 0 ? this.#clock() : Math.min(this.#clock(), project.endpoint.lastActiveAt)
  }

  /**
   * Wakes the compute when it sleeps, waits as Neon does until it can be used, and counts the client in.
   * @throws ConnectionRefusal
   */
  async admit(found: ProjectRecord, client: Socket): Promise<ProjectRecord> {
    let project = found
    for (;;) {
      this.#refuseUnlessOpen(project)
      if (this.state(project) === 'idle' && startingUntil(project, this.#clock()) === undefined) {
        project = this.wake(project, this.#timings.wakeMs).saved
      }
      const ready = startingUntil(project, this.#clock())
      if (ready === undefined) break
      await waitUntil(this.#clock, ready)
      project = this.#store.get(project.id) ?? { ...project, deletedAt: this.#clock() }
    }
    // Counted before the next wait, so that a burst cannot slip past the limit.
    this.#countIn(project, client)
    await this.applyPassword(project)
    return project
  }

  /** Starts a sleeping compute; it can be used after `durationMs`. */
  wake(project: ProjectRecord, durationMs: number): { saved: ProjectRecord; added: OperationRecord[] } {
    this.wakeUps++
    const { project: started, added } = withStartedCompute(project, durationMs, this.#clock())
    return { saved: this.#store.save(started), added }
  }

  /** Tells the server the new password of a role once the operation that changes it has ended. */
  async applyPassword(project: ProjectRecord): Promise<void> {
    const { pendingSince } = project.role
    if (pendingSince === undefined || pendingSince > this.#clock()) return
    const change = this.#passwordChanges.get(project.id) ?? this.#changePassword(project)
    this.#passwordChanges.set(project.id, change)
    await change.finally(() => this.#passwordChanges.delete(project.id))
  }

  /** Drops every connection of the project's compute. */
  disconnect(projectId: string): void {
    for (const socket of this.#connections.get(projectId) ?? []) socket.destroy()
    this.#connections.delete(projectId)
  }

  async #changePassword(project: ProjectRecord): Promise<void> {
    await this.#databases.setPassword(project.physicalName, project.role.password)
    const current = this.#store.get(project.id)
    if (current?.role.password !== project.role.password) return
    this.#store.save({ ...current, role: { ...current.role, pendingSince: undefined } })
  }

  #refuseUnlessOpen(project: ProjectRecord): void {
    if (project.deletedAt !== undefined) {
      throw new ConnectionRefusal('XX000', 'The requested endpoint could not be found.')
    }
    if (project.exhaustedQuota) throw new ConnectionRefusal('XX000', quotaMessage(project.exhaustedQuota))
    if (project.endpoint.disabled) {
      throw new ConnectionRefusal(
        'XX000',
        'The endpoint has been disabled. Enable it using Neon API and retry.',
      )
    }
  }

  #countIn(project: ProjectRecord, client: Socket): void {
    const sockets = this.#connections.get(project.id) ?? new Set()
    if (sockets.size >= connectionLimit(project.endpoint.settings)) {
      throw new ConnectionRefusal(
        '53300',
        'remaining connection slots are reserved for roles with the SUPERUSER attribute',
      )
    }
    if (client.destroyed) return
    this.connections++
    this.#connections.set(project.id, sockets.add(client))
    client.once('close', () => this.#countOut(project.id, client))
  }

  #countOut(projectId: string, client: Socket): void {
    const sockets = this.#connections.get(projectId)
    if (!sockets?.delete(client)) return
    if (sockets.size > 0) return
    this.#connections.delete(projectId)
    const project = this.#store.get(projectId)
    if (project) this.#store.saveInMemory(withEndpoint(project, { lastActiveAt: this.#clock() }))
  }

  #open(projectId: string): number {
    return this.#connections.get(projectId)?.size ?? 0
  }
}
