import { failed, type Result, success } from '../../kernel/result.ts'
import { boundedFetch } from '../bounded-fetch.ts'
import { failure } from './failures.ts'

const TIMEOUT_MS = 10_000
/** Of a description of the project's tables that nobody reads. */
const MAX_REPLY_BYTES = 16 * 1024 * 1024

/** Asks the project's Data API as the key's holder. A new key may be known there a moment later than in the list of keys. */
export async function tryKey(projectUrl: string, key: string, signal?: AbortSignal): Promise<Result<void>> {
  try {
    const reply = await boundedFetch(
      TIMEOUT_MS,
      MAX_REPLY_BYTES,
      signal,
    )(`${projectUrl}/rest/v1/`, { headers: { apikey: key } })
    await reply.body?.cancel()
    return reply.ok
      ? success(undefined)
      : failed(failure('supabase_new_key_refused', `status ${reply.status}`))
  } catch {
    signal?.throwIfAborted()
    return failed(failure('supabase_new_key_refused', 'it does not answer'))
  }
}
