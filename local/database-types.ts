import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand } from './command.ts'
import { generateDatabaseTypes } from './postgres/database-types.ts'
import { withThrowawayDatabase } from './postgres/throwaway.ts'
import { projectRoot } from './project.ts'

await runCommand(async () => {
  const types = await withThrowawayDatabase(generateDatabaseTypes)
  await writeFile(path.join(projectRoot, 'shared/database/types.ts'), types)
  console.log('shared/database/types.ts is up to date.')
  return 0
})
