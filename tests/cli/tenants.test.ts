import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { serviceNames } from '../../shared/services/registry.ts'
import { cliCommand } from '../../tools/remedies.ts'
import { type SignedUp, startTestProject, type TestProject, until } from '../support/project.ts'
import { REMEDY_COMMANDS } from '../support/remedy-commands.ts'
import { signUp } from '../support/sign-up.ts'
import { loginConnection } from '../support/tenant-logins.ts'
import { operatorOf, startTenants, tenants, tenantsJson } from './cli.ts'
import { problemWith } from './printed-commands.ts'

// The machine may do much else.
vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 })

let project: TestProject
let environment: NodeJS.ProcessEnv
let auth: postgres.Sql
let ready: SignedUp
let slug: string

beforeAll(async () => {
  project = await startTestProject()
  environment = operatorOf(project)
  auth = postgres(project.databaseUrl('supabase_auth_admin'), { max: 1, onnotice: () => undefined })
  ready = await project.signUp({
    organization_name: 'Ready Company',
    full_name: 'Ada Ready',
    data_region: 'eu',
  })
  await project.waitFor(ready.organizationId)
  slug = await slugOf(ready.organizationId)
})

afterAll(async () => {
  await auth?.end()
  await project?.stop()
})

afterEach(() => project.neonEmulator.faults.clear())

const run = (...args: string[]) => tenants(environment, ...args)
const runJson = (...args: string[]) => tenantsJson(environment, ...args)

async function slugOf(organizationId: string): Promise<string> {
  const [row] = await project.sql<
    { slug: string }[]
  >`select slug from public.organizations where id = ${organizationId}`
  return row?.slug ?? ''
}

/** A tenant with a Stripe customer, and a Neon project that could not be made. */
async function failedTenant(): Promise<SignedUp> {
  project.neonEmulator.faults.add({
    match: { operation: 'createProject' },
    action: { type: 'status', status: 422 },
  })
  const person = await project.signUp()
  await project.waitFor(person.organizationId, 'failed')
  project.neonEmulator.faults.clear()
  return person
}

/** Users from before the installation: the same insert, but no trigger fires. */
async function usersFromBefore(count: number): Promise<string[]> {
  const emails: string[] = []
  await project.superuser`alter table auth.users disable trigger user`
  for (let index = 0; index < count; index++) emails.push((await signUp(auth)).email ?? '')
  await project.superuser`alter table auth.users enable trigger user`
  return emails
}

