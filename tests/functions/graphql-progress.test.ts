import { once } from 'node:events'
import { createServer } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { importJWK, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { bearer, graphqlInProcess, graphqlUrl } from './graphql-client.ts'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject()
})

afterAll(() => project?.stop())

afterEach(() => {
  project.neonEmulator.faults.clear()
  project.stripeEmulator.faults.clear()
})

interface Progress {
  readonly overall: string
  readonly percent: number
  readonly revision: string
}

interface SentEvent {
  readonly type: string
  readonly data: {
    data?: { provisioningProgress: Progress } | null
    errors?: { extensions: { code: string } }[]
  }
}

const SUBSCRIPTION = `subscription ($id: ID!) { provisioningProgress(organizationId: $id) { overall percent revision } }`

const listen = (token: string, organizationId: string) => ({
  method: 'POST',
  headers: { 'content-type': 'application/json', accept: 'text/event-stream', ...bearer(token) },
  body: JSON.stringify({ query: SUBSCRIPTION, variables: { id: organizationId } }),
})

/** The events of a stream as they come, without the pings. */
async function* eventsOf(reply: Response): AsyncGenerator<SentEvent> {
  if (!reply.body) throw new Error('the reply has no body')
  let text = ''
  for await (const chunk of reply.body.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const blocks = text.split('\n\n')
    text = blocks.pop() ?? ''
    for (const block of blocks) {
      const type = /^event: (.*)$/m.exec(block)?.[1]
      const data = /^data: ?(.*)$/m.exec(block)?.[1]
      if (type) yield { type, data: data ? JSON.parse(data) : {} }
    }
  }
}

async function collect(reply: Response): Promise<SentEvent[]> {
  const events: SentEvent[] = []
  for await (const event of eventsOf(reply)) events.push(event)
  return events
}

const states = (events: readonly SentEvent[]) =>
  events.flatMap(({ data }) => (data.data ? [data.data.provisioningProgress] : []))

/** A tenant whose database takes its time, while the test looks on. */
async function slowTenant(): Promise<SignedUp> {
  project.neonEmulator.faults.add({
    match: { operation: 'createProject' },
    action: { type: 'latency', ms: 1_500 },
  })
  return project.signUp()
}

/** A tenant whose provisioning does not start: nor by a worker that still looks for work after its last job. */
async function waitingTenant(): Promise<SignedUp> {
  await project.sql`select provisioning.pause('everything', '', 'until the job is put off')`
  const person = await project.signUp()
  await project.sql`update public.provisioning_jobs set next_attempt_at = now() + interval '1 hour'
    where organization_id = ${person.organizationId} and status = 'queued'`
  await project.sql`select provisioning.resume('everything')`
  return person
}

const inProcess = (timing: { pollMs: number; subscriptionMs: number }) =>
  graphqlInProcess(project, { ...timing, provisionWaitMs: 1_000 })

