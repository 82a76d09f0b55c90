import { foundationFor } from './migrations.ts'
import { TEMPLATE_SCHEMA } from './render-schema.ts'

/** Relations, indexes and functions that our migrations make in the schema, read from the check of names that the first of them does. */
export async function ourNames(): Promise<string[]> {
  return (await nameLists()).flatMap(({ names }) => names)
}

/** Those that are tables. */
export async function ourTables(): Promise<string[]> {
  return (await nameLists()).flatMap(({ of, names }) => (of === 'relations' ? names : []))
}

async function nameLists(): Promise<{ of: string; names: string[] }[]> {
  const foundation = await foundationFor(TEMPLATE_SCHEMA)
  const lists = [...foundation.matchAll(/v_(relations|indexes|functions) text\[\] := array\[([^\]]+)\]/g)]
  if (lists.length !== 3) throw new Error('The first migration does not have its lists of names.')
  return lists.map(([, of = '', list = '']) => ({
    of,
    names: [...list.matchAll(/'(\w+)'/g)].map(([, name = '']) => name),
  }))
}

const NAME = String.raw`(?:if\s+(?:not\s+)?exists\s+)?(?:"?(?<schema>\w+)"?\s*\.\s*)?"?(?<name>\w+)"?`
const MADE = String.raw`(?:table|(?:materialized\s+)?view|type|domain|function|procedure)`
const KIND = `(?:index|${MADE})`
const STATEMENT = new RegExp(
  [
    String.raw`\bcreate\s+(?:or\s+replace\s+)?(?:unlogged\s+)?(?<made>${MADE})\s+${NAME}`,
    // An index is in the schema of its table.
    String.raw`\bcreate\s+(?:unique\s+)?(?<index>index)\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?"?(?<name>\w+)"?\s+on\s+(?:only\s+)?(?:"?(?<schema>\w+)"?\s*\.)?`,
    String.raw`\bdrop\s+(?<dropped>${KIND})\s+${NAME}`,
    String.raw`\balter\s+(?<altered>${KIND})\s+(?:only\s+)?${NAME}\s*(?:\([^)]*\)\s*)?(?:rename\s+to\s+"?(?<renamed>\w+)"?|set\s+schema\s+\w+)`,
  ]
    .map((pattern, index) =>
      pattern.replaceAll('?<schema>', `?<schema${index}>`).replaceAll('?<name>', `?<name${index}>`),
    )
    .join('|'),
  'gi',
)

/**
 * Which of the names the migrations of a project, in order, leave behind in a schema. It reads texts and no database: what was
 * made by hand, or by a statement that a function puts together, it does not see.
 */
export function namesMadeIn(
  schema: string,
  migrations: readonly string[],
  names: readonly string[],
): string[] {
  const wanted = new Set(names)
  const made = new Set<string>()
  for (const migration of migrations)
    for (const { groups = {} } of withoutComments(migration).matchAll(STATEMENT)) {
      const name = groups.name0 ?? groups.name1 ?? groups.name2 ?? groups.name3 ?? ''
      // A name without a schema is made in the first of the search path, which is `public` as the platform has it.
      if (
        (
          groups.schema0 ??
          groups.schema1 ??
          groups.schema2 ??
          groups.schema3 ??
          TEMPLATE_SCHEMA
        ).toLowerCase() !== schema
      )
        continue
      if (groups.made ?? groups.index) made.add(name)
      else made.delete(name)
      if (groups.renamed) made.add(groups.renamed)
    }
  return [...made].filter((name) => wanted.has(name)).sort()
}

const withoutComments = (sql: string) => sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' ')
