import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { FAILURES, printFailureSentences } from './console/print-failures.ts'
import { printFailureCodes, withFailureTexts } from './failure-codes/print.ts'
import { projectRoot } from './project.ts'
import { printVerifyUser } from './verify-user/print.ts'

const MIGRATION = path.join(projectRoot, 'supabase/migrations/20260101000350_failures.sql')

const HELP = `npm run failure-codes

Writes docs/failure-codes.md, the texts in the migration of failures, the sentences of the console, and supabase/verify-user.sql.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeFile(path.join(projectRoot, 'docs/failure-codes.md'), printFailureCodes())
    await writeFile(MIGRATION, withFailureTexts(await readFile(MIGRATION, 'utf8')))
    // It has the remedies of all codes in it.
    await writeFile(path.join(projectRoot, 'supabase/verify-user.sql'), printVerifyUser())
    await writeFile(path.join(projectRoot, FAILURES), printFailureSentences())
    console.log(
      `docs/failure-codes.md, the texts in the migration of failures, ${FAILURES} and supabase/verify-user.sql are up to date.`,
    )
    return 0
  }),
)
