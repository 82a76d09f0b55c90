import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createJobFunction } from '../../shared/engine/job-function.ts'
import { readEnvironment } from '../../shared/kernel/environment.ts'
import { createReconcileFunction } from '../../shared/reconciliation/reconcile-function.ts'
import { neon } from '../../shared/services/neon/index.ts'
import { services, stepSources } from '../../shared/services/registry.ts'
import { stripe } from '../../shared/services/stripe/index.ts'
import { deprovisionFunction } from '../../shared/tenants/deprovision-function.ts'
import { provisionFunction } from '../../shared/tenants/provision-function.ts'
import { emulatorVariables } from '../../tools/emulators.ts'
import { makeDue } from '../support/pass-time.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { type PostboxEmulator, startPostboxEmulator } from './toy-service/emulator.ts'
import { postbox } from './toy-service/index.ts'

const KEY = 'pb_toy'

type Reply = { status: number; body: Record<string, unknown> }
type Handler = (request: Request) => Promise<Response>

let project: TestProject
let emulator: PostboxEmulator
let functions: { provision: Handler; deprovision: Handler; reconcile: Handler }

beforeAll(async () => {
  project = await startTestProject()
  await project.sql.unsafe(await readFile(new URL('toy-service/rows.sql', import.meta.url), 'utf8'))
  await project.sql`update provisioning.resource_kinds set grace_hours = 0`
  // The deployed functions know nothing of the toy, so nobody rings for them.
  await project.sql`delete from vault.secrets where name = 'functions_base_url'`
  emulator = await startPostboxEmulator(KEY)
  const environment = readEnvironment({
    SUPABASE_URL: project.services.url,
    SUPABASE_DB_URL: project.databaseUrl(),
    SUPABASE_SECRET_KEYS: JSON.stringify({ default: project.keys.secretKey }),
    ...emulatorVariables(stripe, project.stripeEmulator.url),
    ...emulatorVariables(neon, project.neonEmulator.url),
    POSTBOX_KEY: KEY,
    POSTBOX_URL: emulator.url,
  })
  const sources = [...stepSources, postbox]
  functions = {
    provision: createJobFunction(environment, provisionFunction, sources),
    deprovision: createJobFunction(environment, deprovisionFunction, sources),
    reconcile: createReconcileFunction(environment, [...services, postbox]),
  }
})

afterAll(async () => {
  await emulator?.[Symbol.asyncDispose]()
  await project?.stop()
})

async function ask(handler: Handler, body: object): Promise<Reply> {
  const reply = await handler(
    new Request('http://localhost/', {
      method: 'POST',
      headers: { 'content-type': 'application/json', apikey: project.keys.secretKey },
      body: JSON.stringify(body),
    }),
  )
  return { status: reply.status, body: await reply.json() }
}

const provision = ({ organizationId }: SignedUp, more: object = {}) =>
  ask(functions.provision, { organizationId, wait: true, ...more })

const mailboxesOf = ({ organizationId }: SignedUp) =>
  [...emulator.mailboxes.values()].filter(({ name }) => name === `org-${organizationId}`)

async function resourceOf({ organizationId }: SignedUp) {
  const [row] = await project.sql`
    select service, name, external_id, state from public.tenant_resources
    where organization_id = ${organizationId} and kind = 'mailbox'`
  return row
}

