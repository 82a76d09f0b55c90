import { readFile } from 'node:fs/promises'
import path from 'node:path'

/** Files of a project that are its own, and that have a part of ours. */
export const CONFIG = 'supabase/config.toml'
export const VARIABLES = '.env.example'

/** The text of a file of a project; undefined when there is none. */
export const textOf = (project: string, file: string): Promise<string | undefined> =>
  readFile(path.join(project, file), 'utf8').catch(() => undefined)
