import type postgres from 'postgres'
import { z } from 'zod'
import { Refusal, type Reply } from '../exchange.ts'

/** A refusal in PostgREST's shape: `{code, message, details, hint}`. */
export class RestError extends Refusal {
  constructor(
    status: number,
    code: string,
    message: string,
    details: string | null | readonly Readonly<Record<string, string>>[] = null,
    hint: string | null = null,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(status, { code, message, details, hint }, headers)
  }
}

export function badRequest(message: string, details: string | null = null): RestError {
  return new RestError(400, 'PGRST100', message, details)
}

/** What real PostgREST can do and this stand-in cannot. */
export function notImplemented(what: string): RestError {
  return new RestError(
    501,
    'LOCAL_NOT_IMPLEMENTED',
    `The local stack's Data API does not support ${what}`,
    'It stands in for PostgREST, of which it has the part that supabase-js uses most.',
    'Put a `postgrest` executable on the PATH and start again: the local stack then uses it.',
  )
}

/** The database's refusal as PostgREST reports it. */
export function databaseErrorReply(error: postgres.PostgresError, role: string): Reply {
  if (error.code === 'PGRST') return raisedReply(error)
  const status = statusOf(error, role)
  return {
    status,
    ...(status === 401 ? { headers: { 'www-authenticate': 'Bearer' } } : {}),
    body: {
      code: error.code,
      message: error.message,
      details: error.detail ?? null,
      hint: error.hint ?? null,
    },
  }
}

const raisedMessage = z.object({
  code: z.string(),
  message: z.string(),
  details: z.string().nullable().default(null),
  hint: z.string().nullable().default(null),
})
const raisedDetail = z.object({ status: z.number().int(), headers: z.record(z.string(), z.string()) })

/** `raise sqlstate 'PGRST'`: message and detail are JSON and decide the whole reply. */
function raisedReply(error: postgres.PostgresError): Reply {
  const message = raisedMessage.safeParse(jsonOf(error.message))
  const detail = raisedDetail.safeParse(jsonOf(error.detail ?? ''))
  if (message.success && detail.success)
    return { status: detail.data.status, headers: detail.data.headers, body: message.data }
  const [part, text] = message.success ? ['DETAIL', error.detail] : ['MESSAGE', error.message]
  const hint = message.success
    ? "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'."
    : "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'."
  return {
    status: 500,
    body: {
      code: 'PGRST121',
      message: 'Could not parse JSON in the "RAISE SQLSTATE \'PGRST\'" error',
      details:
        text === undefined
          ? 'DETAIL is missing in the RAISE statement'
          : `Invalid JSON value for ${part}: '${text}'`,
      hint,
    },
  }
}

export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const exactStatuses: Readonly<Record<string, number>> = {
  '23503': 409,
  '23505': 409,
  '25006': 405,
  '42883': 404,
  '42P01': 404,
  '42P17': 500,
  '53400': 500,
  '57P01': 503,
  P0001: 400,
}

const classStatuses: Readonly<Record<string, number>> = {
  '08': 503,
  '09': 500,
  '0L': 403,
  '0P': 403,
  '25': 500,
  '28': 403,
  '2D': 500,
  '38': 500,
  '39': 500,
  '3B': 500,
  '40': 500,
  '53': 503,
  '54': 500,
  '55': 500,
  '57': 500,
  '58': 500,
  F0: 500,
  HV: 500,
  P0: 500,
  XX: 500,
}

/** https://docs.postgrest.org/en/stable/references/errors.html, "HTTP Status Codes". */
function statusOf(error: postgres.PostgresError, role: string): number {
  const { code } = error
  if (code === '42501') return role === 'anon' ? 401 : 403
  if (code === '22023') return /^role .* does not exist$/s.test(error.message) ? 401 : 400
  if (code === '21000') return error.message.endsWith('requires a WHERE clause') ? 400 : 500
  const custom = /^PT([1-5]\d\d)$/.exec(code)?.[1]
  if (custom) return Number(custom)
  if (code.startsWith('PT')) return 500
  return exactStatuses[code] ?? classStatuses[code.slice(0, 2)] ?? 400
}
