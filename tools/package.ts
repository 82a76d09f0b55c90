import path from 'node:path'
import { runCommand, withoutArguments } from './command.ts'
import { writePackage } from './package/write-package.ts'
import { projectRoot } from './project.ts'
import { runProgram } from './run-program.ts'

const HELP = `npm run package

Writes what is published to npm, compiled, into .local/package, and packs it into a .tgz there.`

await runCommand(
  withoutArguments(HELP, async () => {
    const directory = path.join(projectRoot, '.local/package')
    await writePackage(directory)
    const file = await runProgram('npm', ['pack', '--silent'], { cwd: directory })
    console.log(path.relative(process.cwd(), path.join(directory, file.trim())))
    return 0
  }),
)
