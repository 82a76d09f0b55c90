import { checksum, MANIFEST_FILE, readManifest } from '../install/manifest.ts'
import { renderedMigrations } from '../install/migrations.ts'
import { isBundle } from '../install/our-files.ts'
import { isNewest } from '../install/placed-migrations.ts'
import { textOf } from '../install/their-files.ts'
import { versionOf } from '../install/versions.ts'
import { type Finding, finding } from './finding.ts'

const AREA = 'files of init'
/** More names than these are no help. */
const SHOWN = 5

/**
 * Whether what `init` has put into a project is as it was, newest, and applied.
 * @param directory that of the project
 * @param applied migrations, as `version_name`; null where the project keeps no record of them
 * @returns nothing in a directory into which `init` has put nothing
 */
export async function fileFindings(directory: string, applied: readonly string[] | null): Promise<Finding[]> {
  const manifest = await readManifest(directory)
  if (!manifest) return []
  const files = Object.entries(manifest.files).filter(([file]) => !isBundle(file))
  const texts = await Promise.all(files.map(([file]) => textOf(directory, file)))
  const changed = files.flatMap(([file, written], index) => {
    const text = texts[index]
    return text !== undefined && checksum(text) === written ? [] : [file]
  })
  const migrations = [...new Set(Object.values(manifest.migrations).map(({ file }) => file))]
  const unapplied = migrations.filter(
    (file) => !applied?.some((each) => each.startsWith(`${versionOf(file)}_`)),
  )
  const newest = await renderedMigrations(manifest.schema)
  const isCurrent = isNewest(manifest, newest) && newest.every(({ name }) => name in manifest.migrations)
  return [
    finding(
      AREA,
      'as they were written',
      changed.length > 0 && `Changed or missing since: ${listed(changed)}.`,
      `all ${files.length}`,
      {
        fix: 'init cannot bring these up to date. Bring them back from version control, or keep your change elsewhere.',
      },
      'warning',
    ),
    finding(
      AREA,
      'version',
      !isCurrent && `${MANIFEST_FILE} is of another version than this program.`,
      `that of this program, in the schema ${manifest.schema}`,
      {
        fix: 'Bring the files up to it; it shows what it would write, and asks.',
        command: 'npm run tenants -- init',
      },
      'warning',
    ),
    finding(
      AREA,
      'migrations of this project',
      applied !== null && unapplied.length > 0 && `Not applied: ${listed(unapplied)}.`,
      applied === null ? 'the project keeps no record of them' : `all ${migrations.length} applied`,
      {
        fix: 'Apply them to the linked project (with version 2 of the Supabase CLI: --linked).',
        command: 'npx supabase db push --remote',
      },
    ),
  ]
}

const listed = (names: readonly string[]) =>
  names.length > SHOWN
    ? `${names.slice(0, SHOWN).join(', ')} and ${names.length - SHOWN} more`
    : names.join(', ')
