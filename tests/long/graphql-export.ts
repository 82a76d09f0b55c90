/** Makes the export of the newest version of the tenant schema anew, and compares it with what is committed. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { exportNewest } from '../../local/tenant-graphql/export.ts'
import { projectRoot } from '../../tools/project.ts'

const stale: string[] = []
for (const { path: file, text } of await exportNewest()) {
  const committed = await readFile(path.join(projectRoot, file), 'utf8').catch(() => undefined)
  if (committed !== text) stale.push(file)
}
for (const file of stale) console.error(`${file} is not what npm run tenant-graphql writes.`)
process.exitCode = stale.length === 0 ? 0 : 1
