import type { Journal, JournalEntry } from '../journal.ts'

export interface Tag {
  readonly id: string
  readonly name: string
  readonly createdAt: string
  readonly updatedAt: string
}

export interface Node {
  readonly name?: string
  readonly type?: string
  readonly disabled?: boolean
  readonly parameters?: Readonly<Record<string, unknown>>
  readonly credentials?: Readonly<Record<string, { readonly id?: string; readonly name?: string }>>
}

export interface Workflow {
  readonly id: string
  readonly name: string
  readonly active: boolean
  readonly isArchived: boolean
  readonly nodes: readonly Node[]
  readonly connections: Readonly<Record<string, unknown>>
  readonly settings: Readonly<Record<string, unknown>>
  readonly staticData: unknown
  readonly pinData: unknown
  readonly versionId: string
  readonly triggerCount: number
  readonly tagIds: readonly string[]
  readonly createdAt: string
  readonly updatedAt: string
}

export interface Credential {
  readonly id: string
  readonly name: string
  readonly type: string
  /** n8n keeps it encrypted and never shows it again; here it is for tests. */
  readonly data: Readonly<Record<string, string>>
  readonly createdAt: string
  readonly updatedAt: string
}

/** Everything that one n8n holds. Each change is in the journal before a reply tells of it. */
export class Instance {
  readonly #journal: Journal
  readonly #workflows = new Map<string, Workflow>()
  readonly #tags = new Map<string, Tag>()
  readonly #credentials = new Map<string, Credential>()

  constructor(journal: Journal, entries: readonly JournalEntry[]) {
    this.#journal = journal
    // Written by this class alone, so the journal is trusted to hold what it says.
    for (const { type, id, value } of entries) this.#mapOf(type)?.set(id, value)
  }

  workflows(): Workflow[] {
    return [...this.#workflows.values()]
  }

  workflow(id: string): Workflow | undefined {
    return this.#workflows.get(id)
  }

  tags(): Tag[] {
    return [...this.#tags.values()]
  }

  tag(id: string): Tag | undefined {
    return this.#tags.get(id)
  }

  credentials(): Credential[] {
    return [...this.#credentials.values()]
  }

  credential(id: string): Credential | undefined {
    return this.#credentials.get(id)
  }

  saveWorkflow(workflow: Workflow): Workflow {
    this.#journal.append([{ type: 'workflow', id: workflow.id, value: workflow }])
    this.#workflows.set(workflow.id, workflow)
    return workflow
  }

  saveTag(tag: Tag): Tag {
    this.#journal.append([{ type: 'tag', id: tag.id, value: tag }])
    this.#tags.set(tag.id, tag)
    return tag
  }

  saveCredential(credential: Credential): Credential {
    this.#journal.append([{ type: 'credential', id: credential.id, value: credential }])
    this.#credentials.set(credential.id, credential)
    return credential
  }

  remove(type: 'workflow' | 'tag' | 'credential', id: string): void {
    this.#journal.append([{ type, id, value: null }])
    this.#mapOf(type)?.delete(id)
  }

  #mapOf(type: string): Map<string, unknown> | undefined {
    const maps: Readonly<Record<string, Map<string, unknown>>> = {
      workflow: this.#workflows as Map<string, unknown>,
      tag: this.#tags as Map<string, unknown>,
      credential: this.#credentials as Map<string, unknown>,
    }
    return maps[type]
  }
}

const ID_ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

/** 16 letters and digits, as n8n's ids. */
export function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint32Array(16)), (value) =>
    ID_ALPHABET.charAt(value % ID_ALPHABET.length),
  ).join('')
}
