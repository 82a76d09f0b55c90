/** A doorbell of provisioning.signed_doorbell, and where it goes. */
export interface SignedDoorbell {
  readonly url: string
  readonly body: object
}

/** As long as pg_net waits for an answer. */
const TIMEOUT_MS = 5_000

/** @returns whether the function has taken the doorbell; false, and never an error, when it has not */
export async function sendDoorbell({ url, body }: SignedDoorbell): Promise<boolean> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await response.body?.cancel()
    return response.ok
  } catch {
    return false
  }
}
