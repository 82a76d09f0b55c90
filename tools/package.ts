import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { writePackage } from './package/write-package.ts'
import { projectRoot } from './project.ts'
import { runProgram } from './run-program.ts'

const HELP = `npm run package

Writes what is published to npm, compiled, into .local/package, and packs it into a .tgz in .local.`

await runCommand(
  withoutArguments(HELP, async () => {
    const place = path.join(projectRoot, '.local')
    const directory = path.join(place, 'package')
    await writePackage(directory)
    // Not within it: who publishes the directory would publish the .tgz too.
    const file = await runProgram('npm', ['pack', '--silent', '--pack-destination', place], {
      cwd: directory,
    })
    console.log(path.relative(process.cwd(), path.join(place, file.trim())))
    return 0
  }),
)
