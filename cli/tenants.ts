import { consoleOutput, runCommand, stopRequest } from '../tools/command.ts'
import { runTenants } from './program.ts'

await runCommand(() =>
  runTenants({
    args: process.argv.slice(2),
    environment: process.env,
    output: consoleOutput,
    stop: stopRequest(),
  }),
)
