import { Webhook } from 'standardwebhooks'
import { Problem } from './problem.ts'

const HEADERS = ['webhook-id', 'webhook-timestamp', 'webhook-signature'] as const

/** Whether a request claims to be a Standard Webhook, and so has to be signed as one. */
export function claimsToBeWebhook(request: Request): boolean {
  return HEADERS.some((name) => request.headers.has(name))
}

/**
 * Checks signatures of Standard Webhooks (www.standardwebhooks.com) the way Supabase Auth makes them.
 * @param secrets `v1,whsec_…`, several separated by |; without any, every signature is refused
 * @returns a function that compares in constant time and throws Problem `unauthorized` for a signature that is missing,
 *   wrong, or made more than 5 minutes before or after now
 */
export function createWebhookVerifier(secrets: string | undefined): (request: Request, body: string) => void {
  const webhooks = (secrets?.split('|') ?? []).map((secret) => new Webhook(secret.replace(/^v1,/, '')))

  return (request, body) => {
    const headers = Object.fromEntries(HEADERS.map((name) => [name, request.headers.get(name) ?? '']))
    if (webhooks.some((webhook) => isGenuine(webhook, body, headers))) return
    throw new Problem('unauthorized', 'The webhook’s signature is wrong or has expired.')
  }
}

function isGenuine(webhook: Webhook, body: string, headers: Record<string, string>): boolean {
  try {
    // What the body says is looked at elsewhere: only a genuine one is worth reading.
    webhook.verify(body, headers, { jsonParse: false })
    return true
  } catch {
    return false
  }
}