describe('status', () => {
  test('verifies a ready user in one screen, by e-mail address in any case, slug and ids', async () => {
    const endings = await Promise.all(
      [ready.email.toUpperCase(), slug, ready.organizationId, ready.userId].map((subject) =>
        run('status', subject),
      ),
    )
    for (const ending of endings) expect(ending).toMatchObject({ code: 0, stderr: '' })
    const [first] = endings
    const screen = first?.stdout ?? ''
    expect(new Set(endings.map(({ stdout }) => stdout)).size).toBe(1)
    expect(screen).toMatch(/^✓ ready-company is ready\./)
    const { customers, projects } = await project.resources(ready.organizationId)
    for (const part of [
      ready.email,
      'Ada Ready',
      'eu-central-1',
      'aws-eu-central-1',
      customers[0]?.id,
      projects[0]?.id,
    ])
      expect(screen).toContain(part)
    for (const check of [
      'wallet',
      'ownership',
      'plan',
      'credentials',
      'connection',
      'verify_connection',
      'graphql_endpoint',
      'sign_up',
    ])
      expect(screen).toMatch(new RegExp(`^✓ .*${check} `, 'm'))
  })

  test('prints no colours in a pipe, and no secret', async () => {
    const [password] = await project.sql<{ secret: string }[]>`
      select decrypted_secret as secret from vault.decrypted_secrets
      where name = ${`tenant_database_password/${ready.organizationId}/app_1`}`
    const [text, json] = await Promise.all([run('status', slug), run('status', slug, '--json')])
    expect(text.stdout).not.toContain('\u001b')
    for (const { stdout, stderr } of [text, json]) {
      expect(stdout + stderr).not.toContain(password?.secret)
      expect(stdout + stderr).not.toContain(project.keys.secretKey)
    }
  })

  test('is the same as a process of its own: both outputs and the exit code', async () => {
    const lines = [['status', slug], ['status', 'nobody@example.com', '--json'], ['status']]
    const processes = lines.map((args) => startTenants(environment, ...args).ended)
    expect(await Promise.all(processes)).toEqual(await Promise.all(lines.map((args) => run(...args))))
  })

  test('names the failed step and the command that mends it, with exit code 3', async () => {
    const person = await failedTenant()
    const { code, document } = await runJson('status', person.email)
    expect(code).toBe(3)
    expect(document.verdict).toMatchObject({
      ready: false,
      state: 'failed',
      commands: [`npm run tenants -- retry ${await slugOf(person.organizationId)} --service neon`],
    })
    const { stdout } = await run('status', person.email)
    expect(stdout).toMatch(/^✗ provisioning +failed at neon_project: /m)
    expect(stdout).toContain('provision_failed')
    expect(stdout).toContain('--service neon')
  })

  test('names both accounts of one address, as does provision, and asks which is meant', async () => {
    const person = await project.signUp()
    const { id } = await signUp(auth, { email: person.email, sso: true })
    for (const command of ['status', 'provision']) {
      const ending = await run(command, person.email.toUpperCase())
      expect(ending).toMatchObject({ code: 1, stdout: '' })
      expect(ending.stderr).toContain(`${person.userId} (password or social sign-in), ${id} (single sign-on)`)
      expect(ending.stderr).toContain('Say by its id which one you mean.')
    }
    expect((await runJson('status', id)).document).toMatchObject({ user: { id } })
    await project.waitFor(person.organizationId)
    expect((await run('provision', person.userId)).code).toBe(0)
    // Who has deleted one of them is not asked.
    await project.superuser`update auth.users set deleted_at = now() where id = ${id}`
    expect((await runJson('status', person.email)).document).toMatchObject({ user: { id: person.userId } })
  })

  test('finds an organization whose slug looks like an id', async () => {
    const id = crypto.randomUUID()
    const person = await project.signUp({ organization_name: id })
    expect((await runJson('status', id)).document.organization_id).toBe(person.organizationId)
  })

  test('says with exit code 1, as other commands do, that nobody is called so', async () => {
    const { code, document } = await runJson('status', 'nobody@example.com')
    expect({ code, verdict: document.verdict }).toMatchObject({ code: 1, verdict: { state: 'not_found' } })
  })
})

describe('retry and provision', () => {
  test('retry makes a failed tenant ready and tells each step on standard error', async () => {
    const person = await failedTenant()
    const { code, stdout, stderr } = await run(
      'retry',
      await slugOf(person.organizationId),
      '--service',
      'neon',
    )
    expect(code).toBe(0)
    expect(stdout).toMatch(/ is ready\.\n$/)
    expect(stderr).toMatch(/ verify_connection succeeded$/m)
  })

  test('retry of what fails again ends with 3 and the reason', async () => {
    const person = await failedTenant()
    project.neonEmulator.faults.add({
      match: { operation: 'createProject' },
      action: { type: 'status', status: 422 },
    })
    const { code, stdout } = await run('retry', person.organizationId)
    expect(code).toBe(3)
    expect(stdout).toContain('failed at neon_project')
  })

  test('provision makes the whole tenant of somebody from before the installation', async () => {
    const [email = ''] = await usersFromBefore(1)
    const { code, document } = await runJson('provision', email, '--region', 'eu')
    expect(code).toBe(0)
    expect(document).toMatchObject({ verdict: { ready: true }, user: { email } })
  })

  test('a service that is not offered is a wrong argument, and those that are get named', async () => {
    const { code, document } = await runJson('retry', slug, '--service', 'mail')
    expect({ code, error: document.error }).toMatchObject({
      code: 2,
      error: {
        code: 'usage',
        message: expect.stringContaining(`The services are ${serviceNames.join(', ')}; "mail" is none.`),
      },
    })
  })

  test('the hint for a region that Neon does not offer works as it is printed, with a region in it', async () => {
    await project.sql`insert into provisioning.regions (data_region, label, neon_region, hosting_region)
      values ('mars-1', 'Mars', 'aws-mars-1', 'us-east-1')`
    const person = await project.signUp({ data_region: 'mars-1' })
    await project.waitFor(person.organizationId, 'failed')
    const { verdict } = (await runJson('status', person.email)).document
    const [hint = ''] = (verdict as { commands: string[] }).commands
    expect(hint).toBe(`npm run tenants -- provision ${await slugOf(person.organizationId)} --region REGION`)
    const words = hint.replace('npm run tenants -- ', '').replace('REGION', 'eu').split(' ')
    expect((await run(...words)).code).toBe(0)
  })
})

