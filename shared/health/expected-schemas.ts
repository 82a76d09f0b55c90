import { filesChecksum } from '../tenant-database/apply-schema.ts'
import type { SchemaNames, SchemaObjects } from '../tenant-database/fingerprint.ts'
import type { ClaimedTenant, HealthStore } from './health-store.ts'

/** What a tenant's database is compared with. */
export interface ExpectedSchema {
  readonly names: SchemaNames
  /** @returns undefined when no database of that server was ever recorded */
  fingerprint(serverMajor: number): string | undefined
  objects(fingerprint: string): Promise<SchemaObjects | undefined>
}

/** So long a version that is not recorded yet is not asked for again. */
const KNOWN_MS = 60_000

type Store = Pick<HealthStore, 'schemas' | 'schemaObjects'>

/** Reads what is recorded of the files' versions once a minute, whoever many tenants are checked. */
export class ExpectedSchemas {
  readonly #store: Store
  readonly #known = new Map<
    string,
    { readonly at: number; readonly schema: Promise<ExpectedSchema | undefined> }
  >()

  constructor(store: Store) {
    this.#store = store
  }

  /** @returns undefined when nothing is known of that version, or this deployment has other files */
  of({
    tier,
    schemaVersion,
  }: Pick<ClaimedTenant, 'tier' | 'schemaVersion'>): Promise<ExpectedSchema | undefined> {
    if (schemaVersion === null) return Promise.resolve(undefined)
    const key = `${tier}/${schemaVersion}`
    const known = this.#known.get(key)
    if (known && Date.now() - known.at < KNOWN_MS) return known.schema
    const schema = this.#read(tier, schemaVersion)
    this.#known.set(key, { at: Date.now(), schema })
    schema.catch(() => this.#known.delete(key))
    return schema
  }

  async #read(tier: string, version: number): Promise<ExpectedSchema | undefined> {
    const checksum = filesChecksum(version)
    const recorded = checksum === undefined ? [] : await this.#store.schemas(tier, version, checksum)
    const [first] = recorded
    if (!first) return undefined
    const byMajor = new Map(recorded.map(({ serverMajor, fingerprint }) => [serverMajor, fingerprint]))
    return {
      names: first.names,
      fingerprint: (serverMajor) => byMajor.get(serverMajor),
      objects: (fingerprint) => this.#store.schemaObjects(fingerprint),
    }
  }
}