describe('a subscription to the progress', () => {
  it('tells the state at once, each change, and completes when the tenant is ready', async () => {
    const { accessToken, organizationId } = await slowTenant()
    const reply = await fetch(graphqlUrl(project), listen(accessToken, organizationId))
    expect(reply.status).toBe(200)
    expect(reply.headers.get('content-type')).toContain('text/event-stream')
    expect(reply.headers.get('access-control-allow-origin')).toBe('*')
    const events = await collect(reply)
    expect(events.at(-1)?.type).toBe('complete')
    const told = states(events)
    expect(told.length).toBeGreaterThan(1)
    expect(told[0]?.overall).not.toBe('READY')
    expect(told.at(-1)).toMatchObject({ overall: 'READY', percent: 100 })
    expect(told.map(({ percent }) => percent)).toEqual(
      told.map(({ percent }) => percent).toSorted((a, b) => a - b),
    )
    expect(new Set(told.map(({ revision }) => revision)).size).toBe(told.length)
  })

  it('starts again with the current state after the connection was lost', async () => {
    const { accessToken, organizationId } = await slowTenant()
    const lost = new AbortController()
    const first = await fetch(graphqlUrl(project), {
      ...listen(accessToken, organizationId),
      signal: lost.signal,
    })
    for await (const _event of eventsOf(first)) break
    lost.abort()
    await project.waitForStep(organizationId, 'stripe_customer', 'succeeded')
    const [again] = await project.sql<{ overall: string }[]>`
      select provisioning_status ->> 'overall' as overall from public.organizations where id = ${organizationId}`
    const events = states(
      await collect(await fetch(graphqlUrl(project), listen(accessToken, organizationId))),
    )
    expect(events[0]?.overall).toBe(again?.overall.toUpperCase())
    expect(events[0]?.percent).toBeGreaterThan(0)
    expect(events.at(-1)?.overall).toBe('READY')
  })

  it('completes after one event when the tenant is ready already', async () => {
    const { accessToken, organizationId } = await project.signUp()
    await project.waitFor(organizationId)
    const events = await collect(await fetch(graphqlUrl(project), listen(accessToken, organizationId)))
    expect(events.map(({ type }) => type)).toEqual(['next', 'complete'])
    expect(states(events)).toMatchObject([{ overall: 'READY', percent: 100 }])
  })

  it('completes with the failure when the provisioning fails', async () => {
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 401 },
    })
    const { accessToken, organizationId } = await project.signUp()
    const events = await collect(await fetch(graphqlUrl(project), listen(accessToken, organizationId)))
    expect(states(events).at(-1)?.overall).toBe('FAILED')
  })

  it('is refused to a stranger with a code, and ends', async () => {
    const { organizationId } = await project.signUp()
    const stranger = await project.signUp()
    const events = await collect(
      await fetch(graphqlUrl(project), listen(stranger.accessToken, organizationId)),
    )
    expect(states(events)).toEqual([])
    expect(events.flatMap(({ data }) => data.errors ?? [])).toMatchObject([
      { extensions: { code: 'organization_not_found' } },
    ])
  })

  it('ends for somebody who is no longer a member', async () => {
    const { accessToken, organizationId, userId } = await waitingTenant()
    await using api = await inProcess({ pollMs: 20, subscriptionMs: 60_000 })
    const events = eventsOf(await api.send(listen(accessToken, organizationId)))
    expect((await events.next()).value?.type).toBe('next')
    await project.sql`delete from public.organization_members
      where organization_id = ${organizationId} and user_id = ${userId}`
    expect((await events.next()).value?.data.errors?.[0]?.extensions.code).toBe('organization_not_found')
  })
})