describe('retry-failed', () => {
  test('says how many there are and why they failed, and tries them again when it is told to', async () => {
    const people = [await failedTenant(), await failedTenant()]
    const one = people[0]?.organizationId ?? ''
    const failure = (await project.provisioning(one)).error as { code: string }
    const chosen = ['retry-failed', '--error-code', failure.code]
    const foreseen = await runJson(...chosen, '--dry-run')
    expect(foreseen).toMatchObject({ code: 0, document: { dry_run: true, retried: 0 } })
    const { matched, by_reason: reasons } = foreseen.document as { matched: number; by_reason: object[] }
    expect(matched).toBeGreaterThanOrEqual(people.length)
    expect(reasons).toEqual([{ code: failure.code, message: expect.any(String), count: matched }])
    expect((await project.provisioning(one)).overall).toBe('failed')

    const refused = await run(...chosen)
    expect(refused).toMatchObject({ code: 1, stdout: '' })
    expect(refused.stderr).toContain('--yes')
    expect((await project.provisioning(one)).overall).toBe('failed')

    const { code, stdout } = await run(...chosen, '--yes')
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringContaining(`${matched} are tried again; 0 are left.`),
    })
    expect(stdout).toContain('Look: npm run tenants -- list --status provisioning,failed')
    for (const { organizationId } of people) await project.waitFor(organizationId)
  })

  test('leaves alone whoever has failed for another reason, and says when there is nobody', async () => {
    const person = await failedTenant()
    const none = await run('retry-failed', '--error-code', 'stripe_key_missing', '--yes')
    expect(none).toMatchObject({
      code: 0,
      stdout: 'There are no such tenants whose provisioning has failed.\n',
    })
    expect((await project.provisioning(person.organizationId)).overall).toBe('failed')
  })
})

test('each command that a finding prints works as it is printed', async () => {
  const names = { user: ready.userId, tenant: slug, organizationId: ready.organizationId }
  const printed = Object.values(REMEDY_COMMANDS)
    .flat()
    // What another region needs is a tenant without a database; see above.
    .filter(({ command }) => command !== 'choose_region')
    .flatMap((command) => cliCommand(command, names) ?? [])
  expect(await Promise.all(printed.map(problemWith))).toEqual(printed.map(() => undefined))
  const ours = new Set(printed.filter((command) => command.startsWith('npm run tenants -- ')))
  expect(ours.size).toBeGreaterThan(9)
  for (const command of ours) {
    const { code, stderr } = await run(...command.replace('npm run tenants -- ', '').split(' '))
    // Doctor's findings are another matter: other tests have left failed tenants.
    const fine = code === 0 || (code === 4 && command.endsWith('doctor'))
    expect({ command, problem: fine ? '' : stderr }).toEqual({ command, problem: '' })
  }
})

describe('pause and resume', () => {
  test('stop one kind of job, say so to whoever waits, and let it go on', async () => {
    const paused = await runJson('pause', '--kind', 'provision', '--reason', 'We are moving.')
    expect(paused).toMatchObject({
      code: 0,
      document: { pauses: [{ scope: 'kind', name: 'provision', reason: 'We are moving.' }] },
    })
    const person = await project.signUp()
    expect((await run('pauses')).stdout).toContain('We are moving.')
    const status = await run('status', person.email)
    expect(status).toMatchObject({ code: 3, stdout: expect.stringContaining('We are moving.') })
    expect((await run('resume', '--kind', 'provision')).stdout).toContain('Nothing is paused.')
    await project.waitFor(person.organizationId)
  })

  test('are refused for what is not there, and for both at once', async () => {
    expect((await runJson('pause', '--kind', 'nothing', '--reason', 'x')).code).toBe(1)
    expect((await runJson('resume', '--kind', 'provision', '--provider', 'neon')).code).toBe(1)
    expect(await project.sql`select from provisioning.pauses`).toEqual([])
  })
})

