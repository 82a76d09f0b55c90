import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

/** What the bundler on the server takes, in bytes. */
export const BUNDLE_LIMIT = 5 * 1024 * 1024

export interface FunctionContents {
  readonly name: string
  /** Of all files that are uploaded for it, and of the settings of the functions. */
  readonly hash: string
  readonly bytes: number
}

const RELATIVE_IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)['"](\.{1,2}\/[^'"]+)['"]/g

/** The functions of a project, with what the Supabase CLI uploads for each: the files that it imports, directly or by way of others. */
export async function functionContents(project: string): Promise<FunctionContents[]> {
  const folder = path.join(project, 'supabase/functions')
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries
    .filter((entry) => entry.isDirectory() && !/^[_.]/.test(entry.name))
    .map(({ name }) => name)
  const settings = await readFile(path.join(project, 'supabase/config.toml'), 'utf8')
  const maps = [...settings.matchAll(/^import_map\s*=\s*"([^"]+)"/gm)].map(([, map = '']) =>
    path.join(project, 'supabase', map),
  )
  const texts = new Map<string, string>()
  return Promise.all(
    names.sort().map(async (name) => {
      const files = await reached([path.join(folder, name, 'index.ts'), ...new Set(maps)], texts)
      const hash = createHash('sha256').update(settings)
      let bytes = 0
      for (const file of [...files].sort()) {
        const text = texts.get(file) ?? ''
        bytes += Buffer.byteLength(text)
        hash.update(`\0${path.relative(project, file)}\0${text}`)
      }
      return { name, hash: hash.digest('hex'), bytes }
    }),
  )
}

async function reached(from: readonly string[], texts: Map<string, string>): Promise<Set<string>> {
  const files = new Set<string>()
  const open = [...from]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file)) continue
    files.add(file)
    const text = texts.get(file) ?? (await readFile(file, 'utf8'))
    texts.set(file, text)
    // A comment may show an import of what is not there; a real one the type check would refuse.
    for (const [, target = ''] of text.matchAll(RELATIVE_IMPORT)) {
      const next = path.resolve(path.dirname(file), target)
      if (await isThere(next, texts)) open.push(next)
    }
  }
  return files
}

async function isThere(file: string, texts: Map<string, string>): Promise<boolean> {
  if (texts.has(file)) return true
  const text = await readFile(file, 'utf8').catch(() => undefined)
  if (text !== undefined) texts.set(file, text)
  return text !== undefined
}
