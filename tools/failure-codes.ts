import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from './command.ts'
import { printFailureCodes, withFailureTexts } from './failure-codes/print.ts'
import { projectRoot } from './project.ts'

const MIGRATION = path.join(projectRoot, 'supabase/migrations/20260101000350_failures.sql')

await runCommand(async () => {
  await writeFile(path.join(projectRoot, 'docs/failure-codes.md'), printFailureCodes())
  await writeFile(MIGRATION, withFailureTexts(await readFile(MIGRATION, 'utf8')))
  console.log('docs/failure-codes.md and the texts in the migration of failures are up to date.')
  return 0
})
