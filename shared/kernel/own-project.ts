import type { Database } from './database/client.ts'
import type { Environment } from './environment.ts'
import { Problem } from './http/problem.ts'

/** A database can be replaced by a copy of another one while its functions run. */
const REMEMBERED_MS = 30_000

/**
 * Whether the rows of the database are those of the project under whose address this function runs. A clone, preview branch or
 * restored copy has the rows and passwords of the original's tenants, and must not touch what they name. The first contact records
 * the project. What was found fine is remembered for half a minute.
 * @returns a check, to be made before anything is done for a caller who was let in @throws Problem project_copied
 */
export function createProjectCheck(
  { SUPABASE_URL: url }: Pick<Environment, 'SUPABASE_URL'>,
  sql: Database,
): () => Promise<void> {
  let fineUntil = 0
  return async () => {
    if (performance.now() < fineUntil) return
    const [found] = await sql<{ owner: string | null }[]>`select provisioning.check_project(${url}) as owner`
    if (found?.owner != null)
      throw new Problem(
        'project_copied',
        `The rows of this database belong to the project ${found.owner}, and this is another one. So that the original's resources are never touched, nothing is done here. See docs/copies.md.`,
      )
    fineUntil = performance.now() + REMEMBERED_MS
  }
}
