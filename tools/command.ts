import { constants } from 'node:os'
import { inspect, parseArgs } from 'node:util'

/** Ctrl-C in a terminal arrives once from the terminal and may arrive again from npm and tsx. */
const SAME_KEYPRESS_MS = 300

/** Somebody ended the command before it was done. */
export class Interrupted extends Error {
  readonly exitCode: number
  constructor(signal: NodeJS.Signals) {
    super('Interrupted; nothing is left running.')
    this.exitCode = 128 + constants.signals[signal]
  }
}

/** Wrong arguments. The message says which, and how the command is used. */
export class UsageError extends Error {
  readonly exitCode = 2
  constructor(problem: string, help: string) {
    super(`${problem}\n\n${help}`)
  }
}

/** The arguments as `parse` reads them. @throws UsageError where that throws */
export function parseUsage<T>(help: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error), help)
  }
}

/** A command that takes no arguments, and explains itself with --help instead of doing anything. */
export function withoutArguments(
  help: string,
  command: () => Promise<number | undefined>,
): () => Promise<number | undefined> {
  return async () => {
    const { values } = parseUsage(help, () =>
      parseArgs({ options: { help: { type: 'boolean', short: 'h' } } }),
    )
    if (!values.help) return command()
    console.log(help)
    return 0
  }
}

/** Where a command prints whole lines. */
export interface Output {
  /** What was asked for: standard output. */
  readonly result: (text: string) => void
  /** What is said beside it: standard error. */
  readonly note: (text: string) => void
}

export const consoleOutput: Output = {
  result: (text) => console.log(text),
  note: (text) => console.error(text),
}

/**
 * A command to its end: errors become one line on standard error and exit code 1 (wrong arguments: 2; a signal: 128 and its
 * number), never a stack trace.
 */
export async function exitCodeOf(
  command: () => Promise<number | undefined>,
  output: Output,
): Promise<{ code: number; interrupted: boolean }> {
  try {
    return { code: (await command()) ?? 0, interrupted: false }
  } catch (error) {
    output.note(error instanceof Error ? error.message : String(error))
    if (process.env.DEBUG) output.note(inspect(error))
    if (error instanceof Interrupted) return { code: error.exitCode, interrupted: true }
    return { code: error instanceof UsageError ? error.exitCode : 1, interrupted: false }
  }
}

/** The same, for a command that is the whole process. */
export async function runCommand(command: () => Promise<number | undefined>): Promise<void> {
  const { code, interrupted } = await exitCodeOf(command, consoleOutput)
  // What was interrupted may still be waiting for something.
  if (interrupted) process.exit(code)
  process.exitCode = code
}

/**
 * Takes over Ctrl-C and the signals of service managers. @returns a signal that the first one aborts, with Interrupted
 * as its reason. A second one ends the process at once: somebody does not want to wait.
 */
export function stopRequest(): AbortSignal {
  const request = new AbortController()
  let firstAt = 0
  const onSignal = (signal: NodeJS.Signals) => {
    const interrupted = new Interrupted(signal)
    if (!request.signal.aborted) {
      firstAt = performance.now()
      request.abort(interrupted)
    } else if (performance.now() - firstAt > SAME_KEYPRESS_MS) {
      console.error('Stopped at once.')
      process.exit(interrupted.exitCode)
    }
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  // A closed terminal, or `| head`, reads no more; what is being stopped must be stopped all the same.
  for (const output of [process.stdout, process.stderr]) output.on('error', () => undefined)
  return request.signal
}

/** True when somebody looks: colours and progress are for terminals only. */
export const onTerminal = Boolean(process.stdout.isTTY) && !process.env.NO_COLOR

const style = (code: number) => (text: string) => (onTerminal ? `\u001b[${code}m${text}\u001b[0m` : text)
export const bold = style(1)
export const dim = style(2)
export const green = style(32)
export const red = style(31)
export const yellow = style(33)
