import { dim } from '../tools/command.ts'
import { printable } from '../tools/printable.ts'
import type { FunctionLogLine } from './gateway/functions/processes.ts'

/** What goes as it should need not be read while it goes. */
export const isTrouble = ({ text }: FunctionLogLine): boolean => !text.startsWith('{"level":"info"')

/** A line of a function's log for a terminal. Unexpected errors stand in it as they are, and with them the texts of others. */
export function logLine({ function: name, text }: FunctionLogLine): string {
  return dim(`[${name}] ${printable(text)}`)
}
