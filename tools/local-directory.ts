import { chmod, chown, mkdir } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from './project.ts'

/** Whom root's Postgres runs as, because it refuses to run as root. */
export const NOBODY = 65534

/** What a checkout keeps for itself between runs: keys, data, and programs that it has unpacked. */
export const localDirectory = path.join(projectRoot, '.local')

/** Makes a directory that other users of the machine cannot look into: there are keys and data in it. */
export async function makePrivate(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  await chmod(directory, 0o700)
  // Root enters all the same.
  if (process.getuid?.() === 0) await chown(directory, NOBODY, NOBODY)
}

/**
 * Makes a directory in the checkout's `.local`, which is closed to others by whoever makes anything in it first, whatever that is.
 * @param directory may be elsewhere; it is then made, and nothing around it is changed
 * @param local another directory that has the part of `.local`. Of one that is not in the checkout, or is all of it, nothing is
 * closed, because it may be used for other things, too.
 */
export async function makeLocal(directory: string, local = localDirectory): Promise<void> {
  if (isWithin(projectRoot, local) && (directory === local || isWithin(local, directory)))
    await makePrivate(local)
  await mkdir(directory, { recursive: true })
}

function isWithin(outer: string, inner: string): boolean {
  const relative = path.relative(outer, inner)
  return relative !== '' && relative.split(path.sep)[0] !== '..' && !path.isAbsolute(relative)
}
