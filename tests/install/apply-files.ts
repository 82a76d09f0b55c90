import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import type { TestDatabase } from '../support/database.ts'

/**
 * Applies the migrations of a project as `supabase db push` does, each in a transaction; tests/install/init.test.ts has the CLI do it.
 * @param applied names of files that the database has
 * @returns the names of all
 */
export async function applyFiles(
  database: TestDatabase,
  project: string,
  applied: readonly string[] = [],
): Promise<string[]> {
  const sql = postgres(database.url(), { max: 1, onnotice: () => undefined })
  const folder = path.join(project, 'supabase/migrations')
  const files = (await readdir(folder).catch(() => [])).sort()
  try {
    for (const file of files.filter((each) => !applied.includes(each))) {
      const text = await readFile(path.join(folder, file), 'utf8')
      await sql.begin((tx) => tx.unsafe(text))
    }
  } finally {
    await sql.end({ timeout: 1 })
  }
  return files
}
