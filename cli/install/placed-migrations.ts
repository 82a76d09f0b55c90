import { checksum, type Manifest } from './manifest.ts'
import { INSTALLED_PREFIX, type Migration } from './migrations.ts'
import type { OurFile } from './our-files.ts'
import { textOf } from './their-files.ts'
import { upgradeBetween } from './upgrade.ts'
import { versionsAfter, versionsIn } from './versions.ts'

export const MIGRATIONS = 'supabase/migrations'
/** The name that an upgrade has in the manifest. */
const UPGRADE = /^upgrade_\d+\.sql$/
const MAPPING = /^mapping_\d+\.sql$/
/** Those that are written for one project, and never otherwise. */
const OF_THE_PROJECT = /^(?:upgrade|mapping)_\d+\.sql$/

export interface PlacedMigrations {
  readonly files: readonly OurFile[]
  readonly manifest: Manifest['migrations']
  /** The file that brings a database of an earlier version up to this one. */
  readonly upgrade?: string
  readonly problems: readonly string[]
}

/** One that the project has. */
interface Known {
  readonly name: string
  readonly file: string
  /** As an earlier installation wrote it, or as somebody has left it. */
  readonly text: string | undefined
}

/**
 * Our migrations under the names that they have, or get, in the project. Those that it has stay as they are, because databases have
 * applied them: where this version has other texts, one more file brings such a database up to it. That one has what new files
 * make, too, because statements move from one file into another.
 * @param theirs versions of migrations that are not ours
 */
export async function placedMigrations(
  project: string,
  migrations: readonly Migration[],
  manifest: Manifest | undefined,
  theirs: readonly string[],
  now: Date,
): Promise<PlacedMigrations> {
  const known = await knownMigrations(project, migrations, manifest)
  const damaged = known.flatMap((each) => damageOf(each, manifest) ?? [])
  const added = migrations.filter(({ name }) => manifest?.migrations[name] === undefined)
  const { upgrade, problems } =
    damaged.length > 0 || isNewest(manifest, migrations)
      ? { upgrade: undefined, problems: damaged }
      : upgradeOf(known, migrations, added)
  const isInUpgrade = ({ name }: Migration) => upgrade !== undefined && !OF_THE_PROJECT.test(name)
  const made = [...(upgrade ? [upgrade] : []), ...added.filter((each) => !isInUpgrade(each))]
  const versions = versionsAfter([...theirs, ...versionsIn(known.map(({ file }) => file))], made.length, now)
  const placed = made.map(({ name, text }, index) => ({
    name,
    text,
    file: `${versions[index]}_${INSTALLED_PREFIX}${name.replace(/^\d+_/, '')}`,
  }))
  return {
    files: [...known, ...placed].flatMap(({ file, text }) =>
      text === undefined ? [] : [{ path: `${MIGRATIONS}/${file}`, text }],
    ),
    manifest: remembered(manifest, migrations, [
      ...placed,
      ...added.filter(isInUpgrade).map((each) => ({ ...each, file: placed[0]?.file ?? '' })),
    ]),
    ...(upgrade && placed[0] ? { upgrade: `${MIGRATIONS}/${placed[0].file}` } : {}),
    problems,
  }
}

/** Each file once. One that is missing is written again where this version would write what it was. */
async function knownMigrations(
  project: string,
  migrations: readonly Migration[],
  manifest: Manifest | undefined,
): Promise<Known[]> {
  const newest = new Map(migrations.map(({ name, text }) => [name, text]))
  const named = Object.entries(manifest?.migrations ?? {})
  const upgrades = new Set(named.flatMap(([name, { file }]) => (UPGRADE.test(name) ? [file] : [])))
  return Promise.all(
    named
      .filter(([name, { file }]) => UPGRADE.test(name) || !upgrades.has(file))
      .map(async ([name, { file }]) => {
        const text = newest.get(name)
        const isSame = text !== undefined && manifest?.files[`${MIGRATIONS}/${file}`] === checksum(text)
        return { name, file, text: isSame ? text : await textOf(project, `${MIGRATIONS}/${file}`) }
      }),
  )
}

/** What keeps a file from being the beginning of an upgrade. */
function damageOf({ file, text }: Known, manifest: Manifest | undefined): string | undefined {
  const path = `${MIGRATIONS}/${file}`
  if (text === undefined) return `${path} is missing. Bring it back from the version control of the project.`
  return manifest?.files[path] === checksum(text) ? undefined : changedSince(path)
}

export const changedSince = (file: string) =>
  `${file} was changed since it was written here. Bring it back as it was, or keep your change elsewhere.`

/** Whether the installation has been made, or upgraded, with these texts. Files that are new are not asked for. */
export function isNewest(manifest: Manifest | undefined, migrations: readonly Migration[]): boolean {
  const newest = new Map(migrations.map(({ name, text }) => [name, checksum(text)]))
  return Object.entries(manifest?.migrations ?? {}).every(
    ([name, { template }]) => OF_THE_PROJECT.test(name) || newest.get(name) === template,
  )
}

function upgradeOf(
  known: readonly Known[],
  migrations: readonly Migration[],
  added: readonly Migration[],
): { upgrade: Migration | undefined; problems: readonly string[] } {
  const inOrder = known.toSorted((one, other) => (one.file < other.file ? -1 : 1))
  const { text, problems } = upgradeBetween(
    inOrder.map((each) => each.text ?? ''),
    migrations.map((each) => each.text),
    added.filter(({ name }) => OF_THE_PROJECT.test(name)).map((each) => each.text),
    known.some(({ name }) => MAPPING.test(name)),
  )
  const number = known.filter(({ name }) => UPGRADE.test(name)).length + 1
  return { upgrade: text === undefined ? undefined : { name: `upgrade_${number}.sql`, text }, problems }
}

/** What the manifest says afterwards: of each file its name, and the checksum of the text that the database is at. */
function remembered(
  manifest: Manifest | undefined,
  migrations: readonly Migration[],
  placed: readonly (Migration & { readonly file: string })[],
): Manifest['migrations'] {
  const newest = new Map(migrations.map(({ name, text }) => [name, checksum(text)]))
  const known = Object.entries(manifest?.migrations ?? {}).map(([name, { file, template }]) => [
    name,
    { file, template: newest.get(name) ?? template },
  ])
  const made = placed.map(({ name, file, text }) => [name, { file, template: checksum(text) }])
  return Object.fromEntries([...known, ...made])
}
