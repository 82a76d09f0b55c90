import type { ProviderRequest, Reply } from './exchange.ts'
import { type FaultControl, InvalidFaultError } from './faults.ts'
import { InvalidTuningError, type Tunable } from './tuning.ts'

/** What /_emulator/ reads and changes. It asks for no key: the emulator listens on 127.0.0.1 alone. */
export interface ControlledEmulator {
  readonly name: string
  readonly faults: FaultControl
  readonly timings: Tunable
  readonly limits: Tunable
  count(operation: string): void
  stats(): unknown
  /** Answers control addresses of its own (`path` comes without /_emulator), or undefined. */
  control?(method: string, path: string, body: unknown): Reply | Promise<Reply> | undefined
}

const PREFIX = '/_emulator'

/** The reply to a request below /_emulator/, or undefined when it is meant for the provider. */
export function answerControl(
  emulator: ControlledEmulator,
  request: ProviderRequest,
): Promise<Reply> | undefined {
  return request.path.startsWith(`${PREFIX}/`) ? answer(emulator, request) : undefined
}

async function answer(emulator: ControlledEmulator, request: ProviderRequest): Promise<Reply> {
  const path = request.path.slice(PREFIX.length)
  try {
    const body = request.body === '' ? undefined : JSON.parse(request.body)
    return (
      answerShared(emulator, request.method, path, body) ??
      (await emulator.control?.(request.method, path, body)) ?? {
        status: 404,
        body: { error: `There is no ${request.method} ${request.path}.` },
      }
    )
  } catch (error) {
    const invalid =
      error instanceof InvalidFaultError ||
      error instanceof InvalidTuningError ||
      error instanceof SyntaxError
    if (!invalid) throw error
    return { status: 400, body: { error: error.message } }
  }
}

function answerShared(
  emulator: ControlledEmulator,
  method: string,
  path: string,
  body: unknown,
): Reply | undefined {
  switch (`${method} ${path}`) {
    case 'GET /health':
      return { status: 200, body: { status: 'ok', emulator: emulator.name } }
    case 'GET /stats':
      return { status: 200, body: emulator.stats() }
    case 'GET /faults':
      return { status: 200, body: { faults: emulator.faults.list() } }
    case 'POST /faults':
      return { status: 201, body: { ids: emulator.faults.addAll(Array.isArray(body) ? body : [body]) } }
    case 'DELETE /faults':
      return { status: 200, body: { removed: emulator.faults.clear() } }
    case 'GET /timings':
      return { status: 200, body: emulator.timings.values }
    case 'PATCH /timings':
      return { status: 200, body: emulator.timings.change(body) }
    case 'GET /limits':
      return { status: 200, body: emulator.limits.values }
    case 'PATCH /limits':
      return { status: 200, body: emulator.limits.change(body) }
    default:
      return removeOneFault(emulator, method, path)
  }
}

function removeOneFault(emulator: ControlledEmulator, method: string, path: string): Reply | undefined {
  const id = method === 'DELETE' ? /^\/faults\/(\d+)$/.exec(path)?.[1] : undefined
  if (id === undefined) return undefined
  const removed = emulator.faults.clear(Number(id))
  return removed > 0
    ? { status: 200, body: { removed } }
    : { status: 404, body: { error: `No fault ${id}.` } }
}