describe('a service that is a folder, a line in the registry and the rows of a migration', () => {
  it('is provisioned with the others, shown in the status, and recorded', async () => {
    const person = await project.signUp()
    const { status, body } = await provision(person)
    expect({ status, body }).toMatchObject({
      status: 200,
      body: {
        status: 'succeeded',
        provisioningStatus: { stripe: 'ready', neon: 'ready', postbox: 'ready', overall: 'ready' },
      },
    })
    const [{ checks } = { checks: [] }] = await project.sql<
      { checks: { check: string; status: string }[] }[]
    >`
      select provisioning.describe_tenant(${person.organizationId}) -> 'checks' as checks`
    expect(checks).toContainEqual(expect.objectContaining({ check: 'postbox', status: 'ok' }))
    const [made] = mailboxesOf(person)
    expect(await resourceOf(person)).toEqual({
      service: 'postbox',
      name: `org-${person.organizationId}`,
      external_id: made?.id,
      state: 'active',
    })
  })

  it('has one of it after a reply that was lost, and after a retry by name', async () => {
    const person = await project.signUp()
    emulator.creates = 'lost'
    const first = await Promise.all([
      provision(person),
      (async () => {
        await until('mailbox', () => mailboxesOf(person).length > 0 || undefined)
        expect(await resourceOf(person)).toMatchObject({ state: 'planned', external_id: null })
        emulator.creates = 201
      })(),
    ])
    expect(first[0].body).toMatchObject({ status: 'succeeded' })
    const again = await provision(person, { services: ['postbox'] })
    expect(again.body).toMatchObject({ status: 'succeeded' })
    expect(mailboxesOf(person)).toHaveLength(1)
  })

  it('is known by its name, and others are refused with the list of those that are', async () => {
    const { status, body } = await provision(await project.signUp(), { services: ['letterbox'] })
    expect({ status, body }).toMatchObject({ status: 422, body: { code: 'unknown_choice' } })
    const known =
      await project.sql`select string_agg(service, ', ' order by service) as names from provisioning.services`
    expect(known[0]?.names).toContain('postbox')
    expect(body.detail).toBe(`The service "letterbox" is unknown. Known: ${known[0]?.names}.`)
  })

  it('fails with its own code, and what it made is taken back when the provisioning is cancelled', async () => {
    const person = await project.signUp()
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    expect((await provision(person)).body).toMatchObject({ status: 'failed' })
    project.neonEmulator.faults.clear()
    expect(mailboxesOf(person)).toHaveLength(1)

    const planned = await ask(functions.provision, {
      organizationId: person.organizationId,
      cancel: true,
      dryRun: true,
    })
    expect(planned.body.wouldRemove).toContainEqual(
      expect.objectContaining({ kind: 'mailbox', label: 'mailbox', kept: false }),
    )
    await ask(functions.provision, { organizationId: person.organizationId, cancel: true })
    await drainRemovals(person)
    expect(mailboxesOf(person)).toHaveLength(0)
    expect(await resourceOf(person)).toMatchObject({ state: 'removed' })
  })

  it('refuses with its own words', async () => {
    const person = await project.signUp()
    emulator.creates = 403
    const { body } = await provision(person)
    emulator.creates = 201
    expect(body).toMatchObject({
      status: 'failed',
      error: { code: 'postbox_refused', message: expect.stringContaining('Set POSTBOX_KEY, then retry.') },
    })
    // Nothing was made for certain.
    expect(await resourceOf(person)).toBeUndefined()
  })

  it('is removed with a deleted organization', async () => {
    const person = await project.signUp()
    await provision(person)
    await project.sql`delete from public.organizations where id = ${person.organizationId}`
    await drainRemovals(person)
    expect(mailboxesOf(person)).toHaveLength(0)
    expect(await resourceOf(person)).toMatchObject({ state: 'removed' })
  })

  it('is reconciled: strangers, duplicates and what is missing are found and told by its label', async () => {
    const [doubled, robbed] = [await project.signUp(), await project.signUp()]
    await provision(doubled)
    await provision(robbed)
    const add = (id: string, organizationId: string) =>
      emulator.mailboxes.set(id, { id, name: `org-${organizationId}`, createdAt: new Date().toISOString() })
    const nobody = crypto.randomUUID()
    add('mbx_stranger', nobody)
    add('mbx_duplicate', doubled.organizationId)
    const [stolen] = mailboxesOf(robbed)
    emulator.mailboxes.delete(stolen?.id ?? '')

    const { body } = await ask(functions.reconcile, { wait: true })
    expect(body).toMatchObject({ status: 'finished', complete: true })
    const found = (body.findings as Finding[]).filter(({ resourceKind }) => resourceKind === 'mailbox')
    expect(
      found.map(({ kind, resourceId, organizationId }) => [kind, resourceId, organizationId]).sort(),
    ).toEqual([
      ['duplicate', 'mbx_duplicate', doubled.organizationId],
      ['missing', stolen?.id, robbed.organizationId],
      ['stranger', 'mbx_stranger', nobody],
    ])
    const alerts = await project.sql`
      select kind, message from public.tenant_alerts where resolved_at is null and kind like 'mailbox%' order by kind`
    expect(alerts.map(({ kind, message }) => [kind, message])).toEqual([
      ['mailbox_duplicate', 'There is more than one mailbox; not in use: mbx_duplicate.'],
      ['mailbox_missing', `The mailbox ${stolen?.id} is gone.`],
    ])
  })
})

interface Finding {
  readonly resourceKind: string
  readonly kind: string
  readonly resourceId: string
  readonly organizationId: string
}

/** Rings the removal's worker as the database would, until nothing is left for it, not even what waits for stopped workers. */
async function drainRemovals({ organizationId }: SignedUp): Promise<void> {
  await until('end of the removals', async () => {
    await makeDue(project.sql, organizationId)
    const body = JSON.stringify(await project.signDoorbell())
    await functions.deprovision(new Request('http://localhost/', { method: 'POST', body }))
    const open = await project.sql`select from public.provisioning_jobs
      where kind in ('undo', 'deprovision') and status in ('queued', 'running')`
    return open.length === 0 || undefined
  })
}
