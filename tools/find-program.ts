import { access, constants } from 'node:fs/promises'
import path from 'node:path'

/** The first executable of that name on the PATH. */
export async function findProgram(
  name: string,
  searchPath = process.env.PATH ?? '',
): Promise<string | undefined> {
  for (const directory of searchPath.split(path.delimiter).filter(Boolean)) {
    const file = path.join(directory, name)
    const executable = await access(file, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (executable) return file
  }
  return undefined
}
