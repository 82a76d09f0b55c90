import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { printApiDocs, printApiSchema } from './api-docs/print.ts'
import { runCommand } from './command.ts'
import { projectRoot } from './project.ts'

await runCommand(async () => {
  await writeFile(path.join(projectRoot, 'shared/generated/schema.graphql'), printApiSchema())
  await writeFile(path.join(projectRoot, 'docs/api.md'), printApiDocs())
  console.log('shared/generated/schema.graphql and docs/api.md are up to date.')
  return 0
})
