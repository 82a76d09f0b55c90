import { runCommand, withoutArguments } from '../tools/command.ts'
import { runDemo } from './demo/run.ts'

const HELP = `npm run demo

Shows the main job from beginning to end, on a local stack of its own: a sign-up, its steps, what its user sees, the
database, and what happens when calls get lost and a database falls ill. It takes about a minute, makes nothing at the
real services, and leaves nothing behind.`

await runCommand(withoutArguments(HELP, runDemo))
