import { runCommand } from './command.ts'
import { runDemo } from './demo/run.ts'

await runCommand(runDemo)