describe('options', () => {
  test('lists what a tenant can get, from the rows that an operator keeps', async () => {
    const { code, stdout, stderr } = await run('options')
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^eu-central-1 +Europe \(Frankfurt\) +Frankfurt, DE$/m)
    expect(stdout).toMatch(/^us-east-1 .+ default$/m)
    expect(stdout).toMatch(/^small +\S.* \d+ s$/m)
    expect(stdout).toMatch(/^database .+ default$/m)
    expect(stdout).toMatch(/^pro +Pro +USD\s25\.00 +small, medium \(default\) +database$/m)
    expect(stdout).toMatch(/^enterprise .+ on request .+ database, project$/m)
    const { document } = await runJson('options')
    const names = await project.sql<{ region: string }[]>`
      select data_region as region from provisioning.regions order by data_region`
    expect(document.options).toMatchObject({
      regions: names.map(({ region }) => expect.objectContaining({ dataRegion: region })),
      plans: expect.arrayContaining([expect.objectContaining({ plan: 'pro', monthlyPrice: 2500 })]),
    })
  })
})

describe('providers', () => {
  test('says which provider does not answer, with exit code 1', async () => {
    expect(await run('providers')).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/Neon +\S+ answers/),
    })
    await project.sql`update provisioning.provider_status set state = 'open', next_try_at = now() + interval '1 minute',
      last_error = 'It did not answer.' where provider = 'neon'`
    try {
      const { code, stdout } = await run('providers')
      expect(code).toBe(1)
      expect(stdout).toMatch(/Neon +\S+ does not answer/)
      expect((await runJson('providers')).document.providers).toContainEqual(
        expect.objectContaining({ provider: 'neon', state: 'open', free_percent: expect.any(Number) }),
      )
    } finally {
      await project.sql`update provisioning.provider_status set state = 'closed', next_try_at = null, last_error = null`
    }
  })
})

describe('watch', () => {
  test('tells every change as a line of JSON, and the verdict at last', async () => {
    const person = await project.whileHeld(async () => {
      const signedUp = await project.signUp()
      const watching = startTenants(
        environment,
        'watch',
        signedUp.organizationId,
        '--json',
        '--interval',
        '0.1',
      )
      await watching.printed('"kind":"provision"')
      return { ...signedUp, watching }
    })
    const { code, stdout } = await person.watching.ended
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(code).toBe(0)
    expect(lines[0]).toMatchObject({ kind: 'provision', status: 'queued' })
    expect(lines).toContainEqual(expect.objectContaining({ step: 'verify_connection', status: 'succeeded' }))
    expect(lines.at(-1)).toMatchObject({ verdict: { ready: true } })
  })

  test('Ctrl-C ends with 130, leaves the job alone and says how to look again', async () => {
    await project.services.worker.pauseHttp()
    try {
      const person = await project.signUp()
      const watching = startTenants(environment, 'watch', person.organizationId, '--interval', '0.1')
      await watching.printed('provision is queued')
      watching.signalGroup('SIGINT')
      const { code, stderr } = await watching.ended
      expect(code).toBe(130)
      expect(stderr).toContain(`npm run tenants -- watch ${await slugOf(person.organizationId)}`)
      expect((await project.provisioning(person.organizationId)).status).toBe('queued')
    } finally {
      await project.services.worker.resumeHttp()
    }
  })

  test('--timeout ends with 3 while the job goes on', async () => {
    await project.services.worker.pauseHttp()
    try {
      const person = await project.signUp()
      const { code, stdout } = await run('watch', person.email, '--timeout', '0.5', '--interval', '0.1')
      expect(code).toBe(3)
      expect(stdout).toContain('being provisioned')
    } finally {
      await project.services.worker.resumeHttp()
    }
  })
})

