import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { projectRoot } from './project.ts'
import { printVerifyUser } from './verify-user/print.ts'

const HELP = `npm run verify-user

Writes supabase/verify-user.sql.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeFile(path.join(projectRoot, 'supabase/verify-user.sql'), printVerifyUser())
    console.log('supabase/verify-user.sql is up to date.')
    return 0
  }),
)
