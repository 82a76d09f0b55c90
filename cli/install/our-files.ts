import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from '../../tools/project.ts'
import { renderFile } from './render-schema.ts'

/** Our TypeScript in the project. The Supabase CLI takes no folder that begins with an underscore for a function. */
const HOME = 'supabase/functions/_tenant-provisioning'
/** Of our functions, as supabase/config.toml names it. Theirs keep their own. */
export const IMPORT_MAP = './functions/_tenant-provisioning/import_map.json'
/** SQL that every tenant's own database gets, and what the functions have of it. */
export const TENANT_SCHEMA = 'supabase/tenant-schema'
export const TENANT_SCHEMA_BUNDLE = `${HOME}/shared/generated/tenant-schema-files.ts`

/** A file as it is to be in the project. */
export interface OurFile {
  /** In the project. */
  readonly path: string
  readonly text: string
}

/** Our functions and what they import, for a schema. */
export async function functionFiles(schema: string, functions: readonly string[]): Promise<OurFile[]> {
  const shared = (await readdir(path.join(projectRoot, 'shared'), { recursive: true, withFileTypes: true }))
    .filter(
      (entry) =>
        entry.isFile() && /\.(ts|graphql|mjs|d\.mts)$/.test(entry.name) && !entry.name.endsWith('.d.ts'),
    )
    .map((entry) => path.relative(projectRoot, path.join(entry.parentPath, entry.name)))
  const rendered = await Promise.all(
    shared.map(async (file) => ({
      path: `${HOME}/${file}`,
      text: renderFile(file, await ours(file), schema),
    })),
  )
  const entries = await Promise.all(
    functions.map(async (name) => ({
      path: `supabase/functions/${name}/index.ts`,
      text: (await ours(`supabase/functions/${name}/index.ts`)).replaceAll(
        "'../../../shared/",
        "'../_tenant-provisioning/shared/",
      ),
    })),
  )
  const importMap = {
    path: `${HOME}/import_map.json`,
    text: await ours('supabase/functions/import_map.json'),
  }
  return [...entries, importMap, ...rendered].sort((one, other) => (one.path < other.path ? -1 : 1))
}

/** The SQL of tenants' databases that a project begins with. */
export async function tenantSchemaFiles(): Promise<OurFile[]> {
  const names = (await readdir(path.join(projectRoot, 'tenant-schema'))).filter((name) =>
    name.endsWith('.sql'),
  )
  return Promise.all(
    names
      .sort()
      .map(async (name) => ({ path: `${TENANT_SCHEMA}/${name}`, text: await ours(`tenant-schema/${name}`) })),
  )
}

const ours = (file: string) => readFile(path.join(projectRoot, file), 'utf8')
