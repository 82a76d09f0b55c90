import { randomBytes } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import path from 'node:path'
import postgres from 'postgres'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, inject, it, vi } from 'vitest'
import type { FunctionLogLine } from '../../local/gateway/functions/processes.ts'
import { type Gateway, startGateway } from '../../local/gateway/gateway.ts'
import { databaseUrl } from '../../local/postgres/server.ts'
import { tenantRoleName } from '../../shared/services/neon/tenant.ts'
import { projectRoot } from '../../tools/project.ts'
import { supabaseClient } from '../../tools/supabase-client.ts'
import { makeNeonProject } from '../support/neon-project.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { everyOperation } from './graphql-operations.ts'
import { CONNECTION_URI, dumpTables, findSecrets, type Place, type Secret } from './secret-search.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 })

/** The keys with which local/project-services.ts provides the functions. */
const PROVIDER_KEYS: readonly Secret[] = [
  { kind: 'Stripe key', value: 'sk_test_localemulator' },
  { kind: 'Neon key', value: 'napi_localemulator' },
]
const HOOK_SECRET = `v1,whsec_${randomBytes(32).toString('base64')}`

let project: TestProject
/** With the function that has the secret of an auth hook. */
let hookGateway: Gateway
let logStart: number
const hookLog: FunctionLogLine[] = []
const secrets: Secret[] = [...PROVIDER_KEYS, { kind: 'hook secret', value: HOOK_SECRET }]
/** Everything that was read in the course of the run. */
const places: Place[] = []
/** Every reply of the gateway, by the path that was asked for, and what the asker wrote behind `#` (it is not sent). */
const replies: Place[] = []

const learn = (kind: string, value: string | null | undefined) => {
  if (!value || value.length < 14) throw new Error(`there is no ${kind} to look for`)
  if (!secrets.some((secret) => secret.value === value)) secrets.push({ kind, value })
}

const remember = async (when: string) => {
  const dump = await dumpTables(project.superuser)
  places.push(...dump.map(({ name, text }) => ({ name: `${name} (${when})`, text })))
}

/** Keeps what every reply said, whoever asked: supabase-js, the tests' helpers, this file. */
function recordReplies(): void {
  const send = globalThis.fetch
  globalThis.fetch = async (input, init) => {
    const reply = await send(input, init)
    const { pathname, hash } = new URL(input instanceof Request ? input.url : input)
    const headers = JSON.stringify([...reply.headers])
    replies.push({ name: `reply of ${pathname}${hash}`, text: `${headers}\n${await reply.clone().text()}` })
    return reply
  }
}

beforeAll(async () => {
  recordReplies()
  project = await startTestProject({ settings: { max_step_attempts: 50 } })
  await project.sql`update provisioning.resource_kinds set grace_hours = 0`
  await logEverything()
  hookGateway = await startHookGateway()
  const { secretKey, serviceRoleKey, legacyJwtSecret } = project.keys
  learn('secret key', secretKey)
  learn('legacy secret key', serviceRoleKey.split('.')[2])
  learn('legacy JWT secret', legacyJwtSecret)
  const keys = await project.sql<{ name: string; key: string }[]>`
    select name, decrypted_secret as key from vault.decrypted_secrets where name like 'provisioning\\_%'`
  for (const { name, key } of keys) learn(name, key)
  await fullRun()
})

afterAll(async () => {
  await hookGateway?.stop()
  await project?.stop()
})

/** Statements with their parameters, also those that fail, in sessions that begin from now on. */
async function logEverything(): Promise<void> {
  logStart = (await stat(inject('postgresLog'))).size
  const [row] = await project.superuser<{ name: string }[]>`select current_database() as name`
  await project.superuser.unsafe(`
    alter database ${row?.name} set log_statement = 'all';
    alter database ${row?.name} set log_parameter_max_length_on_error = -1`)
  // Auth itself hashes passwords, and only its local stand-in has the database do it.
  await project.superuser.unsafe(
    `alter role supabase_auth_admin in database ${row?.name} set log_statement = 'none'`,
  )
  await project.superuser`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and application_name <> 'tests'`
}

