import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { tenantSchemaFiles } from '../../shared/generated/tenant-schema-files.ts'
import { freePort } from '../../tools/ports.ts'
import { startPostgres } from '../postgres/server.ts'
import { THROWAWAY_SETTINGS } from '../postgres/throwaway.ts'
import { bundleRuntime, bundleSchema } from './bundle.ts'
import { makeGraphqlSchema } from './make-schema.ts'
import { createTenantDatabase } from './tenant-database.ts'

/** From the project's root. */
export const EXPORTS = 'shared/generated/tenant-graphql'
export const SDL = 'tenant-schema/generated'
/** How many older versions tenants may still be at. */
const OLDER_VERSIONS = 2

export interface WrittenFile {
  /** From the project's root. */
  readonly path: string
  readonly text: string
}

/** Of the SQL files up to a version, by which an export is known to be of these. */
export function checksumOf(version: number, files = tenantSchemaFiles): string {
  const hash = createHash('sha256')
  for (const file of files) if (file.version <= version) hash.update(`${file.name}\0${file.sql}\0`)
  return hash.digest('hex')
}

/** The files of the newest version's export, and what all of them share. Takes some 20 s, with a Postgres of its own. */
export async function exportNewest(): Promise<WrittenFile[]> {
  const version = Math.max(...tenantSchemaFiles.map((file) => file.version))
  const directory = await mkdtemp(path.join(tmpdir(), 'tenant-provisioning-'))
  const server = await startPostgres({ directory, port: await freePort(), settings: THROWAWAY_SETTINGS })
  try {
    const { code, sdl } = await makeGraphqlSchema(await createTenantDatabase(server, tenantSchemaFiles))
    const shared = 'Written by `npm run tenant-graphql`.'
    const header = `Written by \`npm run tenant-graphql\` from tenant-schema/*.sql up to number ${version}; edit those.`
    const source = `Their SHA-256: ${checksumOf(version)}`
    return [
      {
        path: `${EXPORTS}/runtime.mjs`,
        text: `// ${shared}\n/* @ts-self-types="./runtime.d.mts" */\n${await bundleRuntime()}`,
      },
      {
        path: `${EXPORTS}/v${version}.mjs`,
        text: `// ${header}\n// ${source}\n/* @ts-self-types="./version.d.mts" */\n${await bundleSchema(code)}`,
      },
      { path: `${EXPORTS}/v${version}.d.mts`, text: `// ${shared}\nexport * from './version.d.mts'\n` },
      { path: `${SDL}/v${version}.graphql`, text: `# ${header}\n\n${sdl}` },
    ]
  } finally {
    await server.stop('immediate')
    await rm(directory, { recursive: true, force: true })
  }
}

/** Writes them, removes what is older than functions serve, and lists what there is then. */
export async function writeExports(root: string, written: readonly WrittenFile[]): Promise<void> {
  for (const file of written) await writeFile(path.join(root, file.path), file.text)
  const newest = Math.max(...tenantSchemaFiles.map((file) => file.version))
  const versions: number[] = []
  for (const name of await readdir(path.join(root, EXPORTS))) {
    const version = Number(/^v(\d+)\.mjs$/.exec(name)?.[1])
    if (version <= newest && version >= newest - OLDER_VERSIONS) versions.push(version)
    else if (version > 0)
      for (const file of [
        `${EXPORTS}/v${version}.mjs`,
        `${EXPORTS}/v${version}.d.mts`,
        `${SDL}/v${version}.graphql`,
      ])
        await rm(path.join(root, file), { force: true })
  }
  await writeFile(path.join(root, EXPORTS, 'versions.ts'), printVersions(versions.sort((a, b) => a - b)))
}

function printVersions(versions: readonly number[]): string {
  return [
    '// Written by `npm run tenant-graphql`.\n',
    // Named in an import, or the Supabase CLI would leave these types behind when it uploads a function.
    "import type * as version from './version.d.mts'\n\n",
    '/** The GraphQL schemas of tenants’ databases, by the version of tenant-schema/ that a database is at. */\n',
    'export const exportedSchemas: Readonly<Record<number, () => Promise<typeof version>>> = {\n',
    ...versions.map((version) => `  ${version}: () => import('./v${version}.mjs'),\n`),
    '}\n',
  ].join('')
}

/** The versions with an export, and the checksum that each says it was made from. */
export async function recordedChecksums(root: string): Promise<Record<number, string>> {
  const names = (await readdir(path.join(root, EXPORTS))).filter((name) => /^v\d+\.mjs$/.test(name))
  const entries = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(path.join(root, EXPORTS, name), 'utf8')
      return [Number(/\d+/.exec(name)?.[0]), /SHA-256: ([0-9a-f]{64})/.exec(text)?.[1] ?? ''] as const
    }),
  )
  return Object.fromEntries(entries)
}
