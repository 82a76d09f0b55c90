import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { PORT_USES } from '../../../tools/ports.ts'
import type { PostgresServer } from '../../postgres/server.ts'
import { startServerCopy } from '../../postgres/server-copy.ts'
import type { Clock } from '../clock.ts'
import { type PostgresProxy, startPostgresProxies } from '../postgres/proxy.ts'
import { asPhysical } from './connection-route.ts'
import { newId } from './ids.ts'
import type { ProjectRecord } from './project.ts'

/** A child of a project's branch: its data as they were when it was made, behind a compute of its own. */
export interface ChildBranch {
  readonly id: string
  readonly name: string
  readonly projectId: string
  readonly endpointId: string
  readonly createdAt: number
  readonly expiresAt: number | undefined
  /** Of its compute, on the host of all others. */
  readonly port: number
}

interface Running {
  readonly branch: ChildBranch
  readonly directory: string
  readonly server: PostgresServer
  readonly proxy: PostgresProxy
}

/**
 * The branches beside each project's first one. Each is a copy of the server, reduced to the project's database, so that its roles
 * have the same names and passwords as in the parent. They end with the emulator.
 */
export class ChildBranches {
  readonly #adminUrl: string
  readonly #clock: Clock
  readonly #running = new Map<string, Running>()

  constructor(adminUrl: string, clock: Clock) {
    this.#adminUrl = adminUrl
    this.#clock = clock
  }

  /** The newest first. */
  of(projectId: string): ChildBranch[] {
    const branches = [...this.#running.values()].map(({ branch }) => branch)
    return branches.filter((branch) => branch.projectId === projectId).reverse()
  }

  get(branchId: string | undefined): ChildBranch | undefined {
    return this.#running.get(branchId ?? '')?.branch
  }

  async create(project: ProjectRecord, name: string, expiresAt: number | undefined): Promise<ChildBranch> {
    const directory = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-branch-'))
    const server = await startServerCopy(this.#adminUrl, [project.physicalName], directory).catch(
      async (error: unknown) => {
        await rm(directory, { recursive: true, force: true })
        throw error
      },
    )
    const proxy = await startPostgresProxies(async (given) => asPhysical(project, given), {
      adminUrl: server.url('postgres'),
      use: PORT_USES.tenants,
    })
    const branch: ChildBranch = {
      id: newId('br'),
      name,
      projectId: project.id,
      endpointId: newId('ep'),
      createdAt: this.#clock(),
      expiresAt,
      port: proxy.port,
    }
    this.#running.set(branch.id, { branch, directory, server, proxy })
    return branch
  }

  async delete(branchId: string): Promise<void> {
    const running = this.#running.get(branchId)
    if (!running) return
    this.#running.delete(branchId)
    await running.proxy.stop()
    await running.server.stop('immediate')
    await rm(running.directory, { recursive: true, force: true })
  }

  /** Deletes those whose time is over, and those of projects that are none any more. */
  async purge(isThere: (projectId: string) => boolean): Promise<void> {
    for (const { branch } of [...this.#running.values()])
      if ((branch.expiresAt ?? Number.POSITIVE_INFINITY) <= this.#clock() || !isThere(branch.projectId))
        await this.delete(branch.id)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#running.keys()].map((id) => this.delete(id)))
  }
}
