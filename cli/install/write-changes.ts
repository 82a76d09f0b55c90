import { mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import type { Change } from './plan.ts'

/**
 * Carries out the changes, all or none: when one fails, or the work is stopped, what was done before is undone.
 * @throws what made it fail
 */
export async function writeChanges(
  project: string,
  changes: readonly Change[],
  stop?: AbortSignal,
): Promise<void> {
  const undo: (() => Promise<unknown>)[] = []
  try {
    for (const change of changes) {
      stop?.throwIfAborted()
      await carryOut(project, change, undo)
    }
    stop?.throwIfAborted()
  } catch (error) {
    for (const step of undo.reverse()) await step()
    throw error
  }
}

async function carryOut(
  project: string,
  { path: place, kind, text = '' }: Change,
  undo: (() => Promise<unknown>)[],
): Promise<void> {
  const file = path.join(project, place)
  if (kind === 'create') {
    // The topmost folder that is made; those below it are empty again when the files are gone.
    const made = await mkdir(path.dirname(file), { recursive: true })
    if (made) undo.push(() => removeEmpty(path.dirname(file), made))
    undo.push(() => rm(file, { force: true }))
    // 'wx': what came there in the meantime is somebody else's.
    await writeFile(file, text, { flag: 'wx' }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'EEXIST') undo.pop()
      throw error
    })
    return
  }
  const before = await readFile(file)
  undo.push(async () => {
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, before)
  })
  if (kind === 'delete') {
    await rm(file)
    return removeEmpty(path.dirname(file), path.join(project, 'supabase'))
  }
  // Whoever reads the file meanwhile finds the old text or the new one.
  const beside = `${file}.new`
  undo.push(() => rm(beside, { force: true }))
  await writeFile(beside, text)
  await rename(beside, file)
}

async function removeEmpty(folder: string, upTo: string): Promise<void> {
  for (let each = folder; each.length >= upTo.length; each = path.dirname(each))
    if (
      !(await rmdir(each).then(
        () => true,
        () => false,
      ))
    )
      return
}
