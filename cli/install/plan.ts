import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from '../../tools/project.ts'
import { readFunctionNames } from '../doctor/migrations.ts'
import { withOurConfig } from './config-toml.ts'
import { withOurVariables } from './env-example.ts'
import { findMapping, type MappingWish, proposals } from './find-mapping.ts'
import { checksum, MANIFEST_FILE, type Manifest, readManifest } from './manifest.ts'
import { effectiveMapping, type Mapping, mappingMigrations, withWantedMapping } from './mapping.ts'
import { renderedMigrations } from './migrations.ts'
import { codeIn, codeInDatabase, noticesOf } from './notices.ts'
import { firstFiles, functionFiles, IMPORT_MAP, isBundle, type OurFile, OWN_FOLDERS } from './our-files.ts'
import { changedSince, MIGRATIONS, placedMigrations } from './placed-migrations.ts'
import { TEMPLATE_SCHEMA } from './render-schema.ts'
import { namesMadeIn, ourNames, ourTables } from './taken-names.ts'
import { openTheirDatabase, type TheirDatabase } from './their-database.ts'
import { CONFIG, textOf, VARIABLES } from './their-files.ts'
import { type TheirTable, tablesInDatabase, tablesMadeIn } from './their-tables.ts'
import { versionOf, versionsIn } from './versions.ts'

/** Proposed, in this order, where `public` has names of ours. */
const OWN_SCHEMAS = ['tenancy', 'tenant_provisioning']

/** One file of the project that is made, changed or taken away. */
export interface Change {
  readonly path: string
  readonly kind: 'create' | 'change' | 'delete'
  /** As it is to be; undefined when it goes. */
  readonly text?: string
}

export interface Plan {
  readonly schema: string
  /** Why this schema. */
  readonly reason: string
  /** Tables of the project that are read instead of ours. */
  readonly mapping: Mapping
  /** Options that would have more of them read. */
  readonly proposals: readonly string[]
  /** What the project's own code does that concerns ours. */
  readonly notices: readonly string[]
  readonly changes: readonly Change[]
  /** The migration that brings a database of an earlier version up to this one. */
  readonly upgrade?: string
  /** Whether its database was looked at, too. */
  readonly sawDatabase: boolean
  /** Why nothing can be done; empty when it can. */
  readonly problems: readonly string[]
}

export interface PlanOptions {
  /** The directory that has supabase/config.toml. */
  readonly project: string
  /** Asked for; without it, one is proposed. */
  readonly schema?: string
  /** Tables of theirs that are to be read instead of ours. */
  readonly mapping?: MappingWish
  /** Of the project's database, to look for names that its migrations do not tell. */
  readonly databaseUrl?: string
  readonly now: Date
}

/**
 * What an installation would do to a project. It reads and changes nothing. @throws Error when it is no Supabase project, or
 * its database cannot be looked at
 */
