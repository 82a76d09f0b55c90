import { setTimeout as sleep } from 'node:timers/promises'
import { inBackground } from '../kernel/background.ts'
import { createAuthenticator } from '../kernel/caller.ts'
import { connect, type Database } from '../kernel/database/client.ts'
import type { Environment } from '../kernel/environment.ts'
import { checkBody, readText } from '../kernel/http/body.ts'
import { Problem } from '../kernel/http/problem.ts'
import { handlePost, jsonReply } from '../kernel/http/serve.ts'
import { claimsToBeWebhook, createWebhookVerifier } from '../kernel/http/standard-webhook.ts'
import { log } from '../kernel/log.ts'
import { ensureProvisioned, type SignUpOutcome } from './ensure-provisioned.ts'
import { hookSchema, reportedUser } from './sign-up-events.ts'

/** Both kinds of event carry a user's row, and with it metadata of any size that Auth takes. */
const MAX_BODY_BYTES = 1024 * 1024
/** Auth waits 5 s for a hook, and lets the sign-up fail when that is not enough. A cold start needs some of it. */
const HOOK_PATIENCE_MS = 2_500

/**
 * Another way into provisioning.ensure_user_provisioned than the triggers on auth.users, harmless beside them. It takes
 * - with a secret key: a database webhook's event on auth.users, or {userId}; answered with the outcome;
 * - with a signature: the auth hooks before-user-created and after-user-created; answered 200 {} whatever happens, because
 *   anything else would make the sign-up fail.
 */
export function createHandleNewUserFunction(
  environment: Environment,
): (request: Request) => Promise<Response> {
  const sql = connect(environment)
  const authenticate = createAuthenticator(environment)
  const verifySignature = createWebhookVerifier(environment.HANDLE_NEW_USER_HOOK_SECRET)

  return handlePost(async (request) => {
    if (claimsToBeWebhook(request)) {
      const body = await readText(request, MAX_BODY_BYTES)
      verifySignature(request, body)
      const work = answerHook(sql, body)
      inBackground(work)
      await Promise.race([work.catch(() => undefined), sleep(HOOK_PATIENCE_MS, undefined, { ref: false })])
      return jsonReply({})
    }
    const caller = await authenticate(request)
    if (caller.type !== 'service')
      throw new Problem('forbidden', 'Reporting users is for the project’s own backend, with a secret key.')
    const userId = reportedUser(parseJson(await readText(request, MAX_BODY_BYTES)))
    return userId ? reply(await ensureProvisioned(sql, userId)) : jsonReply({ outcome: 'ignored' })
  })
}

/**
 * Before a user is created there is nothing to provision: the row is not there, and for users of external providers the id
 * is not even the final one. The row's trigger, or the hook that comes afterwards, does it.
 */
async function answerHook(sql: Database, body: string): Promise<void> {
  const hook = checkBody(parseJson(body), hookSchema)
  if (hook.metadata.name === 'before-user-created') return
  const { outcome, userId } = await ensureProvisioned(sql, hook.user.id)
  if (outcome === 'user_not_found')
    log.warn('the auth hook reported a user who does not exist', { user: userId })
}

function reply(outcome: SignUpOutcome): Response {
  if (outcome.outcome === 'user_not_found')
    throw new Problem('user_not_found', `There is no user ${outcome.userId}.`)
  return jsonReply(outcome, outcome.outcome === 'recorded' ? 202 : 200)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new Problem('invalid_json', 'Send a database webhook’s event, or {"userId": "…"}.')
  }
}