/** Of a project with the legacy shared secret, which the local stack's Auth does not sign with: it knows every token. */
async function legacyAuthServer(userId: string): Promise<AsyncDisposable & { url: string }> {
  const server = createServer((_, response) => response.end(JSON.stringify({ id: userId })))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const address = server.address()
  return {
    url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : address}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

describe('the time of a subscription', () => {
  it('ends with a completing event before the function’s does, so that the client comes again', async () => {
    const { accessToken, organizationId } = await waitingTenant()
    await using api = await inProcess({ pollMs: 20, subscriptionMs: 200 })
    const startedAt = Date.now()
    const events = await collect(await api.send(listen(accessToken, organizationId)))
    expect(Date.now() - startedAt).toBeLessThan(10_000)
    expect(events.map(({ type }) => type)).toEqual(['next', 'complete'])
  })

  it.each(['ES256', 'HS256'] as const)('ends with the access token’s (%s)', async (algorithm) => {
    const { userId, organizationId } = await waitingTenant()
    await using auth = await legacyAuthServer(userId)
    const projectUrl = algorithm === 'HS256' ? auth.url : project.services.url
    await using api = graphqlInProcess(
      project,
      { pollMs: 20, subscriptionMs: 60_000, provisionWaitMs: 0 },
      projectUrl,
    )
    const secret =
      algorithm === 'HS256' ? new Uint8Array(32) : await importJWK(project.keys.signingKey, 'ES256')
    const token = await new SignJWT({ sub: userId, role: 'authenticated', aud: 'authenticated' })
      .setProtectedHeader({ alg: algorithm, kid: project.keys.signingKey.kid ?? '' })
      .setIssuer(`${project.services.url}/auth/v1`)
      .setExpirationTime('3s')
      .sign(secret)
    const events = await collect(await api.send(listen(token, organizationId)))
    expect(events.map(({ type }) => type)).toEqual(['next', 'complete'])
  })

  it('is not spent on a client that has gone: nobody asks the database any more', async () => {
    const { accessToken, organizationId } = await waitingTenant()
    await using api = await inProcess({ pollMs: 20, subscriptionMs: 60_000 })
    const reply = await api.send(listen(accessToken, organizationId))
    const events = eventsOf(reply)
    await events.next()
    const started = api.statements()
    await until('poll', () => (api.statements() > started + 2 ? true : undefined))
    await events.return(undefined)
    await sleep(60)
    const before = api.statements()
    await sleep(200)
    expect(api.statements()).toBe(before)
  })

  it('is over in the deployed function too when the connection is cut', async () => {
    const { accessToken, organizationId } = await waitingTenant()
    const cut = new AbortController()
    const reply = await fetch(graphqlUrl(project), {
      ...listen(accessToken, organizationId),
      signal: cut.signal,
    })
    const events = eventsOf(reply)
    await events.next()
    const lastPollAt = async () => {
      const [row] = await project.superuser<{ at: Date | null }[]>`
        select max(query_start) as at from pg_stat_activity
        where datname = current_database() and query like '%watched_progress%' and pid <> pg_backend_pid()`
      return row?.at?.getTime()
    }
    await until('poll', lastPollAt)
    cut.abort()
    await until(
      'silence',
      async () => {
        const before = await lastPollAt()
        await sleep(1_200)
        return (await lastPollAt()) === before ? true : undefined
      },
      10_000,
    )
  })
})

describe('many who listen', () => {
  const quick = { pollMs: 20, subscriptionMs: 60_000, provisionWaitMs: 0 }
  const withPlaces = (variables: Readonly<Record<string, string>>) =>
    graphqlInProcess(project, quick, project.services.url, variables)
  const first = async (reply: Response) => {
    const events = eventsOf(reply)
    return { events, first: (await events.next()).value }
  }
  const tooMany = {
    data: { errors: [{ extensions: { code: 'too_many_waiting', retryAfterSeconds: 5 } }] },
  }

  it('are so many for a user and for a process, and a client that has gone makes room', async () => {
    const [ann, ben, eve] = [await waitingTenant(), await waitingTenant(), await waitingTenant()]
    await using api = withPlaces({ WAITING_PER_USER: '2', WAITING_PER_PROCESS: '3' })
    const subscribe = async ({ accessToken, organizationId }: SignedUp) =>
      first(await api.send(listen(accessToken, organizationId)))
    const pending = { data: { data: { provisioningProgress: { overall: 'PENDING' } } } }
    const [one, two] = [await subscribe(ann), await subscribe(ann)]
    expect([one.first, two.first]).toMatchObject([pending, pending])
    expect((await subscribe(ann)).first, 'a third of the user').toMatchObject(tooMany)
    expect((await subscribe(ben)).first, 'somebody else').toMatchObject(pending)
    expect((await subscribe(eve)).first, 'a fourth of the process').toMatchObject(tooMany)
    await one.events.return(undefined)
    await until('place', async () => {
      const again = await subscribe(ann)
      return again.first?.data.errors ? undefined : true
    })
    expect((await subscribe(ann)).first, 'no more than one place was free').toMatchObject(tooMany)
  })

  it('share one poll, from which each is told what they may see', async () => {
    const [ann, ben] = [await waitingTenant(), await waitingTenant()]
    await using api = withPlaces({})
    await project.sql`insert into public.organization_members (organization_id, user_id, role)
      values (${ann.organizationId}, ${ben.userId}, 'member')`
    const listeners = [
      ...Array.from({ length: 15 }, () => listen(ann.accessToken, ann.organizationId)),
      ...Array.from({ length: 10 }, () => listen(ben.accessToken, ann.organizationId)),
      ...Array.from({ length: 5 }, () => listen(ben.accessToken, ben.organizationId)),
    ]
    const open = await Promise.all(listeners.map(async (each) => first(await api.send(each))))
    const before = api.statements()
    const startedAt = performance.now()
    await sleep(500)
    const polls = (performance.now() - startedAt) / quick.pollMs
    expect(api.statements() - before).toBeGreaterThan(1)
    expect(api.statements() - before).toBeLessThanOrEqual(polls + 1)
    await project.sql`delete from public.organization_members
      where organization_id = ${ann.organizationId} and user_id = ${ben.userId}`
    const refused = await Promise.all(open.slice(15, 25).map(({ events }) => events.next()))
    expect(refused.map(({ value }) => value?.data.errors?.[0]?.extensions.code)).toEqual(
      Array(10).fill('organization_not_found'),
    )
    await project.sql`update public.provisioning_jobs set attempts = attempts + 1
      where organization_id in (${ann.organizationId}, ${ben.organizationId})`
    const rest = [...open.slice(0, 15), ...open.slice(25)]
    const told = await Promise.all(rest.map(({ events }) => events.next()))
    expect(told.map(({ value }) => value?.data.data?.provisioningProgress.overall)).toEqual(
      Array(20).fill('PENDING'),
    )
    await Promise.all(rest.map(({ events }) => events.return(undefined)))
  })
})
