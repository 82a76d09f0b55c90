import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { printApiDocs, printApiSchema } from './api-docs/print.ts'
import { printResolverTypes } from './api-docs/resolver-types.ts'
import { runCommand, withoutArguments } from './command.ts'
import { projectRoot } from './project.ts'

const HELP = `npm run api-docs

Writes docs/api.md, and the schema and types of the GraphQL API in shared/generated.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeFile(path.join(projectRoot, 'shared/generated/schema.graphql'), printApiSchema())
    await writeFile(path.join(projectRoot, 'docs/api.md'), printApiDocs())
    await writeFile(path.join(projectRoot, 'shared/generated/resolver-types.ts'), await printResolverTypes())
    console.log('schema.graphql and resolver-types.ts in shared/generated, and docs/api.md are up to date.')
    return 0
  }),
)