/** Without what PostgREST itself hands to every request's transaction: all headers, the caller's token among them. */
async function postgresLog(): Promise<string> {
  const log = (await readFile(inject('postgresLog'))).subarray(logStart).toString('utf8')
  return log.replaceAll(/'request\.headers', \$\d+ = '(?:[^']|'')*'/g, '')
}

async function startHookGateway(): Promise<Gateway> {
  const name = new URL(project.databaseUrl()).pathname.slice(1)
  return startGateway({
    port: 0,
    host: '127.0.0.1',
    database: (role) => databaseUrl(inject('postgresPort'), name, role),
    keys: project.keys,
    functionsDir: path.join(projectRoot, 'supabase/functions'),
    configFile: path.join(projectRoot, 'supabase/config.toml'),
    functionEnv: { HANDLE_NEW_USER_HOOK_SECRET: HOOK_SECRET },
    functionsLog: (line) => void hookLog.push(line),
  })
}

async function signUp(): Promise<SignedUp> {
  const client = supabaseClient(project.services.url, project.keys.publishableKey)
  const password = `User-${crypto.randomUUID()}`
  learn('user’s password', password)
  const { data, error } = await client.auth.signUp({
    email: `${crypto.randomUUID()}@example.com`,
    password,
  })
  if (error) throw error
  learn('access token', data.session?.access_token.split('.')[2])
  await client.auth.signInWithPassword({ email: data.user?.email ?? '', password })
  await client.auth.signInWithPassword({ email: data.user?.email ?? '', password: `${password}x` })
  const person = await project.describeUser(client)
  learn('access token', person.accessToken.split('.')[2])
  return person
}

