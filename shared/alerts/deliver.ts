import { Webhook } from 'standardwebhooks'
import { createDrain, type Drain, type DrainLimits } from '../engine/drain.ts'
import type { Database } from '../kernel/database/client.ts'
import { isLocalHost } from '../kernel/local-host.ts'
import { maskSecrets } from '../kernel/masking.ts'

const AT_ONCE = 10
const TIMEOUT_MS = 10_000
/** A receiver that hangs must not keep a worker for longer; the next tick goes on. */
const SHARE_SECONDS = 50

interface Delivery {
  /** Sent as webhook-id, so that a receiver knows a repetition. */
  readonly id: string
  readonly url: string | null
  readonly secret: string | null
  readonly payload: unknown
}

/**
 * Sends what is due to the webhook that Vault's alert_webhook_url names, signed as the Standard Webhooks specification says.
 * What is not answered with 2xx is sent again later, ever less often; a receiver may get a delivery twice, with the same id.
 */
export function createAlertDelivery(sql: Database): Drain {
  return createDrain(async () => ({
    limits: {
      concurrency: AT_ONCE,
      maxPieces: Number.POSITIVE_INFINITY,
      maxSeconds: SHARE_SECONDS,
      ...(await readLinger(sql)),
    },
    async take(room) {
      const deliveries = await sql<Delivery[]>`
        select id, url, secret, payload from provisioning.claim_alert_deliveries(${room})`
      return { pieces: deliveries.map((delivery) => deliver(sql, delivery)), more: deliveries.length > 0 }
    },
    secondsUntilDue: () => secondsUntilDue(sql),
    // The next tick rings for what is left.
    ringSuccessor: async () => undefined,
  }))
}

/** How long a worker looks by itself for alerts whose doorbell was left out, because another had just been rung. */
async function readLinger(sql: Database): Promise<Pick<DrainLimits, 'lingerMs' | 'lookAgainMs'>> {
  const [row] = await sql<{ lingerMs: number; lookAgainMs: number }[]>`
    select worker_linger_milliseconds as "lingerMs", worker_look_again_milliseconds as "lookAgainMs"
    from provisioning.settings`
  return row ?? { lingerMs: 0, lookAgainMs: 0 }
}

async function secondsUntilDue(sql: Database): Promise<number | undefined> {
  const [row] = await sql<{ seconds: number | null }[]>`
    select greatest(0, extract(epoch from provisioning.next_alert_delivery_at() - clock_timestamp()))::float8 as seconds
    where provisioning.next_alert_delivery_at() is not null`
  return row?.seconds ?? undefined
}

async function deliver(sql: Database, delivery: Delivery): Promise<void> {
  const problem = await send(delivery)
  await sql`select provisioning.finish_alert_delivery(${delivery.id}, ${problem ?? null})`
}

/** @returns what went wrong, in words; undefined when the receiver took it */
async function send({ id, url, secret, payload }: Delivery): Promise<string | undefined> {
  if (!url || !secret) return 'alert_webhook_url or alert_webhook_secret is not in Vault any more.'
  const address = URL.parse(url)
  if (!address || (address.protocol !== 'https:' && !isLocalHost(address.hostname)))
    return 'alert_webhook_url is not an https address.'
  const body = JSON.stringify(payload)
  const now = new Date()
  try {
    const reply = await fetch(address, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': new Webhook(secret).sign(id, now, body),
      },
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    await reply.body?.cancel()
    return reply.ok ? undefined : `The webhook answered ${reply.status}.`
  } catch (error) {
    return `The webhook could not be reached: ${maskSecrets(reasonOf(error))}`
  }
}

/** In words, without the address: that of many a webhook is a secret, and Deno's messages name it. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${cause}`.replace(/\b\w+:\/\/[^\s)]*/g, 'its address')
}
