import { mkdir, rename, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { inject } from 'vitest'
import { exists } from '../../local/postgres/binaries.ts'
import { writePackage } from '../../tools/package/write-package.ts'
import { runProgram } from '../../tools/run-program.ts'
import { until } from './project.ts'

/** On a machine that does much else. */
const PACK_LIMIT_MS = 100_000

/** The package as it is published, a .tgz. Compiling it takes long: the first who asks for it makes it, and others of the same run wait. */
export async function packedPackage(): Promise<string> {
  const place = path.join(inject('runDirectory'), 'package')
  const packed = path.join(place, 'packed.tgz')
  const failed = path.join(place, 'failed')
  const isFirst = await mkdir(place).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
      return false
    },
  )
  if (isFirst)
    await pack(path.join(place, 'unpacked'), packed).catch(async (error: unknown) => {
      await writeFile(failed, String(error))
      throw error
    })
  else
    await until(
      'packed package',
      async () => {
        if (await exists(failed)) throw new Error('Another test could not make the package.')
        return (await exists(packed)) || undefined
      },
      PACK_LIMIT_MS,
    )
  return packed
}

async function pack(directory: string, packed: string): Promise<void> {
  await writePackage(directory)
  const file = await runProgram('npm', ['pack', '--silent'], { cwd: directory })
  // Complete at once for those who look for it.
  await rename(path.join(directory, file.trim()), packed)
}