/** A passing request of the kind that a browser or a backend makes, whatever comes of it. */
async function post(
  name: string,
  body: unknown,
  headers: Record<string, string>,
  to = project.services.url,
): Promise<{ status: number; body: Record<string, unknown> }> {
  const reply = await fetch(`${to}/functions/v1/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: reply.status, body: JSON.parse(await reply.text()) }
}

const asBackend = (name: string, body: unknown) => post(name, body, { apikey: project.keys.secretKey })
const asUser = ({ accessToken }: SignedUp, name: string, body: unknown) =>
  post(name, body, { apikey: project.keys.publishableKey, authorization: `Bearer ${accessToken}` })

/** Of the login that people are shown, and of those that are ours. */
async function learnPasswords({ organizationId }: SignedUp): Promise<void> {
  const found = await project.sql<{ name: string; password: string }[]>`
    select name, decrypted_secret as password from vault.decrypted_secrets
    where name like ${`tenant_database_password/${organizationId}/%`}`
  // After a rotation there is another one of the tenant's.
  expect(found.length).toBeGreaterThanOrEqual(3)
  for (const { name, password } of found)
    learn(/\/app_\d$/.test(name) ? 'tenant’s password' : 'password of ours', password)
}

async function ready(person: SignedUp): Promise<SignedUp> {
  await project.whileTimePasses(
    'ready organization',
    async () => (await project.provisioning(person.organizationId)).overall === 'ready' || undefined,
  )
  await learnPasswords(person)
  return person
}

/** What a provider says in the worst case: everything that it knows. */
const talkative = (status: number) => {
  const message = `Invalid API key ${PROVIDER_KEYS.map(({ value }) => value).join(' and ')}; Authorization: Bearer ${
    PROVIDER_KEYS[1]?.value
  }; see postgresql://owner:npg_${'TalkedAbout1234'}@host/db`
  return {
    type: 'status',
    status,
    body: { code: '', message, error: { message, type: 'api_error' } },
  } as const
}

async function fullRun(): Promise<void> {
  secrets.push({ kind: 'password that a provider quotes', value: 'TalkedAbout1234' })
  const ada = await ready(await signUp())
  await whileDoorbellsWait()
  await providerFailures()
  await loginRefused()
  await crashingStep()
  await revealing(ada)
  await lookingAround(ada)
  await refusedRequests(ada)
  await cancelling()
  await deleting(await ready(await signUp()))
  await reconciling()
  await hooks(ada)
  await remember('at the end')
}

/** pg_net's queue is only seen while nothing leaves it. */
async function whileDoorbellsWait(): Promise<void> {
  const person = await project.whileHeld(async () => {
    const waiting = await signUp()
    await project.sweep()
    await remember('while doorbells wait')
    return waiting
  })
  await ready(person)
}

async function providerFailures(): Promise<void> {
  const { neonEmulator, stripeEmulator } = project
  for (const status of [400, 401, 503]) {
    neonEmulator.faults.add({ match: { operation: 'createProject' }, action: talkative(status), times: 1 })
    stripeEmulator.faults.add({ match: { operation: 'PostCustomers' }, action: talkative(status), times: 1 })
    const person = await signUp()
    await until('failure of both providers', async () => {
      const failed = await project.sql`
        select distinct resource_type from public.provisioning_events
        where organization_id = ${person.organizationId} and event_type in ('step.retrying', 'step.failed')`
      return failed.length >= 2 || undefined
    })
    await remember(`after a provider's ${status}`)
    await person.client.from('provisioning_events').select()
    await person.client.from('provisioning_steps').select()
    await person.client.from('tenant_alerts').select()
    await asUser(person, 'provision-tenant-resources', { organizationId: person.organizationId, wait: true })
    await ready(person)
  }
}

/** Another password than Neon tells of, until it is set anew. */
async function loginRefused(): Promise<void> {
  const { person, projectId } = await project.whileHeld(async () => {
    const waiting = await signUp()
    const made = await makeNeonProject(project, waiting)
    await project.superuser.unsafe(`alter role ${made.physicalName} password 'another'`)
    return { person: waiting, projectId: made.projectId }
  })
  const { error } = await project.waitForStep(person.organizationId, 'credentials', 'retrying')
  expect(error?.code).toBe('tenant_database_login_refused')
  await remember('while a login is refused')
  const { branches } = (await project.neon.listProjectBranches({ projectId })).data
  const branch = branches[0]?.id ?? ''
  const { data } = await project.neon.resetProjectBranchRolePassword(
    projectId,
    branch,
    tenantRoleName(person.organizationId),
  )
  learn('tenant’s password', data.role.password)
  await ready(person)
  await asBackend('provision-tenant-resources', {
    organizationId: person.organizationId,
    services: ['neon'],
    wait: true,
  })
}

/** An error of Postgres that nobody thought of, in the very statement that brings the password. */
async function crashingStep(): Promise<void> {
  await project.sql`alter table public.organization_databases
    add constraint trouble check (credentials_secret_id is null) not valid`
  const person = await signUp()
  await until('crash', () => project.log.some(({ text }) => text.includes('trouble')) || undefined)
  await remember('after a crash')
  await project.sql`alter table public.organization_databases drop constraint trouble`
  await ready(person)
}

async function revealing({ client, organizationId }: SignedUp): Promise<void> {
  const reveal = (reveal_password: boolean) =>
    client.rpc('database_connection', {
      organization_id: organizationId,
      ...(reveal_password ? { reveal_password } : {}),
    })
  await reveal(false)
  await reveal(true)
  for (const table of ['organizations', 'organization_databases', 'provisioning_jobs', 'audit_logs'] as const)
    await client.from(table).select()
}

/** The health of a tenant, and all that GraphQL tells and does, once without and once with the password. */
async function lookingAround(person: SignedUp): Promise<void> {
  const { organizationId, email, accessToken } = person
  await asUser(person, 'check-tenant-health', { organizationId, deep: true })
  await asBackend('check-tenant-health', { organizationId, deep: true })
  const fields = '{ __schema { types { name fields { name } } } }'
  await asUser(person, 'graphql', { query: fields })
  await asUser(person, 'graphql', { query: '{ nothingOfTheKind }' })
  const askers = [{ authorization: `Bearer ${accessToken}` }, { apikey: project.keys.secretKey }]
  const literals = {
    organizationId: `"${organizationId}"`,
    email: `"${email}"`,
    services: '["stripe", "neon"]',
    first: '5',
    deep: 'true',
    dryRun: 'true',
    includeResolved: 'true',
  }
  for (const asker of askers)
    for (const { field, text } of everyOperation(literals))
      if (field !== 'cancelProvisioning') await askGraphql(text, asker, field)
  const revealing = everyOperation({ ...literals, revealPassword: 'true' })
  for (const { field, text } of revealing)
    if (text.includes('revealPassword'))
      for (const asker of askers) await askGraphql(text, asker, `${field}, revealed`)
  await ready(person)
}

/** Also subscriptions, which end by themselves when a tenant is ready. */
async function askGraphql(query: string, asker: Record<string, string>, name: string): Promise<void> {
  const reply = await fetch(`${project.services.url}/functions/v1/graphql#${name}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: query.startsWith('subscription') ? 'text/event-stream' : 'application/json',
      ...asker,
    },
    body: JSON.stringify({ query }),
  })
  expect(reply.status, name).toBe(200)
}

async function refusedRequests(person: SignedUp): Promise<void> {
  const { organizationId, accessToken } = person
  const name = 'provision-tenant-resources'
  await asUser(person, name, { organizationId, password: 'x' })
  await asUser(person, name, { organizationId: crypto.randomUUID() })
  await asUser(person, 'deprovision-tenant-resources', { organizationId })
  await post(name, { organizationId }, { authorization: `Bearer ${accessToken}x` })
  await post(name, { organizationId }, { apikey: `${project.keys.secretKey}x` })
  await post(name, `{"organizationId": ${project.keys.secretKey}`, { apikey: project.keys.secretKey })
  await post(name, { ...(await project.signDoorbell()), expiresAt: 1 }, {})
  // A database that is gone in the middle of everything is an unexpected error, and told of in the function's log.
  await project.superuser`
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'tenant-provisioning'`
  await until('function that has a database again', async () => {
    // It has been asked for so much by now that it would be put off.
    await project.sql`delete from provisioning.counted_calls`
    const { status } = await asUser(person, name, {
      organizationId,
      services: ['stripe', 'neon'],
      wait: true,
    })
    return status === 200 || undefined
  })
}

async function cancelling(): Promise<void> {
  project.neonEmulator.faults.add({ match: { operation: 'createProject' }, action: talkative(503) })
  const people = [await signUp(), await signUp()] as const
  for (const { organizationId } of people)
    await project.waitForStep(organizationId, 'neon_project', 'retrying')
  const [first, second] = people
  const { organizationId } = first
  const { status } = await asUser(first, 'provision-tenant-resources', { organizationId, cancel: true })
  expect(status).toBe(200)
  const operations = everyOperation({ organizationId: `"${second.organizationId}"` })
  const cancellation = operations.find(({ field }) => field === 'cancelProvisioning')
  if (!cancellation) throw new Error('GraphQL has no cancellation')
  await askGraphql(cancellation.text, { authorization: `Bearer ${second.accessToken}` }, cancellation.field)
  expect((await project.provisioning(second.organizationId)).overall).toBe('cancelled')
  await remember('after a cancellation')
  project.neonEmulator.faults.clear()
  await allWorkDone()
}

async function deleting({ organizationId }: SignedUp): Promise<void> {
  const [organization] = await project.sql<{ slug: string }[]>`
    select slug from public.organizations where id = ${organizationId}`
  await asBackend('deprovision-tenant-resources', { organizationId, dryRun: true })
  await asBackend('deprovision-tenant-resources', { organizationId, confirm: organization?.slug })
  await allWorkDone()
  expect(await project.resources(organizationId)).toMatchObject({ projects: [] })
}

/** Whatever waits for a grace period or for stopped workers is due now. */
async function allWorkDone(): Promise<void> {
  await project.whileTimePasses('end of all work', async () => {
    await project.sweep()
    const open = await project.sql`
      select from public.provisioning_jobs where status in ('queued', 'running')`
    return open.length === 0 || undefined
  })
}

async function reconciling(): Promise<void> {
  await project.neon.createProject({ project: { name: `org-${crypto.randomUUID()}` } })
  await asBackend('reconcile-tenants', { wait: true })
  project.neonEmulator.faults.add({
    match: { operation: 'listProjects' },
    action: talkative(401),
    times: 1,
  })
  await asBackend('reconcile-tenants', { wait: true })
}

async function hooks({ userId }: SignedUp): Promise<void> {
  const body = JSON.stringify({ metadata: { name: 'after-user-created' }, user: { id: userId } })
  const id = crypto.randomUUID()
  const now = new Date()
  const signature = new Webhook(HOOK_SECRET.replace('v1,', '')).sign(id, now, body)
  const headers = { 'webhook-id': id, 'webhook-timestamp': String(Math.floor(now.getTime() / 1000)) }
  const send = (sent: string, text = body) =>
    post('handle-new-user', text, { ...headers, 'webhook-signature': sent }, hookGateway.url)
  expect((await send(signature)).status).toBe(200)
  expect((await send('v1,AAAA')).status).toBe(401)
  expect((await send(signature, '{')).status).toBe(401)
  const event = { type: 'INSERT', schema: 'auth', table: 'users', record: { id: userId } }
  await post('handle-new-user', event, { apikey: project.keys.secretKey }, hookGateway.url)
}

/** Who signs in gets tokens, and who reveals a password gets that: these replies are what was asked for. */
const wasAskedFor = (finding: string) =>
  /^access token in reply of \/auth\/v1\//.test(finding) ||
  finding === 'tenant’s password in reply of /rest/v1/rpc/database_connection' ||
  finding === 'tenant’s password in reply of /functions/v1/graphql#tenantConnectionInfo,%20revealed'

const functionOutput = (): Place => ({
  name: 'function output',
  text: [...project.log, ...hookLog].map(({ text }) => text).join('\n'),
})

describe('after a full run', () => {
  it('there was every kind of secret to look for, and every place to look in', async () => {
    expect([...new Set(secrets.map(({ kind }) => kind))].sort()).toEqual([
      'Neon key',
      'Stripe key',
      'access token',
      'hook secret',
      'legacy JWT secret',
      'legacy secret key',
      'password of ours',
      'password that a provider quotes',
      'provisioning_doorbell_key',
      'provisioning_sealing_key',
      'secret key',
      'tenant’s password',
      'user’s password',
    ])
    const names = new Set(places.map(({ name }) => name.replace(/ \(.*/, '')))
    for (const table of [
      'auth.users',
      'public.provisioning_events',
      'public.provisioning_steps',
      'public.audit_logs',
      'provisioning.answered_doorbells',
      'provisioning.provider_status',
      'provisioning.reconciliation_runs',
      'net.http_request_queue',
      'net._http_response',
      'cron.job',
      'cron.job_run_details',
    ])
      expect(names).toContain(table)
    const text = (table: string) => places.find(({ name }) => name.startsWith(table))?.text
    expect(text('net.http_request_queue (while')).toContain(Buffer.from('"signature"').toString('hex'))
    const paths = new Set(replies.map(({ name }) => name))
    for (const { field } of everyOperation({}))
      expect(paths).toContain(`reply of /functions/v1/graphql#${field}`)
    for (const path of ['auth/v1/signup', 'rest/v1/provisioning_events', 'functions/v1/reconcile-tenants'])
      expect(paths).toContain(`reply of /${path}`)
  })

  it('no secret is in any table outside Vault, at any time', () => {
    expect(findSecrets(secrets, places)).toEqual([])
  })

  it('no secret is in the log of Postgres, which has every statement with its parameters', async () => {
    const log = await postgresLog()
    for (const logged of ['provisioning.store_credentials', 'Parameters: $1', 'provisioning.claim_jobs'])
      expect(log.includes(logged), logged).toBe(true)
    expect(findSecrets(secrets, [{ name: 'Postgres log', text: log }])).toEqual([])
  })

  it('no secret is in what the functions wrote, which tells of the crash', () => {
    expect(functionOutput().text).toContain(String.raw`violates check constraint \"trouble\"`)
    expect(findSecrets(secrets, [functionOutput()])).toEqual([])
  })

  it('no secret is in a reply that was not asked for it, and each of those that were has its own alone', () => {
    const findings = findSecrets(secrets, replies)
    expect(findings.filter((finding) => !wasAskedFor(finding))).toEqual([])
    expect(findings.filter(wasAskedFor).length).toBeGreaterThan(1)
    const revealing = replies.filter(({ name, text }) => {
      const passwords = secrets.filter(({ kind }) => kind === 'tenant’s password')
      return name.endsWith('/database_connection') && findSecrets(passwords, [{ name, text }]).length > 0
    })
    expect(revealing, 'of two calls, one asked to reveal').toHaveLength(1)
  })

  it('no connection URI has a password, and those that a provider quoted are masked', async () => {
    const all = [...places, ...replies, functionOutput(), { name: 'log', text: await postgresLog() }]
    expect(all.filter(({ text }) => CONNECTION_URI.test(text)).map(({ name }) => name)).toEqual([])
    const events = places.filter(({ name }) => name.startsWith('public.provisioning_events'))
    expect(events.some(({ text }) => text.includes('postgresql://owner:***@host/db'))).toBe(true)
  })
})

