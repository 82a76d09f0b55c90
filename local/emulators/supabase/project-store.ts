import type { Journal, JournalEntry } from '../journal.ts'
import type { ProjectRecord } from './project.ts'

/** All projects, found by ref and by the name of their database; kept in the journal. */
export class ProjectStore {
  readonly #journal: Journal
  readonly #projects = new Map<string, ProjectRecord>()
  readonly #byDatabase = new Map<string, string>()
  #nextNumber = 1

  constructor(journal: Journal, entries: readonly JournalEntry[]) {
    this.#journal = journal
    // Written by this class alone, so the journal is trusted to hold what it says.
    for (const { type, value } of entries) if (type === 'project') this.#index(value as ProjectRecord)
  }

  /** In the order of their creation. */
  all(): ProjectRecord[] {
    return [...this.#projects.values()]
  }

  get(ref: string): ProjectRecord | undefined {
    return this.#projects.get(ref)
  }

  byDatabase(physicalName: string): ProjectRecord | undefined {
    return this.get(this.#byDatabase.get(physicalName) ?? '')
  }

  nextNumber(): number {
    return this.#nextNumber++
  }

  save(project: ProjectRecord): ProjectRecord {
    this.#journal.append([{ type: 'project', id: project.ref, value: project }])
    return this.#index(project)
  }

  remove(project: ProjectRecord): void {
    this.#journal.append([{ type: 'project', id: project.ref, value: null }])
    this.#projects.delete(project.ref)
    this.#byDatabase.delete(project.physicalName)
  }

  #index(project: ProjectRecord): ProjectRecord {
    this.#projects.set(project.ref, project)
    this.#byDatabase.set(project.physicalName, project.ref)
    this.#nextNumber = Math.max(this.#nextNumber, project.numericId + 1)
    return project
  }
}
