import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { printApiDocs, printApiSchema } from './api-docs/print.ts'
import { printResolverTypes } from './api-docs/resolver-types.ts'
import { runCommand } from './command.ts'
import { projectRoot } from './project.ts'

await runCommand(async () => {
  await writeFile(path.join(projectRoot, 'shared/generated/schema.graphql'), printApiSchema())
  await writeFile(path.join(projectRoot, 'docs/api.md'), printApiDocs())
  await writeFile(path.join(projectRoot, 'shared/generated/resolver-types.ts'), await printResolverTypes())
  console.log('schema.graphql and resolver-types.ts in shared/generated, and docs/api.md are up to date.')
  return 0
})
