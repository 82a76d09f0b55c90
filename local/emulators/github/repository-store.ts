import type { Journal, JournalEntry } from '../journal.ts'
import { fullName, type RepositoryRecord } from './repository.ts'

/** All repositories, by their id and by the names that they have and had. GitHub's names know no case. */
export class RepositoryStore {
  readonly #journal: Journal
  readonly #byId = new Map<number, RepositoryRecord>()
  readonly #byName = new Map<string, number>()
  #lastId = 100_000_000

  constructor(journal: Journal, entries: readonly JournalEntry[]) {
    this.#journal = journal
    for (const { type, value } of entries) {
      // Written by this class alone, so the journal is trusted to hold what it says.
      if (type === 'repository') this.#apply(value as RepositoryRecord)
    }
  }

  newId(): number {
    this.#lastId += 1
    return this.#lastId
  }

  get(id: number | null): RepositoryRecord | undefined {
    return id === null ? undefined : this.#byId.get(id)
  }

  /** Under this name, or one that it had before. */
  named(owner: string, name: string): RepositoryRecord | undefined {
    return this.#byId.get(this.#byName.get(key(owner, name)) ?? 0)
  }

  /** The one that has the name now. */
  holder(owner: string, name: string): RepositoryRecord | undefined {
    const found = this.named(owner, name)
    return found && key(found.owner, found.name) === key(owner, name) ? found : undefined
  }

  /** The oldest first. */
  all(): RepositoryRecord[] {
    return [...this.#byId.values()]
  }

  save(repository: RepositoryRecord): RepositoryRecord {
    this.#journal.append([{ type: 'repository', id: String(repository.id), value: repository }])
    this.#apply(repository)
    return repository
  }

  remove({ id }: RepositoryRecord): void {
    this.#journal.append([{ type: 'repository', id: String(id), value: null }])
    this.#byId.delete(id)
    for (const [name, owner] of this.#byName) if (owner === id) this.#byName.delete(name)
  }

  #apply(repository: RepositoryRecord): void {
    this.#lastId = Math.max(this.#lastId, repository.id)
    this.#byId.set(repository.id, repository)
    const names = [...repository.formerNames, fullName(repository)]
    for (const name of names) {
      const [owner = '', bare = ''] = name.split('/')
      const holder = this.holder(owner, bare)
      // Who has a name now goes before who had it.
      if (!holder || name === fullName(repository)) this.#byName.set(key(owner, bare), repository.id)
    }
  }
}

function key(owner: string, name: string): string {
  return `${owner}/${name}`.toLowerCase()
}