describe('the search', () => {
  const forms: [string, (secret: string) => string][] = [
    ['as it is', (secret) => secret],
    ['in JSON', (secret) => JSON.stringify({ note: secret })],
    ['in a URL', (secret) => `https://example.com/?q=${encodeURIComponent(secret)}`],
    ['in base64 within another text', (secret) => Buffer.from(`header ${secret} end`).toString('base64')],
    ['cut off', (secret) => secret.slice(0, Math.max(14, Math.ceil(secret.length * 0.7)))],
  ]

  /** One of each kind. */
  const samples = () => [...new Map(secrets.map((secret) => [secret.kind, secret])).values()]

  it.each(forms)('finds every kind of secret in a table, %s, as text and as bytes', async (_how, write) => {
    const { superuser } = project
    await superuser`create unlogged table provisioning.planted (note text, bytes bytea)`
    const missed: string[] = []
    for (const secret of samples()) {
      await superuser`truncate provisioning.planted`
      await superuser.begin(async (tx) => {
        await tx`set local log_statement = 'none'`
        await tx`insert into provisioning.planted (note) values (${write(secret.value)})`
      })
      const asText = findSecrets([secret], await dumpTables(superuser))
      await superuser.begin(async (tx) => {
        await tx`set local log_statement = 'none'`
        await tx`update provisioning.planted set note = null, bytes = convert_to(${write(secret.value)}, 'utf8')`
      })
      const asBytes = findSecrets([secret], await dumpTables(superuser))
      if (!asText.includes(`${secret.kind} in provisioning.planted`)) missed.push(`${secret.kind} as text`)
      if (!asBytes.includes(`${secret.kind} in provisioning.planted`)) missed.push(`${secret.kind} as bytes`)
    }
    await superuser`drop table provisioning.planted`
    expect(missed).toEqual([])
  })

  it('finds every kind of secret in the log of Postgres, among statements, parameters and errors', async () => {
    const logged = postgres(project.databaseUrl(), { max: 1, onnotice: () => undefined })
    for (const { value } of samples()) {
      await logged`select ${value}::text`
      await logged.unsafe(`select '${value}' as planted`)
      await logged`select ${`${value}`}::integer`.catch(() => undefined)
    }
    await logged.end()
    const log = await postgresLog()
    const missed = samples().filter(
      (secret) => findSecrets([secret], [{ name: 'log', text: log }]).length === 0,
    )
    expect(missed).toEqual([])
  })

  it('finds every kind of secret in the output of a function and in a reply', () => {
    for (const secret of samples()) {
      const place = { name: 'output', text: `Error: ${secret.value}\n    at file.ts` }
      expect(findSecrets([secret], [functionOutput(), place])).toEqual([`${secret.kind} in output`])
    }
  })
})
