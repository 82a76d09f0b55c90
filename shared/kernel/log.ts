import { AsyncLocalStorage } from 'node:async_hooks'
import { currentRequestId } from './http/request-id.ts'
import { maskSecrets } from './masking.ts'

type Level = 'info' | 'warn' | 'error'

/** Ids, codes and names of ours: never a text of somebody else, which only `error` may have. */
export type LogFields = Readonly<Record<string, string | number | readonly string[] | undefined>>

const context = new AsyncLocalStorage<LogFields>()

/** Does a piece of work, about which every line of the log has these fields, wherever in it the line is written. */
export function withLogFields<T>(fields: LogFields, work: () => T): T {
  return context.run({ ...context.getStore(), ...fields }, work)
}

/**
 * The functions' log: a line of JSON each, with level, message, what the work is about (`trace` is the id of the job, `request` that
 * of the request or ring in which it is done), and the fields that are given. Of an error there are name, code, message and place,
 * without secrets and cut to a length.
 */
export const log = {
  info: (message: string, fields: LogFields = {}) => write('info', message, fields),
  warn: (message: string, fields: LogFields = {}, error?: unknown) => write('warn', message, fields, error),
  error: (message: string, fields: LogFields = {}, error?: unknown) => write('error', message, fields, error),
}

function write(level: Level, message: string, fields: LogFields, error?: unknown): void {
  const line = { level, message, request: currentRequestId(), ...context.getStore(), ...fields }
  console[level](JSON.stringify(error === undefined ? line : { ...line, error: described(error) }))
}

/** How many errors are told that caused one another. */
const CAUSES = 3

function described(error: unknown, depth = 1): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: maskSecrets(String(error)) }
  const frames = (error.stack ?? '').split('\n').filter((line) => /^\s+at /.test(line))
  return {
    name: error.name,
    ...('code' in error ? { code: maskSecrets(String(error.code)) } : {}),
    message: maskSecrets(error.message),
    at: maskSecrets(frames.map((frame) => frame.trim().slice(3)).join(', ')),
    ...(error.cause !== undefined && depth < CAUSES ? { cause: described(error.cause, depth + 1) } : {}),
  }
}
