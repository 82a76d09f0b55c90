import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { bundleN8nTemplates } from './n8n-templates/bundle.ts'
import { projectRoot } from './project.ts'

const HELP = `npm run n8n-templates

Writes shared/generated/n8n-templates.ts from n8n-templates/*.json.`

await runCommand(
  withoutArguments(HELP, async () => {
    await writeFile(
      path.join(projectRoot, 'shared/generated/n8n-templates.ts'),
      await bundleN8nTemplates(path.join(projectRoot, 'n8n-templates')),
    )
    console.log('shared/generated/n8n-templates.ts is up to date.')
    return 0
  }),
)
