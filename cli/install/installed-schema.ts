import { readFileSync } from 'node:fs'
import { MANIFEST_FILE } from './manifest.ts'
import { TEMPLATE_SCHEMA } from './render-schema.ts'

/**
 * Where the project in whose directory this runs has our tables. The commands of the package take the place of the constant in
 * shared/kernel/database/schema.ts by this, since one package serves projects with different schemas.
 */
export function installedSchema(directory = '.'): string {
  try {
    const { schema } = JSON.parse(readFileSync(`${directory}/${MANIFEST_FILE}`, 'utf8'))
    return typeof schema === 'string' ? schema : TEMPLATE_SCHEMA
  } catch {
    return TEMPLATE_SCHEMA
  }
}
