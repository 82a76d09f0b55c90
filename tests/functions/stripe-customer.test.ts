import { afterEach, describe, expect, it } from 'vitest'
import { STRIPE_KEY, until } from '../support/project.ts'
import {
  attempts,
  change,
  expectOneOfEach,
  hurryTo,
  project,
  retry,
  signUpWith,
  status,
  stripeClock,
  stripeFault,
  useFailingProject,
} from './failing-project.ts'

useFailingProject()

describe('a Stripe customer', () => {
  it('whose record the database refuses is the same one later, whatever has changed since', async () => {
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    project.stripeEmulator.faults.add({ match: { operation: 'PostCustomers' }, action: status(401), skip: 1 })
    await project.sql`alter table public.organizations add constraint trouble check (stripe_customer_id is null) not valid`
    const person = await signUpWith({ billing_email: null })
    await hurryTo(person, 'failed').finally(
      () => project.sql`alter table public.organizations drop constraint trouble`,
    )
    project.stripeEmulator.faults.clear()
    await change(person, { name: 'Another name' })
    expect((await retry(person, { wait: false })).status).toBe(202)
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })

  it('whose creation was not confirmed and whom no search shows yet is not made twice', async () => {
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    stripeFault('PostCustomers', { type: 'act_then_reset' }, 1)
    const replays = project.stripeEmulator.stats.replays
    const person = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      // Without an address the list by address, which is always up to date, cannot find it either.
      await project.sql`update public.organizations set billing_email = null where id = ${signedUp.organizationId}`
      return signedUp
    })
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
    expect(project.stripeEmulator.stats.replays).toBe(replays + 1)
  })

  it.each([
    { when: 'a day later, under another billing e-mail', changes: { billing_email: 'new@example.com' } },
    { when: 'a day later, when there is no e-mail', columns: { billing_email: null }, changes: {} },
    {
      when: 'at once, under another billing e-mail',
      changes: { billing_email: 'new@example.com' },
      hours: 0,
    },
    {
      when: 'at once, under another name, when there is no e-mail',
      columns: { billing_email: null },
      changes: { name: 'Another name' },
      hours: 0,
    },
  ])('whose creation was not confirmed is the one that a retry finds $when', async (c) => {
    const { columns = {}, changes, hours = 25 } = c
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    stripeFault('PostCustomers', { type: 'act_then_reset' }, 1)
    // The key goes bad after the first look: the second attempt is the last one.
    stripeFault('GetCustomersSearch', status(401))
    project.stripeEmulator.faults.add({ match: { operation: 'GetCustomers' }, action: status(401), skip: 1 })
    const person = await signUpWith({ name: 'A name', ...columns })
    await hurryTo(person, 'failed')
    expect((await attempts(person)).map(({ code }) => code)).toEqual([
      'stripe_unreachable',
      'stripe_key_rejected',
    ])
    project.stripeEmulator.faults.clear()
    stripeClock.aheadMs += hours * 3_600_000
    await change(person, { name: 'A name', ...changes })
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    await expectOneOfEach(person)
  })

  it('that an earlier job asked for in other words is found when the search has caught up, and not before', async () => {
    project.stripeEmulator.setTimings({ searchLagMs: 60_000 })
    const person = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      const { organizationId } = signedUp
      await project.stripe.customers.create(
        { name: 'As it was', metadata: { organization_id: organizationId } },
        { idempotencyKey: `customer-${organizationId}-0` },
      )
      return signedUp
    })
    const { nextAttemptAt } = await project.waitForStep(person.organizationId, 'stripe_customer', 'retrying')
    expect(await attempts(person)).toMatchObject([{ code: 'stripe_key_reused' }])
    expect((await attempts(person))[0]?.waits).toBeGreaterThan(59.9)
    await project.waitForStep(person.organizationId, 'verify_connection', 'succeeded')
    await until('job that waits', async () =>
      (await project.provisioning(person.organizationId)).status === 'queued' ? true : undefined,
    )
    expect((await retry(person, { wait: false })).status).toBe(202)
    expect((await project.provisioning(person.organizationId)).nextAttemptAt).toEqual(nextAttemptAt)
    stripeClock.aheadMs += 61_000
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })

  it('without an e-mail, which a 5xx may have made, is looked for when the search has caught up', async () => {
    stripeFault('PostCustomers', status(500), 1)
    const person = await signUpWith({ billing_email: null })
    await project.waitForStep(person.organizationId, 'stripe_customer', 'retrying')
    expect((await attempts(person))[0]?.waits).toBeGreaterThan(59.9)
    await hurryTo(person, 'ready')
    await expectOneOfEach(person)
  })

  it.each([
    { what: 'was refused for certain', faults: [status(401)] },
    { what: 'was lost, and then refused', faults: [{ type: 'reset' } as const, status(400)] },
  ])('that $what is asked for with what has been corrected since', async ({ faults }) => {
    for (const action of faults) stripeFault('PostCustomers', action, 1)
    const person = await project.signUp()
    await hurryTo(person, 'failed')
    await change(person, { billing_email: 'corrected@example.com' })
    expect((await retry(person)).body).toMatchObject({ status: 'succeeded' })
    const { customers } = await project.resources(person.organizationId)
    expect(customers.map(({ email }) => email)).toEqual(['corrected@example.com'])
    const [step] = await project.sql`
      select output from public.provisioning_steps where job_id = ${person.jobId} and step = 'stripe_customer'`
    expect(step?.output).not.toHaveProperty('openRequest')
  })

  it('that somebody deleted by hand is made again when asked, each time', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const current = async () => (await project.resources(person.organizationId)).customers.map(({ id }) => id)
    const seen = await current()
    for (const _ of ['once', 'twice']) {
      const [id = ''] = await current()
      await project.stripe.customers.del(id)
      const reply = await retry(person, { services: ['stripe'] })
      expect(reply.body?.status).toBe('succeeded')
      seen.push(...(await current()))
    }
    expect(new Set(seen).size).toBe(3)
    const [row] = await project.sql`
      select stripe_customer_id as id from public.organizations where id = ${person.organizationId}`
    expect(await current()).toEqual([row?.id])
  })

  describe.each([
    ['another account', { account: 'acct_other' }],
    ['the other mode', { livemode: true }],
  ])('when the key has become one of %s', (_which, place) => {
    afterEach(() => project.stripeEmulator.giveKey(STRIPE_KEY, {}))

    it('is kept, also by a retry, until an operator lets go of it', async () => {
      const person = await project.signUp()
      await project.waitFor(person.organizationId)
      const { organizationId } = person
      const recorded = async () => {
        const [row] = await project.sql`
          select stripe_customer_id as id, (select jsonb_agg(r.external_id || ' ' || r.state order by r.state)
            from public.tenant_resources r where r.organization_id = o.id and r.kind = 'stripe_customer') as rows
          from public.organizations o where o.id = ${organizationId}`
        return row
      }
      const audited = async () =>
        project.sql`select action, resource_id from public.audit_logs
          where organization_id = ${organizationId} and action like 'stripe_customer.%' order by created_at`
      const before = await recorded()
      const id = before?.id

      project.stripeEmulator.giveKey(STRIPE_KEY, place)
      expect((await retry(person, { services: ['stripe'] })).body).toMatchObject({ status: 'failed' })
      expect((await attempts(person)).map(({ code }) => code)).toEqual(['stripe_customer_unknown'])
      expect(await recorded()).toEqual(before)
      expect((await project.resources(organizationId)).customers, 'in the other place').toEqual([])
      expect(await audited()).toEqual([{ action: 'stripe_customer.unknown', resource_id: id }])

      project.stripeEmulator.giveKey(STRIPE_KEY, {})
      expect((await retry(person)).body, 'with the key back').toMatchObject({ status: 'succeeded' })
      expect(await recorded()).toEqual(before)
      await expectOneOfEach(person)

      project.stripeEmulator.giveKey(STRIPE_KEY, place)
      await project.sql`select provisioning.leave_stripe_customer(${organizationId})`
      expect((await retry(person, { services: ['stripe'] })).body).toMatchObject({ status: 'succeeded' })
      const made = (await project.resources(organizationId)).customers.map((customer) => customer.id)
      expect(await recorded()).toEqual({ id: made[0], rows: [`${made[0]} active`, `${id} kept`] })
      expect((await audited()).at(-1)).toEqual({ action: 'stripe_customer.left', resource_id: id })
    })

    it('is no deleted one for a removal either', async () => {
      const person = await project.signUp()
      await project.waitFor(person.organizationId)
      const { organizationId } = person
      const {
        customers: [customer],
      } = await project.resources(organizationId)
      await project.sql`update provisioning.resource_kinds set kept_on_deletion = false where kind = 'stripe_customer'`
      await project.sql`delete from public.organizations where id = ${organizationId}`
      const step = async () => {
        const [row] = await project.sql`
          select s.status, s.error ->> 'code' as code from public.provisioning_steps s
          where s.organization_id = ${organizationId} and s.step = 'delete_stripe_customer'`
        return row
      }
      project.stripeEmulator.giveKey(STRIPE_KEY, place)
      await project.whileTimePasses(
        'removal that fails',
        async () => (await step())?.status === 'failed' || undefined,
        organizationId,
      )
      expect(await step()).toEqual({ status: 'failed', code: 'stripe_customer_unknown' })
      await project.sql`update provisioning.resource_kinds set kept_on_deletion = true where kind = 'stripe_customer'`
      project.stripeEmulator.giveKey(STRIPE_KEY, {})
      expect(await project.stripe.customers.retrieve(customer?.id ?? '')).toMatchObject({ id: customer?.id })
    })
  })

  it('hears of a changed name and billing address once, and in the order in which they were changed', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const calls = () => project.stripeEmulator.stats.calls.PostCustomersCustomer ?? 0
    const before = calls()
    const jobStatus = async () => {
      const rows = await project.sql`select status from public.provisioning_jobs
        where organization_id = ${person.organizationId} and kind = 'update_details'`
      return rows.map(({ status }) => status).join()
    }
    const customer = async () => {
      const { customers } = await project.resources(person.organizationId)
      return customers.map(({ name, email }) => ({ name, email }))
    }
    await change(person, { name: 'Second' })
    await change(person, { name: 'Third', billing_email: 'third@example.com' })
    stripeFault('PostCustomersCustomer', { type: 'latency', ms: 1_500 }, 1)
    await project.sweep()
    await until('request that is under way', () =>
      project.stripeEmulator.faults.list().length === 0 ? true : undefined,
    )
    expect(await jobStatus()).toBe('running')
    await change(person, { name: 'Fourth', billing_email: null })
    await project.sweep()
    await until(
      'both updates',
      async () => (calls() === before + 2 && (await jobStatus()) === 'succeeded') || undefined,
    )
    expect(await customer()).toEqual([{ name: 'Fourth', email: null }])
    expect((await project.provisioning(person.organizationId)).overall).toBe('ready')
  })

  it('is given its name and billing address by a retry too, and only when they differ', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    await change(person, { name: 'Another', billing_email: 'another@example.com' })
    const updates = []
    for (const _ of ['differs', 'the same']) {
      const before = project.stripeEmulator.stats.calls.PostCustomersCustomer ?? 0
      expect((await retry(person, { services: ['stripe'] })).body).toMatchObject({ status: 'succeeded' })
      updates.push((project.stripeEmulator.stats.calls.PostCustomersCustomer ?? 0) - before)
    }
    expect(updates).toEqual([1, 0])
    const { customers } = await project.resources(person.organizationId)
    expect(customers.map(({ name, email }) => [name, email])).toEqual([['Another', 'another@example.com']])
  })

  it('that was edited at Stripe has the organization’s name and address again after a retry, and keeps the rest', async () => {
    const person = await project.signUp({ organization_name: 'Ours' })
    await project.waitFor(person.organizationId)
    const customer = async () => (await project.resources(person.organizationId)).customers[0]
    const { id = '', email } = (await customer()) ?? {}
    const rest = { phone: '+49 30 1234', description: 'Pays by invoice', address: { city: 'Berlin' } }
    await project.stripe.customers.update(id, { name: 'Edited', email: 'edited@example.com', ...rest })
    expect((await retry(person, { services: ['neon'] })).body, 'another service').toMatchObject({
      status: 'succeeded',
    })
    expect(await customer()).toMatchObject({ name: 'Edited', email: 'edited@example.com' })
    expect((await retry(person, { services: ['stripe'] })).body).toMatchObject({ status: 'succeeded' })
    expect(await customer()).toMatchObject({ id, name: 'Ours', email, ...rest })
  })

  it('that somebody deleted is not made anew because a name has changed', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    const { customers } = await project.resources(person.organizationId)
    for (const { id } of customers) await project.stripe.customers.del(id)
    await change(person, { name: 'Another' })
    await project.sweep()
    const output = await until('update', async () => {
      const [row] = await project.sql`select s.output from public.provisioning_steps s
        where s.organization_id = ${person.organizationId} and s.step = 'update_stripe_customer' and s.status = 'succeeded'`
      return row?.output
    })
    expect(output).toEqual({ customer: 'deleted' })
    expect((await project.resources(person.organizationId)).customers).toEqual([])
  })

  it('that was found and refuses a new name is recorded all the same', async () => {
    stripeFault('PostCustomers', { type: 'act_then_reset' }, 1)
    // The key goes bad after the first look, so that the name changes between the two attempts.
    project.stripeEmulator.faults.add({ match: { operation: 'GetCustomers' }, action: status(401), skip: 1 })
    const person = await project.signUp()
    await hurryTo(person, 'failed')
    project.stripeEmulator.faults.clear()
    stripeFault('PostCustomersCustomer', status(400), 1)
    await change(person, { name: 'Another' })
    expect((await retry(person)).body).toMatchObject({ status: 'failed' })
    const [row] = await project.sql`
      select stripe_customer_id as id from public.organizations where id = ${person.organizationId}`
    const { customers } = await project.resources(person.organizationId)
    expect(customers.map(({ id }) => id)).toEqual([row?.id])
  })

  it('has no address when Stripe takes none of what Auth has taken: event and status say so, and nothing fails', async () => {
    const refused = ['ann@intranet', `zoë.${crypto.randomUUID()}@example.com`]
    for (const billing_email of refused) {
      const person = await signUpWith({ billing_email })
      await project.waitFor(person.organizationId)
      const { customers } = await project.resources(person.organizationId)
      expect(customers.map(({ email }) => email)).toEqual([null])
      const events = async () =>
        project.sql`select metadata ->> 'billingEmail' as said from public.provisioning_events
          where organization_id = ${person.organizationId} and event_type = 'step.succeeded'
            and resource_type like '%stripe_customer' order by completed_at`
      expect(await events()).toEqual([{ said: 'refused by Stripe' }])
      const status = async () => {
        const [row] = await project.sql<{ text: string }[]>`
          select (provisioning.describe_tenant(${person.organizationId}) -> 'checks')::text as text`
        return row?.text
      }
      expect(await status()).toContain(`${billing_email} (refused by Stripe)`)

      await change(person, { billing_email: 'books@example.com' })
      expect((await retry(person, { services: ['stripe'] })).body).toMatchObject({ status: 'succeeded' })
      const corrected = await project.resources(person.organizationId)
      expect(corrected.customers.map(({ id, email }) => ({ id, email }))).toEqual([
        { id: customers[0]?.id, email: 'books@example.com' },
      ])
      expect((await events()).at(-1)).toEqual({ said: null })
      expect(await status()).not.toContain('refused by Stripe')

      await change(person, { billing_email, name: 'Renamed' })
      expect((await retry(person, { services: ['stripe'] })).body).toMatchObject({ status: 'succeeded' })
      const again = await project.resources(person.organizationId)
      expect(again.customers.map(({ name, email }) => ({ name, email }))).toEqual([
        { name: 'Renamed', email: null },
      ])
      expect(await status()).toContain(`${billing_email} (refused by Stripe)`)
    }
  })
})
