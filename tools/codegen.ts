import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { GENERATED, printOperations } from './console/print-operations.ts'
import { printRegistry, REGISTRY } from './console/registry.ts'
import { projectRoot } from './project.ts'

const HELP = `npm run codegen

Writes the types and texts of the console's operations, from console/operations.graphql and the schema, and registry.json, of
which shadcn takes the components.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeFile(path.join(projectRoot, GENERATED), await printOperations())
    await writeFile(path.join(projectRoot, REGISTRY), await printRegistry())
    console.log(`${GENERATED} and ${REGISTRY} are up to date.`)
    return 0
  }),
)
