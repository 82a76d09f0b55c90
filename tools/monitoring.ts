import { mkdir, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { MONITORING_FILES } from './monitoring/files.ts'
import { projectRoot } from './project.ts'

const HELP = `npm run monitoring

Writes the alert rules of Prometheus, the dashboard of Grafana, and docs/alerts.md.`

await runCommand(
  withoutArguments(HELP, async () => {
    for (const [name, print] of Object.entries(MONITORING_FILES)) {
      await mkdir(path.dirname(path.join(projectRoot, name)), { recursive: true })
      await writeFile(path.join(projectRoot, name), print())
    }
    console.log(`${Object.keys(MONITORING_FILES).join(', ')} are up to date.`)
    return 0
  }),
)
