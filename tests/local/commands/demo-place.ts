import { chmod, cp, mkdir, mkdtemp, readdir, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect } from 'vitest'
import { TEMPLATE_VARIABLE } from '../../../local/postgres/server.ts'
import { projectRoot } from '../../../tools/project.ts'
import { ownEnvironment } from './command.ts'
import { type ProcessInfo, stillRunning } from './processes.ts'

/** What a clone does not have. */
const NOT_COPIED = new Set(['.git', '.local', 'node_modules', '.env'])

/** Where a demo runs as on a machine that has nothing but the checkout, and makes its Postgres anew. */
export interface DemoPlace extends AsyncDisposable {
  /** A home that is empty and cannot be written, and a directory for temporary files that only we use. */
  readonly environment: NodeJS.ProcessEnv
  /** A checkout that only its owner may enter, with node_modules elsewhere. */
  readonly checkout: string
  /** The demo's own directory, or the one in which root's Postgres, which runs as nobody, has its data instead. */
  leftDirectories(): Promise<string[]>
}

export async function createDemoPlace(): Promise<DemoPlace> {
  const scratch = await mkdtemp(path.join(tmpdir(), 'demo-test-'))
  const inside = (...names: string[]) => path.join(scratch, ...names)
  for (const name of ['home', 'temporary']) await mkdir(inside(name))
  await chmod(inside('home'), 0o500)
  const checkout = inside('private', 'checkout')
  await mkdir(path.dirname(checkout), { mode: 0o700 })
  await cp(projectRoot, checkout, {
    recursive: true,
    filter: (source) => !NOT_COPIED.has(path.relative(projectRoot, source)),
  })
  await symlink(path.join(projectRoot, 'node_modules'), path.join(checkout, 'node_modules'))
  const { [TEMPLATE_VARIABLE]: _, ...environment } = ownEnvironment()
  return {
    environment: { ...environment, HOME: inside('home'), TMPDIR: inside('temporary') },
    checkout,
    leftDirectories: async () => {
      const temporary = await readdir(inside('temporary'))
      const fallback = (await readdir('/var/tmp').catch(() => [])).filter((name) =>
        name.includes(path.basename(scratch)),
      )
      return [...temporary, ...fallback].filter((name) => name.startsWith('tenant-provisioning'))
    },
    [Symbol.asyncDispose]: () => rm(scratch, { recursive: true, force: true }),
  }
}

/** tsx's compiler ends by itself a moment later. */
export async function expectEnded(programs: readonly ProcessInfo[]): Promise<void> {
  const pids = programs.map(({ pid }) => pid)
  await expect.poll(() => stillRunning(pids)).toEqual([])
}