export async function planInstallation(options: PlanOptions): Promise<Plan> {
  const { project, schema: wanted, now } = options
  const config = await textOf(project, CONFIG)
  if (config === undefined)
    throw new Error(`${project} has no ${CONFIG}. Run this in the directory of a Supabase project.`)
  const manifest = await readManifest(project)
  const theirs = await theirMigrations(project, manifest)
  await using database = options.databaseUrl ? await openTheirDatabase(options.databaseUrl) : undefined
  const chosen = await chosenSchema(wanted, manifest, [...theirs.values()], database)
  const { schema } = chosen
  const tables = await theirTables([...theirs.values()], schema, database)
  const wish = options.mapping ?? { columns: {}, roles: {} }
  const mappings = withWantedMapping(
    manifest?.mappings ?? [],
    findMapping(wish, tables, database !== undefined),
  )
  const mapping = effectiveMapping(mappings)
  const migrations = [...(await renderedMigrations(schema)), ...mappingMigrations(mappings)]
  const functions = await readFunctionNames()
  const placed = await placedMigrations(
    project,
    migrations,
    manifest,
    [...versionsIn(theirs.keys()), ...(database?.versions ?? [])],
    now,
  )
  const wantedFiles = [
    ...placed.files,
    ...(await withTheirFolders(project, await functionFiles(schema, functions))),
  ]
  const current = await Promise.all(wantedFiles.map((file) => textOf(project, file.path)))
  const changes = [
    ...wantedFiles.flatMap((file, index) => changeOf(file, current[index]) ?? []),
    ...(await missingFolders(project)),
    ...(await obsoleteFiles(project, manifest, wantedFiles)),
    ...mergedFile(CONFIG, config, withOurConfig(config, { schema, functions, importMap: IMPORT_MAP })),
    ...(await mergedVariables(project)),
  ]
  const foreign = wantedFiles.flatMap((file, index) => conflictOf(file, current[index], manifest) ?? [])
  return {
    schema,
    reason: chosen.reason,
    mapping,
    proposals: proposals(tables, mapping),
    notices: await notices([...theirs.values()], schema, tables, database),
    sawDatabase: database !== undefined,
    ...(placed.upgrade ? { upgrade: placed.upgrade } : {}),
    changes: [
      ...changes,
      ...(await manifestChange(project, { schema, mappings, migrations: placed.manifest }, wantedFiles)),
    ],
    problems: [
      ...(wanted && manifest && wanted !== manifest.schema
        ? [`Our tables are in the schema ${manifest.schema} already; they cannot move to ${wanted}.`]
        : []),
      ...chosen.problems,
      ...placed.problems,
      ...foreign,
    ],
  }
}

/** Their own migrations, by file name, in order. */
async function theirMigrations(
  project: string,
  manifest: Manifest | undefined,
): Promise<ReadonlyMap<string, string>> {
  const ours = new Set(Object.values(manifest?.migrations ?? {}).map(({ file }) => file))
  const names = await readdir(path.join(project, MIGRATIONS)).catch(() => [])
  const files = names.filter((name) => versionOf(name) !== undefined && !ours.has(name)).sort()
  const texts = await Promise.all(files.map((name) => readFile(path.join(project, MIGRATIONS, name), 'utf8')))
  return new Map(files.map((name, index) => [name, texts[index] ?? '']))
}

/** Those of the database, and those that migrations make which it has not applied. Ours are left out. */
async function theirTables(
  migrations: readonly string[],
  schema: string,
  database: TheirDatabase | undefined,
): Promise<TheirTable[]> {
  const there = database ? await tablesInDatabase(database.sql) : []
  const made = tablesMadeIn(migrations).filter(({ name }) => !there.some((each) => each.name === name))
  const ours = new Set((await ourNames()).map((name) => `${schema}.${name}`))
  return [...there, ...made].filter(({ name }) => !ours.has(name))
}

async function notices(
  migrations: readonly string[],
  schema: string,
  tables: readonly TheirTable[],
  database: TheirDatabase | undefined,
): Promise<string[]> {
  const theirs = new Set(tables.map(({ name }) => name))
  const ours = (await ourTables()).filter((name) => !theirs.has(`${schema}.${name}`))
  const seen = [codeIn(migrations), ...(database ? [await codeInDatabase(database.sql)] : [])]
  return [...new Set(seen.flatMap((code) => noticesOf(code, schema, ours)))]
}

interface ChosenSchema {
  readonly schema: string
  readonly reason: string
  readonly problems: readonly string[]
}

async function chosenSchema(
  wanted: string | undefined,
  manifest: Manifest | undefined,
  theirs: readonly string[],
  database: TheirDatabase | undefined,
): Promise<ChosenSchema> {
  if (manifest) return { schema: manifest.schema, reason: 'as it was installed', problems: [] }
  const names = await ourNames()
  const obstacle = async (schema: string) => {
    const made = namesMadeIn(schema, theirs, names)
    return made.length > 0
      ? `your migrations make ${made.join(', ')} in the schema ${schema}`
      : database?.refusal(schema)
  }
  const candidates = wanted ? [wanted] : [TEMPLATE_SCHEMA, ...OWN_SCHEMAS]
  const obstacles: string[] = []
  for (const schema of candidates) {
    const problem = await obstacle(schema)
    if (!problem)
      return {
        schema,
        reason: wanted ? 'as you said' : (obstacles[0] ?? 'there is nothing in its way'),
        problems: [],
      }
    obstacles.push(problem)
  }
  // That of the last: what the schemas have in common is no matter of the schema.
  const problems = obstacles.slice(-1).map((problem) => `Not possible: ${problem}.`)
  return { schema: candidates.at(-1) ?? TEMPLATE_SCHEMA, reason: '', problems }
}

