const VERSION = /^(\d+)_.+\.sql$/

/** The version in a migration's file name; undefined when the Supabase CLI would not take the file for a migration. */
export const versionOf = (file: string): string | undefined => VERSION.exec(file)?.[1]

export const versionsIn = (files: Iterable<string>): string[] =>
  [...files].flatMap((name) => versionOf(name) ?? [])

/**
 * New versions, in order, for files that come after all others of a project: the time and the seconds after it, or the seconds
 * after the newest version where that is later. The Supabase CLI orders versions as texts.
 * @param taken versions of the project
 * @throws Error when nothing can come after the newest one
 */
export function versionsAfter(taken: readonly string[], count: number, now: Date): string[] {
  const newest = taken.toSorted().at(-1) ?? ''
  const present = timeVersion(now)
  const versions = Array.from({ length: count }, (_, index) =>
    present > newest ? timeVersion(new Date(now.getTime() + index * 1000)) : after(newest, index + 1),
  )
  const inOrder = versions.every((version, index) => version > (versions[index - 1] ?? newest))
  if (!inOrder)
    throw new Error(
      `The project's newest migration has the version ${newest}, after which there is no place for ${count} more. Give it an earlier one.`,
    )
  return versions
}

function timeVersion(time: Date): string {
  return time.toISOString().replace(/\D/g, '').slice(0, 14)
}

function after(version: string, steps: number): string {
  const iso = version.replace(/^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/, '$1-$2-$3T$4:$5:$6Z')
  const time = Date.parse(iso)
  // People also number their files, or make up times that do not exist.
  if (iso === version || Number.isNaN(time))
    return String(BigInt(version) + BigInt(steps)).padStart(version.length, '0')
  return timeVersion(new Date(time + steps * 1000))
}
