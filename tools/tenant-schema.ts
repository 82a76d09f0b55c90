import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { projectRoot } from './project.ts'
import { bundleTenantSchema } from './tenant-schema/bundle.ts'

const HELP = `npm run tenant-schema

Writes shared/generated/tenant-schema-files.ts from tenant-schema/*.sql.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeFile(
      path.join(projectRoot, 'shared/generated/tenant-schema-files.ts'),
      await bundleTenantSchema(path.join(projectRoot, 'tenant-schema')),
    )
    console.log('shared/generated/tenant-schema-files.ts is up to date.')
    return 0
  }),
)
