import { type FSWatcher, watch } from 'node:fs'
import path from 'node:path'
import { exists } from '../../postgres/binaries.ts'

/** Editors write a file in several steps. */
const SETTLE_MS = 100

/**
 * Calls `changed` with the name of the function whose TypeScript or JSON was saved, or with undefined when code
 * that several functions share was.
 */
export async function watchFunctions(
  functionsDir: string,
  sharedDir: string,
  changed: (name: string | undefined) => void,
): Promise<{ stop(): void }> {
  const pending = new Set<string | undefined>()
  let timer: NodeJS.Timeout | undefined
  const note = (name: string | undefined) => {
    pending.add(name)
    clearTimeout(timer)
    timer = setTimeout(() => {
      const names = pending.has(undefined) ? [undefined] : [...pending]
      pending.clear()
      for (const each of names) changed(each)
    }, SETTLE_MS)
  }
  const watchers: FSWatcher[] = []
  const follow = async (directory: string, nameOf: (file: string) => string | undefined) => {
    if (!(await exists(directory))) return
    watchers.push(
      watch(directory, { recursive: true }, (_event, file) => {
        if (file && /\.(ts|json)$/.test(file)) note(nameOf(file))
      }),
    )
  }
  await follow(functionsDir, (file) => {
    const [folder = '', ...rest] = file.split(path.sep)
    return rest.length > 0 && !folder.startsWith('_') ? folder : undefined
  })
  await follow(sharedDir, () => undefined)
  return {
    stop: () => {
      clearTimeout(timer)
      for (const watcher of watchers) watcher.close()
    },
  }
}
