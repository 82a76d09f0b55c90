import { createHash } from 'node:crypto'
import type { Database } from '../kernel/database/client.ts'
import { Problem } from '../kernel/http/problem.ts'
import { createRemembered } from './remembered.ts'

/** What a request says of its operation; one of the two is there. */
export interface Wanted {
  readonly query: string | undefined
  /** SHA-256 of a document that operators have stored, as hexadecimal digits. */
  readonly documentHash: string | undefined
}

const MOST = 200

/**
 * Finds the text of the operation that a request means. Stored documents never change; they are remembered.
 * @returns a function that throws Problem when there is no such document, or when only stored ones are run and it is none
 */
export function createStoredDocuments(
  sql: Database,
): (wanted: Wanted, storedOnly: boolean) => Promise<string> {
  const known = createRemembered<string>(MOST)
  return async ({ query, documentHash }, storedOnly) => {
    if (query !== undefined && !storedOnly) return query
    const hash = documentHash ?? sha256(query ?? '')
    const found = known.get(hash) ?? (await read(sql, hash))
    if (found === undefined)
      throw new Problem(
        'unknown_document',
        storedOnly ? 'Only documents that were stored before are run.' : 'There is no such document.',
      )
    known.set(hash, found)
    return found
  }
}

async function read(sql: Database, hash: string): Promise<string | undefined> {
  const [row] = await sql<{ document: string | null }[]>`
    select provisioning.stored_document(${hash}) as document`
  return row?.document ?? undefined
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
