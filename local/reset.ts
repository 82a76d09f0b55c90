import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { parseUsage, runCommand } from '../tools/command.ts'
import { readConfiguration } from '../tools/configuration.ts'
import { stackDirectory } from '../tools/stack-directory.ts'
import { refuseWhileRunning, stopOrphanedPostgres } from './directories.ts'
import { exists } from './postgres/binaries.ts'
import { reachableDirectory } from './postgres/server.ts'

const HELP = `npm run reset [-- --yes | --dry-run]

Deletes the local stack's database, keys and provider state, so that the next start begins anew.
Asks first when run in a terminal.

  --yes       do not ask
  --dry-run   only say what would be deleted`

await runCommand(async () => {
  const { values } = parseUsage(HELP, () =>
    parseArgs({
      options: {
        yes: { type: 'boolean' },
        'dry-run': { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }),
  )
  if (values.help) {
    console.log(HELP)
    return 0
  }
  const directory = stackDirectory(await readConfiguration())
  if (!(await exists(directory))) {
    console.log(`There is nothing to delete: ${directory} does not exist.`)
    return 0
  }
  const directories = [...new Set([directory, await reachableDirectory(directory)])]
  await refuseWhileRunning(directory)
  if (values['dry-run']) {
    console.log(`Would delete ${directories.join(' and ')}.`)
    return 0
  }
  if (process.stdin.isTTY && !values.yes && !(await confirmed(directories))) {
    console.log('\nNothing was deleted.')
    return 1
  }
  await stopOrphanedPostgres(directory)
  for (const each of directories) await rm(each, { recursive: true, force: true })
  console.log('The local stack is reset; `npm start` begins anew.')
  return 0
})

/** Whether the answer is yes. Ctrl-C and Ctrl-D are answers, too, and mean no. */
async function confirmed(directories: readonly string[]): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    const answer = await Promise.race([
      terminal.question(`Delete ${directories.join(' and ')}? [y/N] `).catch(() => ''),
      once(terminal, 'close').then(() => ''),
    ])
    return /^y(es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}