describe('cancel and deprovision', () => {
  test('do nothing without a terminal unless --yes says so', async () => {
    const person = await failedTenant()
    const name = await slugOf(person.organizationId)
    const [cancel, deprovision, json] = await Promise.all([
      run('cancel', name),
      run('deprovision', name),
      run('deprovision', name, '--json'),
    ])
    for (const ending of [cancel, deprovision, json]) {
      expect(ending.code).toBe(1)
      expect(ending.stderr).toContain('--yes')
    }
    expect(JSON.parse(json.stdout)).toHaveProperty('error.message')
    expect((await project.provisioning(person.organizationId)).status).toBe('failed')
  })

  test('cancel undoes a failed provisioning, and refuses a ready tenant', async () => {
    const person = await failedTenant()
    const { code, document } = await runJson('cancel', person.email, '--yes')
    expect(code).toBe(0)
    expect(document).toMatchObject({ status: 'cancelled', undoJobId: expect.any(String) })
    const after = await runJson('status', person.email)
    expect(after).toMatchObject({ code: 3, document: { verdict: { state: 'cancelled' } } })
    const refused = await runJson('cancel', slug, '--yes')
    expect(refused).toMatchObject({ code: 1, document: { error: { code: 'nothing_to_cancel' } } })
  })

  test('retry of a failed undo removes what is left, and provisions nothing', async () => {
    const person = await failedTenant()
    const { organizationId } = person
    await run('cancel', organizationId, '--yes')
    const fault = project.stripeEmulator.faults.add({
      match: { operation: 'DeleteCustomersCustomer' },
      action: { type: 'status', status: 401 },
    })
    const hasFailed = async () => {
      const [undo] = await project.sql`select status from public.provisioning_jobs
        where organization_id = ${organizationId} and kind = 'undo'`
      return undo?.status === 'failed' || undefined
    }
    await project.whileTimePasses('failed undo', hasFailed, organizationId)
    project.stripeEmulator.faults.clear(fault.id)
    expect((await runJson('status', person.email)).document.verdict).toMatchObject({
      commands: expect.arrayContaining([`npm run tenants -- retry ${organizationId}`]),
    })
    const { code, stdout } = await run('retry', organizationId)
    expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringContaining('is removed') })
    const { projects, customers } = await project.resources(organizationId)
    expect([projects, customers]).toEqual([[], []])
    const provisionings = await project.sql`select status from public.provisioning_jobs
      where organization_id = ${organizationId} and kind = 'provision'`
    expect(provisionings).toEqual([{ status: 'cancelled' }])
    // To start again is another command, which the verdict names now.
    const { verdict } = (await runJson('status', organizationId)).document
    expect(verdict).toMatchObject({
      commands: [`npm run tenants -- provision ${await slugOf(organizationId)}`],
    })
    expect((await run('provision', await slugOf(organizationId))).code).toBe(0)
  })

  test('deprovision says what it would do, does it, and status knows the deleted organization', async () => {
    const person = await project.signUp({ organization_name: 'Short Lived' })
    await project.waitFor(person.organizationId)
    const dry = await run('deprovision', 'short-lived', '--dry-run')
    expect(dry).toMatchObject({ code: 0, stderr: '' })
    expect(dry.stdout).toContain('short-lived would be deleted')
    expect(await slugOf(person.organizationId)).toBe('short-lived')
    expect(await run('deprovision', 'short-lived', '--yes')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('short-lived is deleted'),
    })
    expect(await slugOf(person.organizationId)).toBe('')
    const after = await runJson('status', 'short-lived')
    expect(after).toMatchObject({ code: 3, document: { verdict: { state: 'deleted' } } })
    expect((await run('events', 'short-lived')).stdout).toContain('sign_up')
    // A dry run for what is deleted already touches nothing.
    expect((await run('deprovision', 'short-lived', '--dry-run')).stdout).toContain('is deleted already')
  })
})

