import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from './command.ts'
import { projectRoot } from './project.ts'
import { printVerifyUser } from './verify-user/print.ts'

await runCommand(async () => {
  await writeFile(path.join(projectRoot, 'supabase/verify-user.sql'), printVerifyUser())
  console.log('supabase/verify-user.sql is up to date.')
  return 0
})
