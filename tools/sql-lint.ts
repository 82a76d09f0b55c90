import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from './command.ts'
import { projectRoot } from './project.ts'
import { lintSql } from './sql-lint/lint.ts'

/** What people write. The stand-ins for extensions are left out, because they have the names of the real ones. */
const FOLDERS = ['supabase/migrations', 'tenant-schema', 'tenant-schema/examples']

await runCommand(async () => {
  const files = (await Promise.all(FOLDERS.map(sqlFiles))).flat().sort()
  const findings = (
    await Promise.all(
      files.map(async (file) => lintSql(file, await readFile(path.join(projectRoot, file), 'utf8'))),
    )
  ).flat()
  for (const { file, line, message } of findings) console.error(`${file}:${line}: ${message}`)
  if (findings.length === 0) console.log(`Checked ${files.length} SQL files. Nothing was found.`)
  return findings.length === 0 ? 0 : 1
})

async function sqlFiles(folder: string): Promise<string[]> {
  const names = await readdir(path.join(projectRoot, folder))
  return names.filter((name) => name.endsWith('.sql')).map((name) => `${folder}/${name}`)
}
