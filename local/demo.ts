import { runCommand } from '../tools/command.ts'
import { runDemo } from './demo/run.ts'

await runCommand(runDemo)
