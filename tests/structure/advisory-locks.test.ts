import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'

const REGISTER = 'supabase/migrations/20260101000000_foundation.sql'

async function filesBelow(folder: string, extension: string): Promise<string[]> {
  const entries = await readdir(path.join(projectRoot, folder), { recursive: true })
  return entries.filter((name) => name.endsWith(extension)).map((name) => path.join(folder, name))
}

/** The first number of each advisory lock; a hash of 64 bits is seeded with it, a pair of 32 bits begins with it. */
function locksOf(text: string): string[] {
  return [...text.matchAll(/pg_(?:try_)?advisory_\w*lock\w*\(([^;]*?)\)(?=[\s;,)])/g)].flatMap(
    ([, given = '']) => {
      const [number] = /\b\d{3,}\b/.exec(given) ?? []
      return number ? [number] : [given]
    },
  )
}

it('each advisory lock has its number in the register, and each number of the register is in use', async () => {
  const register = await readFile(path.join(projectRoot, REGISTER), 'utf8')
  const registered = new Set([...register.matchAll(/^-- {3}(\d{4}) /gm)].map(([, number = '']) => number))
  const files = [...(await filesBelow('supabase/migrations', '.sql')), ...(await filesBelow('shared', '.ts'))]
  const used = new Set<string>()
  for (const file of files)
    for (const lock of locksOf(await readFile(path.join(projectRoot, file), 'utf8'))) used.add(lock)
  expect(used.size).toBeGreaterThan(3)
  expect([...used].sort()).toEqual([...registered].sort())
})
