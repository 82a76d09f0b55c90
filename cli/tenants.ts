import { Command, CommanderError } from 'commander'
import { maskSecrets } from '../shared/kernel/masking.ts'
import { Interrupted, runCommand, stopRequest, UsageError } from '../tools/command.ts'
import { printable } from '../tools/printable.ts'
import { ProjectError } from './api.ts'
import { registerCommands } from './commands/index.ts'
import { Declined, type Define, exit, listed, Session } from './session.ts'

const INTRODUCTION =
  'Looks after the tenants of a project: the running local stack, or any project when SUPABASE_URL and SUPABASE_SECRET_KEY (or the legacy SUPABASE_SERVICE_ROLE_KEY) are set.'

const AFTERWORD = [
  listed('Exit codes', [
    ['0', 'done, or ready'],
    ['1', 'refused, failed, nobody is found, or the project cannot be reached'],
    ['2', 'wrong arguments'],
    ['3', 'the tenant is not ready'],
    ['4', 'doctor found problems'],
    ['130', 'interrupted'],
  ]),
  listed('With --json', [
    ['stdout', 'one JSON document (watch: one a line), or {"error": {code, message, status}}'],
    ['stderr', 'progress, questions and messages'],
  ]),
].join('\n')

interface Invocation {
  readonly json: boolean
  session?: Session
}

await runCommand(async () => {
  const stop = stopRequest()
  let code: number = exit.fine
  const invocation: Invocation = { json: process.argv.includes('--json') }
  const define: Define = (command, action) =>
    command.option('--json', 'print JSON instead of text').action(async (...given: unknown[]) => {
      // Commander hands over the arguments, the options and the command. It knows no types: the action, which stands beside the
      // definition of its arguments, does.
      const args = given.slice(0, -1)
      const session = new Session(invocation.json, stop)
      invocation.session = session
      code = await action(session, ...(args as never))
    })
  const program = createProgram(define)
  try {
    await program.parseAsync()
    return code
  } catch (error) {
    if (error instanceof CommanderError) return usageFailure(error, program, invocation)
    return failure(error, invocation)
  }
})

function createProgram(define: Define): Command {
  const program = new Command('npm run tenants --')
    .description(INTRODUCTION)
    .usage('COMMAND [options]')
    .helpCommand('help [command]', 'explain a command')
    .addHelpText('after', AFTERWORD)
    .configureOutput({ outputError: () => undefined })
    .exitOverride()
  registerCommands(program, define)
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program)
  return program
}

/** @returns the exit code of help @throws UsageError with the help of the command that was meant */
function usageFailure(error: CommanderError, program: Command, invocation: Invocation): number {
  if (error.exitCode === 0) return exit.fine
  if (error.code === 'commander.help') {
    // The list of commands has just been printed.
    printError(invocation, 'usage', 'Which command?')
    return exit.usage
  }
  const problem = error.message.replace(/^error: /, '')
  printError(invocation, 'usage', problem)
  // The program itself has no option with a value: the first word is the command, any other may be its argument.
  const name = process.argv.slice(2).find((word) => !word.startsWith('-'))
  const meant = program.commands.find((command) => command.name() === name) ?? program
  throw new UsageError(problem, meant.helpInformation().trimEnd())
}

/** @returns the exit code @throws what is for runCommand to print */
function failure(error: unknown, invocation: Invocation): number {
  const { session } = invocation
  if (error instanceof Interrupted || (session?.stop.aborted && !(error instanceof ProjectError))) {
    const message = `Interrupted. ${session?.standing ?? 'Nothing was changed.'}`
    printError(invocation, 'interrupted', message)
    console.error(`\n${message}`)
    return session?.stop.reason instanceof Interrupted ? session.stop.reason.exitCode : exit.interrupted
  }
  const message = printable(maskSecrets(error instanceof Error ? error.message : String(error)))
  if (error instanceof ProjectError) printError(invocation, error.code, message, error.status)
  else printError(invocation, error instanceof Declined ? error.code : 'failed', message)
  if (error instanceof Declined) {
    console.error(message)
    return error.exitCode
  }
  if (process.env.DEBUG) console.error(error)
  throw new Error(message)
}

/** With --json a command that fails has a document too, on one line as the results of `watch`; never a second document. */
function printError(
  { json, session }: Invocation,
  code: string,
  message: string,
  status: number | null = null,
): void {
  if (json && !session?.printed) console.log(JSON.stringify({ error: { code, message, status } }))
}