describe('backfill', () => {
  test('names those from before and those with missing rows, then repairs them and says who', async () => {
    const emails = await usersFromBefore(2)
    await project.sql`delete from public.wallets where user_id = ${ready.userId}`
    const dry = await runJson('backfill', '--dry-run')
    expect(dry).toMatchObject({ code: 0, document: { dry_run: true, would_repair: 3, complete: true } })
    expect((await runJson('backfill', '--dry-run')).document).toMatchObject({ would_repair: 3 })
    const done = await runJson('backfill')
    expect(done).toMatchObject({ code: 0, document: { dry_run: false, repaired: 3, failed: 0 } })
    expect(done.document.users).toContainEqual(
      expect.objectContaining({ email: ready.email, missing: ['wallet'], outcome: 'repaired' }),
    )
    for (const email of emails) expect((await run('status', email)).code).toBeGreaterThanOrEqual(0)
    expect((await run('backfill')).stdout).toContain('nobody lacks anything')
  })

  test('asks before it repairs many, which without a terminal means --yes', async () => {
    await usersFromBefore(12)
    const unasked = await run('backfill')
    expect(unasked.code).toBe(1)
    expect(unasked.stderr).toContain('12 users')
    expect((await runJson('backfill', '--limit', '5')).document).toMatchObject({
      repaired: 5,
      complete: false,
    })
    expect((await runJson('backfill', '--yes')).document).toMatchObject({ repaired: 7 })
  })

  test('goes past a user who cannot be repaired, says so and ends with 1', async () => {
    const [broken = '', fine = ''] = await usersFromBefore(2)
    await project.sql.unsafe(
      `alter table public.profiles add constraint trouble check (email <> '${broken}') not valid`,
    )
    try {
      const { code, document } = await runJson('backfill')
      expect({ code, document }).toMatchObject({ code: 1, document: { repaired: 1, failed: 1 } })
      expect(document.users).toContainEqual(
        expect.objectContaining({
          email: broken,
          outcome: 'failed',
          message: expect.stringContaining('trouble'),
        }),
      )
      expect((await runJson('status', broken)).document.verdict).toMatchObject({
        ready: false,
        commands: [expect.stringMatching(/^npm run tenants -- provision [0-9a-f-]{36}$/)],
      })
      expect((await runJson('status', fine)).document.organization).not.toBeNull()
    } finally {
      await project.sql`alter table public.profiles drop constraint trouble`
    }
    expect((await runJson('provision', broken)).document).toMatchObject({
      sign_up_failure: null,
      verdict: { ready: true },
    })
  })

  test('leaves those alone whose organization was deleted', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    await run('deprovision', person.organizationId, '--yes')
    expect((await runJson('backfill', '--dry-run')).document).toMatchObject({ users: [] })
  })

  test('gives them a tenant again only after readmit', async () => {
    const person = await project.signUp()
    await project.waitFor(person.organizationId)
    await run('deprovision', person.organizationId, '--yes')
    expect(await runJson('provision', person.userId)).toMatchObject({
      code: 1,
      document: { error: { code: 'removed', message: expect.stringContaining('on purpose') } },
    })
    expect((await runJson('status', person.userId)).document).toMatchObject({
      verdict: { commands: expect.arrayContaining([`npm run tenants -- readmit ${person.userId}`]) },
    })
    expect((await runJson('readmit', person.email)).document).toEqual({
      user_id: person.userId,
      lifted: true,
    })
    expect((await run('readmit', person.userId)).stdout).toContain('was removed')
    expect((await runJson('provision', person.userId)).document).toMatchObject({ verdict: { ready: true } })
    expect(await runJson('readmit', 'nobody@example.com')).toMatchObject({ code: 1 })
  })
})

describe('health', () => {
  test('checks the database now, and shows what was measured', async () => {
    const startedAt = new Date().toISOString()
    const { code, document } = await runJson('health', slug, '--deep')
    expect(code).toBe(0)
    expect(document).toMatchObject({ health: { status: 'healthy' } })
    // The newest first. Earlier tests may have had it checked, too.
    const [newest] = document.checks as { probe: string; checked_at: string }[]
    expect(newest?.probe).toBe('connection')
    expect(Date.parse(newest?.checked_at ?? '')).toBeGreaterThanOrEqual(Date.parse(startedAt))
    const { stdout } = await run('health', slug, '--recorded')
    expect(stdout).toMatch(/^✓ \S+ is healthy/)
    expect(stdout).toContain('connect_ms')
  })

  test('says that the next check is overdue, and which command tells why', async () => {
    const due = (ago: string) =>
      project.sql`update public.tenant_health set next_check_at = now() - ${ago}::interval where organization_id = ${ready.organizationId}`
    await due('1 minute')
    expect((await run('health', slug, '--recorded')).stderr).toBe('')
    await due('3 minutes')
    expect((await run('health', slug, '--recorded')).stderr).toContain('overdue')
  })

  test('a tenant without a database has no health, which is exit code 1', async () => {
    const person = await failedTenant()
    expect(await runJson('health', person.email)).toMatchObject({ code: 1, document: { error: {} } })
  })
})

