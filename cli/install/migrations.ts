import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from '../../tools/project.ts'
import { renderFile, TEMPLATE_SCHEMA } from './render-schema.ts'

const FOLDER = 'supabase/migrations'
const FOUNDATION = '20260101000000_foundation.sql'
/** After the check of names in the foundation, and before the first table. */
const OWN_SCHEMA = '20260101000050_own_schema.sql'

/** What the name of a migration begins with in the project, after its version. */
export const INSTALLED_PREFIX = 'tenant_provisioning_'

/** A migration of ours, written for one schema. */
export interface Migration {
  /** Of the file, with its version. */
  readonly name: string
  readonly text: string
}

/** Our migrations for a schema, in the order in which they are applied; one that is not `public` is made by a migration of its own. */
export async function renderedMigrations(schema: string): Promise<Migration[]> {
  const names = (await readdir(path.join(projectRoot, FOLDER))).filter((name) => name.endsWith('.sql'))
  const sources = new Map(names.map((name) => [name, path.join(projectRoot, FOLDER, name)]))
  if (schema !== TEMPLATE_SCHEMA)
    sources.set(OWN_SCHEMA, path.join(projectRoot, 'cli/install/own-schema.sql'))
  return Promise.all(
    [...sources]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(async ([name, source]) => ({
        name,
        text: renderFile(`${FOLDER}/${name}`, await readFile(source, 'utf8'), schema),
      })),
  )
}

/** The first of them, which looks before anything is made. */
export async function foundationFor(schema: string): Promise<string> {
  const file = `${FOLDER}/${FOUNDATION}`
  return renderFile(file, await readFile(path.join(projectRoot, file), 'utf8'), schema)
}
