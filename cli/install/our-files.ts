import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { bundleN8nTemplates } from '../../tools/n8n-templates/bundle.ts'
import { projectRoot } from '../../tools/project.ts'
import { bundleTenantSchema } from '../../tools/tenant-schema/bundle.ts'
import { renderFile } from './render-schema.ts'

/** Our TypeScript in the project. The Supabase CLI takes no folder that begins with an underscore for a function. */
const HOME = 'supabase/functions/_tenant-provisioning'
/** Of our functions, as supabase/config.toml names it. Theirs keep their own. */
export const IMPORT_MAP = './functions/_tenant-provisioning/import_map.json'

/** A folder of the repository that is the project's own from the beginning: it is laid down once. The functions have a bundle of it. */
export interface OwnFolder {
  readonly source: string
  readonly ending: string
  readonly folder: string
  readonly bundle: string
  /** @throws Error that says what is wrong with a file */
  readonly makeBundle: (folder: string) => Promise<string>
}

export const OWN_FOLDERS: readonly OwnFolder[] = [
  {
    source: 'tenant-schema',
    ending: '.sql',
    folder: 'supabase/tenant-schema',
    bundle: `${HOME}/shared/generated/tenant-schema-files.ts`,
    makeBundle: bundleTenantSchema,
  },
  {
    source: 'n8n-templates',
    ending: '.json',
    folder: 'supabase/n8n-templates',
    bundle: `${HOME}/shared/generated/n8n-templates.ts`,
    makeBundle: bundleN8nTemplates,
  },
]

export const isBundle = (file: string): boolean => OWN_FOLDERS.some(({ bundle }) => bundle === file)

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

/** What a project begins with in such a folder. */
export async function firstFiles({ source, ending, folder }: OwnFolder): Promise<OurFile[]> {
  const names = (await readdir(path.join(projectRoot, source))).filter((name) => name.endsWith(ending))
  return Promise.all(
    names.sort().map(async (name) => ({ path: `${folder}/${name}`, text: await ours(`${source}/${name}`) })),
  )
}

const ours = (file: string) => readFile(path.join(projectRoot, file), 'utf8')
