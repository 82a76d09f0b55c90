import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'

const FILE = /^(\d{4})_[a-z0-9_]+\.sql$/

/** Source text of shared/generated/tenant-schema-files.ts for a folder of numbered SQL files. @throws Error when a name is off or a number is missing. */
export async function bundleTenantSchema(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  const files = await Promise.all(
    names.map(async (name, index) => {
      const version = Number(FILE.exec(name)?.[1])
      if (version !== index + 1)
        throw new Error(
          `${name}: files are named NNNN_what.sql and numbered from 0001 without gaps; expected ${index + 1} here`,
        )
      return { version, name, sql: await readFile(path.join(folder, name), 'utf8') }
    }),
  )
  const entries = files.map(
    ({ version, name, sql }) =>
      `  {\n    version: ${version},\n    name: '${name}',\n    sql: ${templateLiteral(sql)},\n  },\n`,
  )
  return [
    '// Written by `npm run tenant-schema` from tenant-schema/*.sql; edit those.\n',
    'export interface SchemaFile {\n  readonly version: number\n',
    '  /** NNNN_what.sql */\n  readonly name: string\n  readonly sql: string\n}\n\n',
    'export const tenantSchemaFiles: readonly SchemaFile[] = [\n',
    ...entries,
    ']\n',
  ].join('')
}

function templateLiteral(text: string): string {
  return `\`${text.replace(/[\\`]|\$\{/g, (match) => `\\${match}`)}\``
}
