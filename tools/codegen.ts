import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { GENERATED, printOperations } from './console/print-operations.ts'
import { projectRoot } from './project.ts'

const HELP = `npm run codegen

Writes the types and texts of the console's operations, from console/operations.graphql and the schema.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeFile(path.join(projectRoot, GENERATED), await printOperations())
    console.log(`${GENERATED} is up to date.`)
    return 0
  }),
)