/** What the functions have of a folder that is the project's comes from its files as soon as there are some. */
async function withTheirFolders(project: string, files: readonly OurFile[]): Promise<OurFile[]> {
  const bundles = new Map<string, string>()
  for (const { folder, bundle, makeBundle } of OWN_FOLDERS) {
    const there = path.join(project, folder)
    const names = await readdir(there).catch(() => [])
    if (names.length > 0) bundles.set(bundle, await makeBundle(there))
  }
  return files.map((file) => ({ ...file, text: bundles.get(file.path) ?? file.text }))
}

async function missingFolders(project: string): Promise<Change[]> {
  const missing = await Promise.all(
    OWN_FOLDERS.map(async (each) => {
      const isThere = await readdir(path.join(project, each.folder)).catch(() => undefined)
      return isThere ? [] : firstFiles(each)
    }),
  )
  return missing.flat().map((file) => ({ ...file, kind: 'create' }))
}

function changeOf({ path: file, text }: OurFile, current: string | undefined): Change | undefined {
  if (current === text) return undefined
  return { path: file, kind: current === undefined ? 'create' : 'change', text }
}

/** A file that is not as we wrote it is somebody's work. */
function conflictOf(
  { path: file, text }: OurFile,
  current: string | undefined,
  manifest: Manifest | undefined,
): string | undefined {
  if (current === undefined || current === text || isBundle(file)) return undefined
  const written = manifest?.files[file]
  if (written === checksum(current)) return undefined
  return written ? changedSince(file) : `${file} is there already, and is yours. Give it another name.`
}

/** What an earlier version had and this one has not, as long as nobody changed it. Migrations stay: databases have applied them. */
async function obsoleteFiles(
  project: string,
  manifest: Manifest | undefined,
  wanted: readonly OurFile[],
): Promise<Change[]> {
  const paths = new Set(wanted.map((file) => file.path))
  const old = Object.entries(manifest?.files ?? {}).filter(
    ([file]) => !paths.has(file) && !file.startsWith(`${MIGRATIONS}/`),
  )
  const found = await Promise.all(
    old.map(async ([file, written]) => {
      const text = await textOf(project, file)
      return text !== undefined && checksum(text) === written ? file : undefined
    }),
  )
  return found.flatMap((file) => (file ? [{ path: file, kind: 'delete' as const }] : []))
}

async function mergedVariables(project: string): Promise<Change[]> {
  const text = await textOf(project, VARIABLES)
  return mergedFile(VARIABLES, text, withOurVariables(text ?? ''))
}

function mergedFile(file: string, current: string | undefined, text: string): Change[] {
  const change = changeOf({ path: file, text }, current)
  return change ? [change] : []
}

async function manifestChange(
  project: string,
  chosen: Pick<Plan, 'schema'> & { mappings: readonly Mapping[]; migrations: Manifest['migrations'] },
  files: readonly OurFile[],
): Promise<Change[]> {
  const { version } = JSON.parse(await readFile(path.join(projectRoot, 'package.json'), 'utf8'))
  const manifest: Manifest = {
    version,
    schema: chosen.schema,
    migrations: chosen.migrations,
    mappings: [...chosen.mappings],
    files: Object.fromEntries(files.map((file) => [file.path, checksum(file.text)])),
  }
  const text = `${JSON.stringify(manifest, null, 2)}\n`
  return mergedFile(MANIFEST_FILE, await textOf(project, MANIFEST_FILE), text)
}
