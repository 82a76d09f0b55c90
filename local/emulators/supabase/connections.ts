import type { Socket } from 'node:net'
import type { Clock } from '../clock.ts'
import { ConnectionRefusal } from '../postgres/connection-refusal.ts'
import type { Admit } from '../postgres/proxy.ts'
import { type ProjectRecord, statusOf } from './project.ts'
import type { ProjectStore } from './project-store.ts'

/** Who is connected to which project. */
export class Connections {
  readonly #store: ProjectStore
  readonly #clock: Clock
  readonly #open = new Map<string, Set<Socket>>()
  /** Sessions let through so far. */
  count = 0

  constructor(store: ProjectStore, clock: Clock) {
    this.#store = store
    this.#clock = clock
  }

  /** A session at the project whose database is named. It takes none while it comes up or is paused. */
  readonly admit: Admit = async (parameters, client) => {
    const role = parameters.get('user') ?? ''
    const name = parameters.get('database') ?? role
    const project = this.#store.byDatabase(name)
    if (!project) throw new ConnectionRefusal('3D000', `database "${name}" does not exist`)
    const status = statusOf(project, this.#clock())
    if (status !== 'ACTIVE_HEALTHY' && status !== 'ACTIVE_UNHEALTHY')
      throw new ConnectionRefusal('57P03', `the database system is not accepting connections (${status})`)
    this.#countIn(project, client)
    const suffix = `.${project.ref}`
    return new Map([...parameters, ['user', role.endsWith(suffix) ? role.slice(0, -suffix.length) : role]])
  }

  disconnect({ ref }: ProjectRecord): void {
    for (const socket of this.#open.get(ref) ?? []) socket.destroy()
    this.#open.delete(ref)
  }

  #countIn({ ref }: ProjectRecord, client: Socket): void {
    if (client.destroyed) return
    this.count++
    const sockets = this.#open.get(ref) ?? new Set()
    this.#open.set(ref, sockets.add(client))
    client.once('close', () => sockets.delete(client))
  }
}
