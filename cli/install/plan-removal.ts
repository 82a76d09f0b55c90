import { readFunctionNames } from '../doctor/migrations.ts'
import { withoutOurConfig } from './config-toml.ts'
import { ourSecretsIn, withoutOurVariables } from './env-example.ts'
import { checksum, MANIFEST_FILE, type Manifest, readManifest } from './manifest.ts'
import { IMPORT_MAP, isBundle } from './our-files.ts'
import type { Change } from './plan.ts'
import { CONFIG, textOf, VARIABLES } from './their-files.ts'

export interface Removal {
  readonly manifest: Manifest
  readonly changes: readonly Change[]
  /** Files that were changed since they were written: they stay. */
  readonly kept: readonly string[]
  /** What removes the functions and secrets that are deployed. Functions that were changed are somebody's work and stay. */
  readonly commands: readonly string[]
}

/** What of our files goes from a project. It changes nothing. @throws Error when `init` has not put any there */
export async function planRemoval(project: string): Promise<Removal> {
  const manifest = await readManifest(project)
  if (!manifest)
    throw new Error(
      `${project} has no ${MANIFEST_FILE}: init has put nothing there that could be taken away.`,
    )
  const files = await Promise.all(
    Object.entries(manifest.files).map(async ([file, written]) => ({
      file,
      written,
      text: await textOf(project, file),
    })),
  )
  const there = files.filter(({ text }) => text !== undefined)
  const isOurs = ({ file, written, text = '' }: (typeof there)[number]) =>
    isBundle(file) || checksum(text) === written
  const config = await textOf(project, CONFIG)
  const wanted = { schema: manifest.schema, functions: await readFunctionNames(), importMap: IMPORT_MAP }
  const variables = await textOf(project, VARIABLES)
  const kept = there.filter((file) => !isOurs(file)).map(({ file }) => file)
  return {
    manifest,
    changes: [
      ...there.filter(isOurs).map(({ file }) => ({ path: file, kind: 'delete' as const })),
      ...changed(CONFIG, config, config && withoutOurConfig(config, wanted)),
      ...changed(VARIABLES, variables, variables && withoutOurVariables(variables)),
      { path: MANIFEST_FILE, kind: 'delete' },
    ],
    kept,
    commands: undeploying(
      wanted.functions.filter((name) => !kept.some((file) => file.startsWith(`supabase/functions/${name}/`))),
      ourSecretsIn(variables ?? ''),
    ),
  }
}

/** The Supabase CLI deletes one function at a time, and takes many secrets. */
const undeploying = (functions: readonly string[], secrets: readonly string[]): string[] => [
  ...functions.map((name) => `npx supabase functions delete ${name}`),
  ...(secrets.length > 0 ? [`npx supabase secrets unset ${secrets.join(' ')}`] : []),
]

function changed(file: string, before: string | undefined, after: string | undefined): Change[] {
  if (before === undefined || after === undefined || before === after) return []
  return after === '' ? [{ path: file, kind: 'delete' }] : [{ path: file, kind: 'change', text: after }]
}
