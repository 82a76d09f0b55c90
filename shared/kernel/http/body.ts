import type { z } from 'zod'
import { Problem } from './problem.ts'

const MAX_BODY_BYTES = 64 * 1024

/** Reads a JSON body of at most 64 KB and checks it. @throws Problem that names every field that is wrong. */
export async function readBody<T>(request: Request, schema: z.ZodType<T>): Promise<T> {
  const body = await readJson(request)
  try {
    return checkBody(body, schema)
  } catch (error) {
    // The checks are recursive, as the values are.
    if (!(error instanceof RangeError)) throw error
    throw new Problem('invalid_body', 'Wrong: (body): is nested too deeply', [
      { path: '(body)', message: 'is nested too deeply' },
    ])
  }
}

export function checkBody<T>(body: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(body)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.flatMap(describe)
  throw new Problem(
    'invalid_body',
    `Wrong: ${issues.map(({ path, message }) => `${path}: ${message}`).join('; ')}`,
    issues,
  )
}

function describe(issue: z.core.$ZodIssue): { path: string; message: string }[] {
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({
      path: [...issue.path, key].join('.'),
      message: 'is not a known field',
    }))
  return [{ path: issue.path.join('.') || '(body)', message: issue.message }]
}

async function readJson(request: Request): Promise<unknown> {
  const text = await readText(request)
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem('invalid_json', 'Send a JSON object, for example {"organizationId": "…"}.')
  }
}

/** Reads a body as text. @throws Problem `body_too_large` as soon as more than `maxBytes` have come, or when it breaks off. */
export async function readText(request: Request, maxBytes = MAX_BODY_BYTES): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  try {
    for await (const chunk of request.body ?? []) {
      size += chunk.byteLength
      if (size > maxBytes) throw new Problem('body_too_large', `At most ${maxBytes} bytes are read.`)
      chunks.push(chunk)
    }
  } catch (error) {
    if (error instanceof Problem) throw error
    // Whoever has gone away in the middle is nobody's bug, and would fill the log.
    throw new Problem('invalid_json', 'The body broke off.')
  }
  const bytes = new Uint8Array(size)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return new TextDecoder().decode(bytes)
}
