import { runCommand, withoutArguments } from '../tools/command.ts'
import { projectRoot } from '../tools/project.ts'
import { exportNewest, writeExports } from './tenant-graphql/export.ts'

const HELP = `npm run tenant-graphql

Writes the GraphQL schema of the newest version of tenant-schema/ as code (shared/generated/tenant-graphql) and as SDL
(tenant-schema/generated). Exports of older versions stay, as long as functions serve tenants that are so far behind.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeExports(projectRoot, await exportNewest())
    console.log('shared/generated/tenant-graphql and tenant-schema/generated are up to date.')
    return 0
  }),
)
