import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Callers } from '../callers.ts'
import type { ProjectConfig } from '../config.ts'
import { bearer, type Call, send } from '../exchange.ts'
import { proxy, UpstreamBrokenError, UpstreamTimeoutError } from '../proxy.ts'
import {
  FunctionNotFoundError,
  type FunctionProcesses,
  type FunctionRequest,
  FunctionStartError,
} from './processes.ts'

export interface FunctionsContext {
  readonly processes: FunctionProcesses
  readonly callers: Callers
  readonly config: ProjectConfig
  /** How long a function may take until its answer begins, in milliseconds. */
  readonly timeoutMs: number
}

/** How long a process whose connection broke may take to be seen as ended, in milliseconds. */
const CRASH_NOTICE_MS = 1000

/** The function-side failure codes of the hosted gateway, as far as there is a cause for them here. */
const failures = {
  noAuthorization: [401, 'UNAUTHORIZED_NO_AUTH_HEADER', 'Missing authorization header'],
  invalidJwt: [401, 'UNAUTHORIZED_INVALID_JWT_FORMAT', 'Invalid JWT'],
  notFound: [404, 'NOT_FOUND', 'Requested function was not found'],
  bootError: [503, 'BOOT_ERROR', 'Function failed to start (please check logs)'],
  broken: [502, 'WORKER_ERROR', 'The function ended before it answered (please check logs)'],
  timeout: [504, 'REQUEST_TIMEOUT', 'The function did not answer in time'],
} as const

/** Handles `/functions/v1/NAME[/…]`; the function sees the path from `/NAME` on, as when hosted. */
export async function handleFunction(
  context: FunctionsContext,
  call: Call,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const name = call.path.split('/')[1] ?? ''
  const settings = context.config.functions[name] ?? { enabled: true, verify_jwt: true }
  if (!settings.enabled || !(await context.processes.exists(name))) return fail(response, 'notFound')
  // A preflight carries no token; the function answers it itself.
  if (settings.verify_jwt && call.method !== 'OPTIONS') {
    const token = bearer(call)
    if (!token) return fail(response, 'noAuthorization')
    if (!(await context.callers.isValidJwt(token))) return fail(response, 'invalidJwt')
  }
  const request = await beginRequest(context, name, response)
  if (request) await forward(context, request, call, incoming, response).finally(request.answered)
}

async function beginRequest(
  context: FunctionsContext,
  name: string,
  response: ServerResponse,
): Promise<FunctionRequest | undefined> {
  try {
    return await context.processes.begin(name)
  } catch (error) {
    if (error instanceof FunctionNotFoundError) fail(response, 'notFound')
    else if (error instanceof FunctionStartError) fail(response, 'bootError', error.message)
    else throw error
    return undefined
  }
}

async function forward(
  context: FunctionsContext,
  { process: target, answered }: FunctionRequest,
  call: Call,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    await proxy(incoming, response, {
      port: target.port,
      path: call.path + call.url.search,
      headers: {
        ...call.headers,
        'x-forwarded-for': incoming.socket.remoteAddress ?? '127.0.0.1',
        'x-forwarded-host': call.url.host,
        'x-forwarded-proto': 'http',
      },
      timeoutMs: context.timeoutMs,
      begun: answered,
    })
  } catch (error) {
    if (error instanceof UpstreamTimeoutError) return fail(response, 'timeout')
    if (!(error instanceof UpstreamBrokenError)) throw error
    // So that whoever calls again after this answer meets a new process.
    await context.processes.exited(target, CRASH_NOTICE_MS)
    fail(response, 'broken')
  }
}

function fail(response: ServerResponse, failure: keyof typeof failures, message?: string): void {
  const [status, code, text] = failures[failure]
  send(
    response,
    { status, body: { code, message: message ?? text } },
    // supabase-js tells the gateway's failures from the function's own by this header.
    { 'x-relay-error': 'true', 'access-control-allow-origin': '*' },
  )
}