describe('list, events, alerts and connection', () => {
  test('list filters, pages in the order of slugs, and every page is all of them', async () => {
    const all = (await runJson('list', '--all')).document.tenants as { slug: string; status: string }[]
    const [{ count } = { count: 0 }] = await project.sql<{ count: number }[]>`
      select count(*)::integer as count from public.organizations`
    expect(all.map((tenant) => tenant.slug)).toEqual(all.map((tenant) => tenant.slug).toSorted())
    expect(all).toHaveLength(count)
    const first = (await runJson('list', '--limit', '2')).document
    expect(first).toMatchObject({ tenants: all.slice(0, 2), has_next_page: true })
    const second = (await runJson('list', '--limit', '1', '--after', String(first.end_cursor))).document
    expect(second.tenants).toEqual([expect.objectContaining({ slug: all[2]?.slug })])
    const printed = (await run('list', '--limit', '1', '--sort', 'slug')).stdout
    const hint = /There are more: npm run tenants -- (.+)/.exec(printed)?.[1] ?? ''
    expect((await run(...hint.split(' '))).stdout).toContain(all[1]?.slug)
    const backwards = (await runJson('list', '--limit', '1', '--sort=-slug')).document
    expect(backwards.tenants).toEqual([expect.objectContaining({ slug: all.at(-1)?.slug })])
    const region = (await runJson('list', '--region', 'aws-eu-central-1', '--status', 'ready,failed'))
      .document.tenants
    expect(region).toContainEqual(expect.objectContaining({ slug, owner_email: ready.email }))
    const found = (await runJson('list', '--search', all[0]?.slug.slice(0, 12).toUpperCase() ?? '')).document
    expect((found.tenants as { slug: string }[]).map(({ slug }) => slug)).toContain(all[0]?.slug)
    expect((await run('list', '--plan', 'enterprise')).stdout).toBe('There are no such tenants.\n')
  })

  test('events are the newest first; a deleted or unknown tenant is not an empty list', async () => {
    const { document } = await runJson('events', slug, '--type', 'step.succeeded', '--limit', '2')
    expect(document.events).toHaveLength(2)
    expect(await runJson('events', 'unknown')).toMatchObject({
      code: 1,
      document: { error: { code: 'not_found' } },
    })
  })

  test('alerts show what is open, with the tenant’s slug', async () => {
    const person = await failedTenant()
    const { document } = await runJson('alerts', '--tenant', person.email)
    expect(document.alerts).toEqual([
      expect.objectContaining({
        kind: 'provision_failed',
        slug: await slugOf(person.organizationId),
        resolved_at: null,
      }),
    ])
  })

  test('connection shows the password only when asked, and the audit log notes that', async () => {
    const [row] = await project.sql<{ secret: string }[]>`
      select decrypted_secret as secret from vault.decrypted_secrets
      where name = ${`tenant_database_password/${ready.organizationId}/app_1`}`
    const plain = await run('connection', slug)
    expect(plain).toMatchObject({ code: 0, stdout: expect.not.stringContaining(row?.secret ?? '?') })
    const shown = (await run('connection', slug, '--reveal')).stdout
    for (const form of [
      `psql +PGPASSWORD='${row?.secret}' psql "host=`,
      `uri +postgresql://[^ ]+:${row?.secret}@`,
      'env +PGHOST=',
      'node +postgres\\({ host:',
    ])
      expect(shown).toMatch(new RegExp(`^ *${form}`, 'm'))
    const audited = await until('audit entry', async () => {
      const rows = await project.sql`
        select actor_type from public.audit_logs
        where organization_id = ${ready.organizationId} and action = 'credentials.revealed'`
      return rows.length > 0 ? rows : undefined
    })
    expect(audited).toEqual([{ actor_type: 'service' }])
  })

  test('connection gives the texts to copy for the pooler, too, whose address is another one', async () => {
    const [before] = await project.sql<
      { host: string; port: number; pooled_host: string | null; pooled_port: number | null }[]
    >`select host, port, pooled_host, pooled_port from public.organization_databases
      where organization_id = ${ready.organizationId}`
    if (!before) throw new Error('the tenant has a database')
    const move = (host: string | null, port: number | null) =>
      project.sql`update public.organization_databases set pooled_host = ${host}, pooled_port = ${port}
        where organization_id = ${ready.organizationId}`
    await move('pool.example.com', 6543)
    try {
      const pooled = (await run('connection', slug, '--reveal', '--pooled')).stdout
      for (const text of [
        'psql "host=pool.example.com port=6543 ',
        '@pool.example.com:6543/',
        'PGHOST=pool.example.com PGPORT=6543 ',
        "host: 'pool.example.com', port: 6543,",
      ])
        expect(pooled).toContain(text)
      const direct = (await run('connection', slug, '--reveal')).stdout
      expect(direct).toContain(`@${before.host}:${before.port}/`)
      expect(direct).not.toContain('@pool.example.com')
    } finally {
      await move(before.pooled_host, before.pooled_port)
    }
  })

  test('seed puts example rows into the tenant’s database once, when it is told to', async () => {
    const rows = async () => {
      const sql = await loginConnection(project, ready.organizationId)
      return sql`select c.last_name, count(a.id)::integer as activities from public.contacts c
        join public.activities a on a.contact_id = c.id group by c.id`.finally(() => sql.end({ timeout: 1 }))
    }
    const dry = await runJson('seed', slug, '--dry-run')
    expect(dry).toMatchObject({ code: 0, document: { dryRun: true } })
    expect(dry.document.tables).toContain('contacts')
    expect(await run('seed', slug)).toMatchObject({ code: 1, stdout: '' })
    expect(await rows()).toEqual([])
    const { code, document } = await runJson('seed', slug, '--yes')
    expect({ code, document }).toMatchObject({
      code: 0,
      document: { added: { contacts: 24, deals: 12, notifications: 1 } },
    })
    expect(await rows()).toHaveLength(24)
    expect((await run('seed', slug, '--yes')).stdout).toContain('nothing was added')
    const [audited] = await project.sql`select count(*)::integer from public.audit_logs
      where organization_id = ${ready.organizationId} and action = 'credentials.revealed'`
    expect(audited).toEqual({ count: 5 })
  })

  test('keys are made, shown once, renamed, rerolled and revoked', async () => {
    const made = (
      await runJson('keys', slug, 'create', 'Website', '--scope', 'write', '--expires-in-days', '7')
    ).document
    expect(made).toMatchObject({ key: expect.stringMatching(/^tdk_[0-9a-f]{48}$/), scope: 'write' })
    const prefix = String(made.prefix)
    expect((await run('keys', slug, 'rename', prefix, 'Shop')).stdout).toContain('is called Shop now.')
    const rerolled = (await runJson('keys', slug, 'reroll', prefix, '--grace-hours', '2')).document
    expect(rerolled).toMatchObject({ name: 'Shop', scope: 'write' })
    expect((await run('keys', slug, 'revoke', String(rerolled.prefix))).code).toBe(0)
    const listed = await run('keys', slug)
    expect(listed.stdout).toMatch(new RegExp(`${prefix} +Shop +write +active`))
    expect(listed.stdout).toMatch(new RegExp(`${rerolled.prefix} +Shop +write +revoked`))
    expect(listed.stdout).not.toContain(String(made.key))
    expect(await runJson('keys', slug, 'revoke', 'tdk_00000000')).toMatchObject({
      code: 1,
      document: { error: { code: 'key_not_found' } },
    })
  })

  test('expect says who is to be a member, lists them, and takes it back', async () => {
    const email = `${crypto.randomUUID()}@example.com`
    const at = ['--organization', slug] as const
    expect((await run('expect', ...at)).stdout).toBe('Nobody is expected.\n')
    const { document } = await runJson('expect', email, ...at, '--role', 'admin', '--days', '2')
    expect(document.expected).toMatchObject({ email, role: 'admin', expected_by: null })
    const listed = await run('expect', ...at)
    expect(listed.stdout).toMatch(new RegExp(`${email} +admin +\\d{4}-.* +the backend`))
    expect(await run('expect', email, ...at, '--withdraw')).toMatchObject({ code: 0 })
    expect(await runJson('expect', email, ...at, '--withdraw')).toMatchObject({
      code: 1,
      document: { error: { code: 'not_found' } },
    })
    const member = await runJson('expect', ready.email, ...at)
    expect(member).toMatchObject({ code: 1, document: { error: { code: 'TP412' } } })
    expect(await run('expect', email, ...at, '--role', 'owner')).toMatchObject({ code: 2 })
  })
})
