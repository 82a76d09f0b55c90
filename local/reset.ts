import { rm } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { runCommand } from './command.ts'
import { stackDirectory } from './directories.ts'
import { exists } from './postgres/binaries.ts'
import { reachableDirectory, refuseSecondServer } from './postgres/server.ts'

const HELP = `npm run reset [-- --yes | --dry-run]

Deletes the local stack's database, keys and provider state, so that the next start begins anew.
Asks first when run in a terminal.

  --yes       do not ask
  --dry-run   only say what would be deleted`

await runCommand(async () => {
  const { values } = parseArgs({
    options: {
      yes: { type: 'boolean' },
      'dry-run': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  })
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const directories = [...new Set([stackDirectory, await reachableDirectory(stackDirectory)])]
  const present = []
  for (const directory of directories) if (await exists(directory)) present.push(directory)
  for (const directory of present) await refuseSecondServer(path.join(directory, 'data'))
  if (values['dry-run']) {
    console.log(`Would delete ${present.join(' and ')}.`)
    return 0
  }
  if (process.stdin.isTTY && !values.yes && !(await confirmed(present))) {
    console.log('Nothing was deleted.')
    return 1
  }
  for (const directory of present) await rm(directory, { recursive: true, force: true })
  console.log('The local stack is reset; `npm start` begins anew.')
  return 0
})

async function confirmed(directories: readonly string[]): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question(`Delete ${directories.join(' and ')}? [y/N] `)
  terminal.close()
  return /^y(es)?$/i.test(answer.trim())
}
