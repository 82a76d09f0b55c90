import { sendOnce } from '../kernel/http/send-once.ts'

/** A reply that is longer than it may be. */
export class ReplyTooLarge extends Error {}

/**
 * A fetch that sends a body at most once, ends with the signal or after a time, and reads no more of a reply than it may have.
 * @param signal ends what is under way, too
 * @throws ReplyTooLarge
 */
export function boundedFetch(timeoutMs: number, maxBytes: number, signal?: AbortSignal): typeof fetch {
  return async (input, init) => {
    const limits = [AbortSignal.timeout(timeoutMs), signal, init?.signal].filter(
      (each) => each instanceof AbortSignal,
    )
    const reply = await sendOnce(input, { ...init, signal: AbortSignal.any(limits) })
    const { status, statusText, headers } = reply
    const body = await readAtMost(reply, maxBytes)
    return new Response(body, { status, statusText, headers })
  }
}

/** @returns null for none: a status such as 204 allows no body, not even an empty one */
async function readAtMost(reply: Response, maxBytes: number): Promise<Blob | null> {
  const chunks: Uint8Array<ArrayBuffer>[] = []
  let size = 0
  for await (const chunk of reply.body ?? []) {
    size += chunk.byteLength
    if (size > maxBytes) throw new ReplyTooLarge(`The reply has more than ${maxBytes} bytes.`)
    chunks.push(new Uint8Array(chunk))
  }
  return size === 0 ? null : new Blob(chunks)
}
