import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { localDirectory, makeLocal } from './local-directory.ts'
import { writePackage } from './package/write-package.ts'
import { runProgram } from './run-program.ts'

const HELP = `npm run package

Writes what is published to npm, compiled, into .local/package, and packs it into a .tgz in .local.`

await runCommand(
  withoutArguments(HELP, async () => {
    const directory = path.join(localDirectory, 'package')
    await makeLocal(directory)
    await writePackage(directory)
    // Not within it: who publishes the directory would publish the .tgz too.
    const file = await runProgram('npm', ['pack', '--silent', '--pack-destination', localDirectory], {
      cwd: directory,
    })
    console.log(path.relative(process.cwd(), path.join(localDirectory, file.trim())))
    return 0
  }),
)
