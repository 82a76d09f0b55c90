import { readdirSync } from 'node:fs'

const FOLDER = new URL('../../supabase/functions/', import.meta.url)

/** Every function that is deployed, by the names of the folders: a new one cannot be left out of a test. */
export const EVERY_FUNCTION: readonly string[] = readdirSync(FOLDER, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.startsWith('_'))
  .map(({ name }) => name)
  .sort()

/** How a function is called. All work is asked for by POST; one function is read. */
export const methodOf = (name: string): 'GET' | 'POST' => (name === 'metrics' ? 'GET' : 'POST')
