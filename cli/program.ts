import { inspect } from 'node:util'
import { Command, CommanderError } from 'commander'
import { maskSecrets } from '../shared/kernel/masking.ts'
import { Interrupted, type Output, UsageError } from '../tools/command.ts'
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

/** A command line to carry out, and where: a process gives its own, a test others. */
export interface Invocation {
  readonly args: readonly string[]
  readonly environment: NodeJS.ProcessEnv
  /** Takes whole lines. */
  readonly output: Output
  /** Aborted by Ctrl-C. */
  readonly stop: AbortSignal
}

/** What failed, beside the invocation: whether a document was wanted, and the session when there is one already. */
interface Run extends Invocation {
  readonly json: boolean
  session?: Session
}

/** @returns the exit code @throws Error to be printed as one line, UsageError with the help of a command */
export async function runTenants(invocation: Invocation): Promise<number> {
  let code: number = exit.fine
  const run: Run = { ...invocation, json: invocation.args.includes('--json') }
  const define: Define = (command, action) =>
    command.option('--json', 'print JSON instead of text').action(async (...given: unknown[]) => {
      // Commander hands over the arguments, the options and the command. It knows no types: the action, which stands beside the
      // definition of its arguments, does.
      const args = given.slice(0, -1)
      const session = new Session(run)
      run.session = session
      code = await action(session, ...(args as never))
    })
  const program = createProgram(define, run.output)
  try {
    await program.parseAsync(run.args, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return usageFailure(error, program, run)
    return failure(error, run)
  }
}

function createProgram(define: Define, output: Output): Command {
  const program = new Command('npm run tenants --')
    .description(INTRODUCTION)
    .usage('COMMAND [options]')
    .helpCommand('help [command]', 'explain a command')
    .addHelpText('after', AFTERWORD)
    .configureOutput({
      writeOut: (text) => output.result(text.replace(/\n$/, '')),
      writeErr: (text) => output.note(text.replace(/\n$/, '')),
      outputError: () => undefined,
    })
    .exitOverride()
  registerCommands(program, define)
  for (const command of program.commands) command.exitOverride().copyInheritedSettings(program)
  return program
}

/** @returns the exit code of help @throws UsageError with the help of the command that was meant */
function usageFailure(error: CommanderError, program: Command, run: Run): number {
  if (error.exitCode === 0) return exit.fine
  if (error.code === 'commander.help') {
    // The list of commands has just been printed.
    printError(run, 'usage', 'Which command?')
    return exit.usage
  }
  const problem = error.message.replace(/^error: /, '')
  printError(run, 'usage', problem)
  // The program itself has no option with a value: the first word is the command, any other may be its argument.
  const name = run.args.find((word) => !word.startsWith('-'))
  const meant = program.commands.find((command) => command.name() === name) ?? program
  throw new UsageError(problem, meant.helpInformation().trimEnd())
}

/** @returns the exit code @throws what is for runCommand to print */
function failure(error: unknown, run: Run): number {
  const { session, output, environment } = run
  if (error instanceof Interrupted || (session?.stop.aborted && !(error instanceof ProjectError))) {
    const message = `Interrupted. ${session?.standing ?? 'Nothing was changed.'}`
    printError(run, 'interrupted', message)
    output.note(`\n${message}`)
    return session?.stop.reason instanceof Interrupted ? session.stop.reason.exitCode : exit.interrupted
  }
  const message = printable(maskSecrets(error instanceof Error ? error.message : String(error)))
  if (error instanceof ProjectError) printError(run, error.code, message, error.status)
  else printError(run, error instanceof Declined ? error.code : 'failed', message)
  if (error instanceof Declined) {
    output.note(message)
    return error.exitCode
  }
  if (environment.DEBUG) output.note(inspect(error))
  throw new Error(message)
}

/** With --json a command that fails has a document too, on one line as the results of `watch`; never a second document. */
function printError(
  { json, session, output }: Run,
  code: string,
  message: string,
  status: number | null = null,
): void {
  if (json && !session?.printed) output.result(JSON.stringify({ error: { code, message, status } }))
}
