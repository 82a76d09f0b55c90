import { Command, CommanderError } from 'commander'
import { Interrupted, runCommand, stopRequest, UsageError } from '../local/command.ts'
import { maskSecrets } from '../shared/provisioning/failures.ts'
import { ProjectError } from './api.ts'
import { registerCommands } from './commands/index.ts'
import { Declined, type Define, exit, listed, Session } from './session.ts'

const INTRODUCTION =
  'Looks after the tenants of a project: the running local stack, or any project when SUPABASE_URL and SUPABASE_SECRET_KEY (or the legacy SUPABASE_SERVICE_ROLE_KEY) are set.'

const AFTERWORD = [
  listed('Exit codes', [
    ['0', 'done, or ready'],
    ['1', 'refused, failed, or the project cannot be reached'],
    ['2', 'wrong arguments'],
    ['3', 'the tenant is not ready'],
    ['4', 'doctor found problems'],
    ['130', 'interrupted'],
  ]),
  listed('With --json', [
    ['stdout', 'one JSON document (watch: one a line), or {"error": {code, message}}'],
    ['stderr', 'progress, questions and messages'],
  ]),
].join('\n')

await runCommand(async () => {
  const stop = stopRequest()
  let code: number = exit.fine
  const asked: { json: boolean; session?: Session } = { json: process.argv.includes('--json') }
  const define: Define = (command, action) =>
    command.option('--json', 'print JSON instead of text').action(async (...given: unknown[]) => {
      // Commander hands over the arguments, the options and the command. It knows no types: the action, which stands beside the
      // definition of its arguments, does.
      const args = given.slice(0, -1)
      const session = new Session(asked.json, stop)
      asked.session = session
      code = await action(session, ...(args as never))
    })
  const program = createProgram(define)
  try {
    await program.parseAsync()
    return code
  } catch (error) {
    if (error instanceof CommanderError) return usageFailure(error, program)
    return failure(error, asked)
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
function usageFailure(error: CommanderError, program: Command): number {
  if (error.exitCode === 0) return exit.fine
  // Without a command, its list has just been printed.
  if (error.code === 'commander.help') return exit.usage
  const meant = program.commands.find((command) => process.argv.slice(2).includes(command.name())) ?? program
  throw new UsageError(error.message.replace(/^error: /, ''), meant.helpInformation().trimEnd())
}

/** @returns the exit code @throws what is for runCommand to print */
function failure(error: unknown, { json, session }: { json: boolean; session?: Session }): number {
  if (error instanceof Interrupted || (session?.stop.aborted && !(error instanceof ProjectError))) {
    console.error(`\nInterrupted. ${session?.standing ?? 'Nothing was changed.'}`)
    return session?.stop.reason instanceof Interrupted ? session.stop.reason.exitCode : exit.interrupted
  }
  const told = maskSecrets(error instanceof Error ? error.message : String(error))
  if (json) {
    const { code, status } = error instanceof ProjectError ? error : { code: 'failed', status: null }
    console.log(JSON.stringify({ error: { code, message: told, status } }, null, 2))
  }
  if (error instanceof Declined) {
    console.error(told)
    return error.exitCode
  }
  if (process.env.DEBUG) console.error(error)
  throw new Error(told)
}
