import type { Journal, JournalEntry } from '../journal.ts'
import type { ProjectRecord } from './project.ts'

/** All projects, found by id, by endpoint and by the database that a connection names; kept in the journal. */
export class ProjectStore {
  readonly #journal: Journal
  readonly #projects = new Map<string, ProjectRecord>()
  readonly #byEndpoint = new Map<string, string>()
  readonly #byDatabase = new Map<string, Set<string>>()
  readonly #deleted = new Set<string>()

  constructor(journal: Journal, entries: readonly JournalEntry[]) {
    this.#journal = journal
    // Written by this class alone, so the journal is trusted to hold what it says.
    for (const { type, value } of entries) if (type === 'project') this.#index(value as ProjectRecord)
  }

  /** Projects that are not deleted. */
  get liveCount(): number {
    return this.#projects.size - this.#deleted.size
  }

  /** In the order of their creation. */
  all(): ProjectRecord[] {
    return [...this.#projects.values()]
  }

  /** In the order of their deletion. */
  deleted(): ProjectRecord[] {
    return [...this.#deleted].flatMap((id) => this.get(id) ?? [])
  }

  /** Up to `limit` projects that come after the one named by the cursor; undefined when there is no such one. */
  page(
    cursor: string | undefined,
    limit: number,
    wanted: (project: ProjectRecord) => boolean,
  ): ProjectRecord[] | undefined {
    if (cursor !== undefined && !this.#projects.has(cursor)) return undefined
    const page: ProjectRecord[] = []
    let reached = cursor === undefined
    for (const project of this.#projects.values()) {
      if (reached && wanted(project)) page.push(project)
      if (project.id === cursor) reached = true
      if (page.length === limit) break
    }
    return page
  }

  get(id: string): ProjectRecord | undefined {
    return this.#projects.get(id)
  }

  byEndpoint(endpointId: string): ProjectRecord | undefined {
    const id = this.#byEndpoint.get(endpointId)
    return id === undefined ? undefined : this.get(id)
  }

  /** Live projects with a database of this name. */
  byDatabase(name: string): ProjectRecord[] {
    return [...(this.#byDatabase.get(name) ?? [])].flatMap((id) => this.get(id) ?? [])
  }

  save(project: ProjectRecord): ProjectRecord {
    this.#journal.append([{ type: 'project', id: project.id, value: project }])
    return this.#index(project)
  }

  /** For what changes with each connection and may be a little stale after a restart. */
  saveInMemory(project: ProjectRecord): ProjectRecord {
    return this.#index(project)
  }

  remove(project: ProjectRecord): void {
    this.#journal.append([{ type: 'project', id: project.id, value: null }])
    this.#removeDatabase(project)
    this.#projects.delete(project.id)
    this.#deleted.delete(project.id)
    this.#byEndpoint.delete(project.endpoint.id)
  }

  #index(project: ProjectRecord): ProjectRecord {
    this.#projects.set(project.id, project)
    this.#byEndpoint.set(project.endpoint.id, project.id)
    if (project.deletedAt === undefined) {
      this.#deleted.delete(project.id)
      this.#addDatabase(project)
    } else if (!this.#deleted.has(project.id)) {
      this.#deleted.add(project.id)
      this.#removeDatabase(project)
    }
    return project
  }

  #addDatabase({ id, database }: ProjectRecord): void {
    const ids = this.#byDatabase.get(database.name)
    if (ids === undefined) this.#byDatabase.set(database.name, new Set([id]))
    else ids.add(id)
  }

  #removeDatabase({ id, database }: ProjectRecord): void {
    const ids = this.#byDatabase.get(database.name)
    ids?.delete(id)
    if (ids?.size === 0) this.#byDatabase.delete(database.name)
  }
}
