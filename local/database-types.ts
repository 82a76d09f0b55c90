import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from '../tools/command.ts'
import { projectRoot } from '../tools/project.ts'
import { generateDatabaseTypes } from './postgres/database-types.ts'
import { withThrowawayDatabase } from './postgres/throwaway.ts'

const HELP = `npm run types

Writes shared/generated/database-types.ts, from a fresh database with all migrations.`

await runCommand(
  withoutArguments(HELP, async () => {
    const types = await withThrowawayDatabase(generateDatabaseTypes)
    await writeFile(path.join(projectRoot, 'shared/generated/database-types.ts'), types)
    console.log('shared/generated/database-types.ts is up to date.')
    return 0
  }),
)
