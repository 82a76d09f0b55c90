import { z } from 'zod'
import type { StepContext, StepOutcome } from '../../../shared/engine/step.ts'
import type { Database } from '../../../shared/kernel/database/client.ts'
import {
  type Failure,
  type FailureCatalogue,
  failuresOf,
  leavesOpen,
} from '../../../shared/kernel/failures.ts'
import { type Result, success } from '../../../shared/kernel/result.ts'
import { type GuardedCall, guardProvider, WORTH_WAITING_SECONDS } from '../../../shared/services/guard.ts'
import { type Inventory, ORGANIZATION_ID } from '../../../shared/services/inventory.ts'
import { duringGrace, resourceOf } from '../../../shared/services/resources.ts'
import { defineService } from '../../../shared/services/service.ts'

const MAILBOX = 'mailbox'
const OUR_NAME = new RegExp(`^org-(${ORGANIZATION_ID})$`)

const failures = {
  postbox_refused: {
    retryable: false,
    sentence: 'Postbox refused the request.',
    docs: 'A 4xx.',
    remedy: {
      text: 'Set POSTBOX_KEY, then retry.',
      commands: [{ command: 'set_secret', name: 'POSTBOX_KEY' }],
    },
  },
  postbox_unreachable: {
    retryable: true,
    sentence: 'Postbox cannot be reached.',
    docs: 'No answer, or a 5xx.',
    open: true,
    providerBroken: true,
  },
  postbox_paused: {
    retryable: true,
    sentence: 'Postbox is left alone for a while.',
    docs: 'Its breaker is open.',
  },
} as const satisfies FailureCatalogue
const failure = failuresOf(failures)

const mailbox = z.object({ id: z.string(), name: z.string(), createdAt: z.string() })
type Mailbox = z.infer<typeof mailbox>

/** What the provider answered instead of what was asked for; without a status when it did not answer. */
class Refused extends Error {
  readonly status: number | undefined
  constructor(status?: number) {
    super(`answered ${status ?? 'nothing'}`)
    this.status = status
  }
}

function classify(error: unknown): Failure {
  if (!(error instanceof Refused)) throw error
  const refused = error.status !== undefined && error.status < 500
  return failure(refused ? 'postbox_refused' : 'postbox_unreachable', error.message)
}

interface Postbox {
  list(name?: string): Promise<Result<Mailbox[]>>
  create(name: string, before: () => Promise<void>): Promise<Result<Mailbox>>
  remove(id: string, before: () => Promise<void>): Promise<Result<void>>
}

function createPostbox(key: string, url: string, sql: Database): Postbox {
  const { attempt } = guardProvider({
    sql,
    provider: 'postbox',
    failures,
    leftAlone: (why) => failure('postbox_paused', why),
    maxWaitSeconds: WORTH_WAITING_SECONDS,
    classify,
  })
  const send = async (method: string, path: string, fine: readonly number[]): Promise<unknown> => {
    const reply = await fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${key}` } }).catch(
      () => {
        throw new Refused()
      },
    )
    if (!fine.includes(reply.status)) throw new Refused(reply.status)
    return reply.json()
  }
  const named = (name: string | undefined) => (name === undefined ? '' : `?name=${encodeURIComponent(name)}`)
  return {
    list: (name) =>
      attempt(async (call: GuardedCall) =>
        success(
          z
            .array(mailbox)
            .parse(await call('GET /mailboxes', () => send('GET', `/mailboxes${named(name)}`, [200]))),
        ),
      ),
    create: (name, before) =>
      attempt(async (call) =>
        success(
          mailbox.parse(
            await call('POST /mailboxes', () => send('POST', `/mailboxes${named(name)}`, [201]), before),
          ),
        ),
      ),
    remove: (id, before) =>
      attempt(async (call) => {
        await call('DELETE /mailboxes/{id}', () => send('DELETE', `/mailboxes/${id}`, [200, 404]), before)
        return success(undefined)
      }),
  }
}

async function makeMailbox(context: StepContext, postbox: Postbox): Promise<StepOutcome> {
  const { job, sql } = context
  const name = `org-${job.organizationId}`
  const found = await postbox.list(name)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  let made = found.value[0]
  if (!made) {
    let planned = false
    const created = await postbox.create(name, async () => {
      await context.planResource(MAILBOX, name)
      planned = true
    })
    if (!created.ok) {
      if (planned && !leavesOpen(created.failure, failures)) await context.unplanResource(MAILBOX)
      return { type: 'failed', failure: created.failure }
    }
    made = created.value
  }
  return {
    type: 'succeeded',
    output: { resourceId: made.id },
    record: sql`provisioning.record_resource(${job.organizationId}, ${MAILBOX}, ${name}, ${made.id})`,
  }
}

async function deleteMailbox(
  { job, sql, tenant, assertLease }: StepContext,
  postbox: Postbox,
): Promise<StepOutcome> {
  const putOff = duringGrace(resourceOf(tenant, MAILBOX))
  if (putOff) return putOff
  const found = await postbox.list(`org-${job.organizationId}`)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  for (const { id } of found.value) {
    const removed = await postbox.remove(id, assertLease)
    if (!removed.ok) return { type: 'failed', failure: removed.failure }
  }
  return {
    type: 'succeeded',
    output: { deleted: found.value.length },
    record: sql`provisioning.forget_resource(${job.organizationId}, ${MAILBOX})`,
  }
}

function inventory(postbox: Postbox): Inventory {
  return {
    async page() {
      const all = await postbox.list()
      if (!all.ok) return all
      const resources = all.value.map(({ id, name, createdAt }) => ({
        resourceId: id,
        organizationId: OUR_NAME.exec(name)?.[1] ?? null,
        createdAt,
      }))
      return success({ resources, nextCursor: null, gap: null })
    },
    remove: (id, before) => postbox.remove(id, before),
  }
}

/** A third service, for the test that one can be added without touching anything else. */
export const postbox = defineService({
  name: 'postbox',
  label: 'Postbox',
  secret: 'POSTBOX_KEY',
  address: 'POSTBOX_URL',
  environment: z.object({ POSTBOX_KEY: z.string().default(''), POSTBOX_URL: z.url() }),
  failures,
  connect({ POSTBOX_KEY: key, POSTBOX_URL: url }, sql) {
    const provider = createPostbox(key, url, sql)
    return {
      steps: {
        mailbox: (context) => makeMailbox(context, provider),
        delete_mailbox: (context) => deleteMailbox(context, provider),
      },
      inventories: { [MAILBOX]: inventory(provider) },
    }
  },
  keyCheck: ({ POSTBOX_KEY: key, POSTBOX_URL: url }) => ({ url: `${url}/mailboxes`, key: key || undefined }),
})
