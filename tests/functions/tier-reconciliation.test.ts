import { afterAll, beforeAll, expect, it } from 'vitest'
import { github } from '../../shared/services/github/index.ts'
import { markOf } from '../../shared/services/github/step.ts'
import { n8n } from '../../shared/services/n8n/index.ts'
import { tagName } from '../../shared/services/n8n/names.ts'
import type { Service } from '../../shared/services/service.ts'
import { supabase } from '../../shared/services/supabase/index.ts'
import { projectName } from '../../shared/services/supabase/step.ts'
import { vercel } from '../../shared/services/vercel/index.ts'
import { emulatorKey, emulatorVariables } from '../../tools/emulators.ts'
import { operatorOf, tenants, tenantsJson } from '../cli/cli.ts'
import { type SignedUp, startTestProject, type TestProject } from '../support/project.ts'
import { ask } from './graphql-client.ts'

const KINDS = ['github_repository', 'n8n_workflows', 'supabase_project', 'vercel_project'] as const
type Kind = (typeof KINDS)[number]

let project: TestProject
let one: SignedUp
let other: SignedUp

beforeAll(async () => {
  project = await startTestProject({ settings: { default_tier: 'project', project_look_seconds: 0.2 } })
  ;[one, other] = [await project.signUp(), await project.signUp()]
  for (const { organizationId } of [one, other]) await project.waitFor(organizationId, 'ready', 60_000)
  // One run deletes as much as a hundredth of the fleet. These have nothing outside.
  await project.sql`update provisioning.settings set organizations_per_user = 2000`
  await project.sql`
    insert into public.organizations (name, slug, owner_id, data_region, hosting_region, provisioning_status)
    select 'One of many', 'one-of-many-' || n, o.owner_id, o.data_region, o.hosting_region, '{}'
    from public.organizations o, generate_series(1, 1000) n where o.id = ${one.organizationId}`
}, 120_000)

afterAll(() => project?.stop())

interface Report {
  readonly status: string
  readonly complete: boolean
  readonly error: string | null
  readonly gaps: Readonly<Record<string, string>>
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>
  readonly findings: readonly {
    readonly resourceKind: string
    readonly kind: string
    readonly resourceId: string
  }[]
}

/** A whole run, as the project's backend asks for it. */
async function reconcile(dryRun = true): Promise<Report> {
  const reply = await fetch(`${project.services.url}/functions/v1/reconcile-tenants`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', apikey: project.keys.secretKey },
    body: JSON.stringify({ dryRun, wait: true }),
  })
  expect(reply.status).toBe(200)
  return (await reply.json()) as Report
}

const found = ({ findings }: Report) =>
  findings.map(({ resourceKind, kind, resourceId }) => `${resourceKind} ${kind} ${resourceId}`).sort()

const SERVICES: Readonly<Record<Kind, Service>> = {
  github_repository: github,
  n8n_workflows: n8n,
  supabase_project: supabase,
  vercel_project: vercel,
}

/** By hand at a provider, as somebody with our key could. @throws Error with what it answers */
async function send(
  kind: Kind,
  method: string,
  path: string,
  body?: object,
): Promise<Record<string, unknown>> {
  const service = SERVICES[kind]
  const running: Readonly<Record<string, { readonly url: string } | undefined>> = {
    ...project.services,
  } as never
  const url = running[service.name]?.url ?? ''
  const key = emulatorKey(service as Parameters<typeof emulatorKey>[0])
  const reply = await fetch(`${url}${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(kind === 'n8n_workflows' ? { 'x-n8n-api-key': key } : { authorization: `Bearer ${key}` }),
    },
    ...(body ? { body: JSON.stringify(body) } : {}),
  })
  const text = await reply.text()
  if (!reply.ok) throw new Error(`${method} ${path} answered ${reply.status}: ${text}`)
  return text.startsWith('{') ? JSON.parse(text) : {}
}

const variable = (kind: Kind, name: string) =>
  String(emulatorVariables(SERVICES[kind], 'http://127.0.0.1')[name])

/** The id under which we know what an organization has. */
async function own({ organizationId }: SignedUp, kind: Kind) {
  const [row] = await project.sql<{ id: string; name: string }[]>`
    select external_id as id, name from public.tenant_resources
    where organization_id = ${organizationId} and kind = ${kind} and state = 'active'`
  if (!row) throw new Error(`${organizationId} has no ${kind}`)
  return row
}

async function makeProject(organizationId: string): Promise<string> {
  const { ref } = await send('supabase_project', 'POST', '/v1/projects', {
    name: projectName(organizationId),
    organization_slug: variable('supabase_project', 'MANAGEMENT_ORG_ID'),
    db_pass: 'Somebody-elses-1234',
    region_selection: { type: 'specific', code: 'eu-central-1' },
  })
  return String(ref)
}

async function makeRepository(description: string): Promise<{ id: string; name: string }> {
  const owner = variable('github_repository', 'GITHUB_ORG')
  const template = variable('github_repository', 'GITHUB_TEMPLATE_REPOSITORY')
  const name = `by-hand-${crypto.randomUUID().slice(0, 8)}`
  const { id } = await send('github_repository', 'POST', `/repos/${template}/generate`, {
    ...{ owner, name, description, private: true },
  })
  return { id: String(id), name: `${owner}/${name}` }
}

async function makeDeployed(repository: string): Promise<string> {
  const name = `by-hand-${crypto.randomUUID().slice(0, 8)}`
  const team = variable('vercel_project', 'VERCEL_TEAM_ID')
  const { id } = await send('vercel_project', 'POST', `/v11/projects?teamId=${team}`, {
    name,
    gitRepository: { type: 'github', repo: repository },
  })
  return String(id)
}

async function makeTag(organizationId: string): Promise<string> {
  const { id } = await send('n8n_workflows', 'POST', '/api/v1/tags', { name: tagName(organizationId) })
  return String(id)
}

/** A row of ours says that these were removed. */
async function markRemoved(kind: string, ids: readonly string[], organizationId: string): Promise<void> {
  await project.sql`insert into public.tenant_resources (organization_id, service, kind, name, external_id, state, removed_at)
    select ${organizationId}, k.service, k.kind, 'removed', id, 'removed', now()
    from provisioning.resource_kinds k, unnest(${[...ids]}::text[]) id where k.kind = ${kind}`
}

const counted = (report: Report, what: string) => KINDS.map((kind) => report.counts[kind]?.[what])

it('what a client has is told with its id and its address: by the request for it, in GraphQL and by the command', async () => {
  const { organizationId } = one
  type Part = { id: string; name: string; url: string | null }
  const rows = await project.sql<{ kind: string; externalId: string; url: string | null; parts: Part[] }[]>`
    select kind, external_id as "externalId", url, coalesce(details -> 'parts', '[]') as parts from public.tenant_resources
    where organization_id = ${organizationId} and state = 'active' order by created_at, kind`
  const partsOf = (kind: string) => rows.find((row) => row.kind === kind)?.parts
  expect(partsOf('vercel_project')).toEqual([
    { id: expect.stringMatching(/^dpl_/), name: 'deployment', url: expect.stringMatching(/^https:/) },
  ])
  expect(partsOf('n8n_workflows')?.map(({ url }) => url !== null)).toEqual([true, true, false, false])
  expect(rows.map(({ kind }) => kind).sort()).toEqual([...KINDS, 'stripe_customer'].sort())
  for (const { kind, url } of rows) if (kind !== 'stripe_customer') expect(url, kind).toMatch(/^https?:/)

  const client = { clientId: organizationId, clientName: 'Acme Ltd', orgEmail: 'office@acme.example' }
  const { body } = await project.request({ ...client, tier: 'project', wait: true })
  expect(body).toMatchObject({ status: 'succeeded', resources: rows })
  expect(
    await project.sql`select name, billing_email from public.organizations where id = ${organizationId}`,
  ).toEqual([{ name: 'Acme Ltd', billing_email: 'office@acme.example' }])

  const query =
    'query ($id: String!) { tenantVerification(subject: $id) { resources { kind externalId url state parts { id name url } } } }'
  const { data } = await ask(project, { apikey: project.keys.secretKey }, query, { id: organizationId })
  expect(data.tenantVerification.resources).toMatchObject(rows.map((row) => ({ ...row, state: 'ACTIVE' })))

  const { document } = await tenantsJson(operatorOf(project), 'status', organizationId)
  expect(document.resources).toMatchObject(rows.map(({ kind, url }) => ({ kind, url })))
  const { stdout } = await tenants(operatorOf(project), 'status', organizationId)
  for (const { externalId, url, parts } of rows)
    for (const told of [externalId, url, ...parts.map((part) => part.url ?? part.id)])
      if (told) expect(stdout).toContain(told)
})

it('whole runs find strangers, duplicates and missing ones at each provider, and delete what rows of ours name', {
  timeout: 120_000,
}, async () => {
  const calm = await reconcile()
  expect(calm).toMatchObject({ status: 'finished', complete: true, findings: [], gaps: {} })
  // With the template.
  expect(counted(calm, 'resources')).toEqual([3, 2, 2, 2])

  const gone = crypto.randomUUID()
  const repository = await own(one, 'github_repository')
  const strangers = {
    supabase_project: await makeProject(gone),
    github_repository: (await makeRepository(markOf(gone))).id,
    n8n_workflows: await makeTag(gone),
  }
  // Whose a project at Vercel is, is known by the repository that was once made for it.
  const formerly = await makeRepository('of a client that has left')
  await markRemoved('github_repository', [formerly.id], gone)
  const strangerAtVercel = await makeDeployed(formerly.name)
  const duplicates = {
    supabase_project: await makeProject(one.organizationId),
    github_repository: (await makeRepository(markOf(one.organizationId))).id,
    // n8n has no two tags of one name.
    vercel_project: await makeDeployed(`${variable('github_repository', 'GITHUB_ORG')}/${repository.name}`),
  }
  const missing = Object.fromEntries(
    await Promise.all(KINDS.map(async (kind) => [kind, await own(other, kind)] as const)),
  )
  const team = variable('vercel_project', 'VERCEL_TEAM_ID')
  await send('vercel_project', 'DELETE', `/v9/projects/${missing.vercel_project?.id}?teamId=${team}`)
  const owner = variable('github_repository', 'GITHUB_ORG')
  await send('github_repository', 'DELETE', `/repos/${owner}/${missing.github_repository?.name}`)
  await send('supabase_project', 'DELETE', `/v1/projects/${missing.supabase_project?.id}`)
  await send('n8n_workflows', 'DELETE', `/api/v1/tags/${missing.n8n_workflows?.id}`)

  const expected = [
    ...Object.entries({ ...strangers, vercel_project: strangerAtVercel }).map(
      ([kind, id]) => `${kind} stranger ${id}`,
    ),
    ...Object.entries(duplicates).map(([kind, id]) => `${kind} duplicate ${id}`),
    ...Object.entries(missing).map(([kind, { id }]) => `${kind} missing ${id}`),
  ].sort()
  const report = await reconcile()
  expect(report).toMatchObject({ complete: true, gaps: {} })
  expect(found(report)).toEqual(expected)

  // What no row of ours names is left to an operator, however long it has been known.
  await project.sql`update provisioning.settings set reconcile_delete = true, reconcile_delete_cap = 20`
  await project.sql`update provisioning.reconciliation_findings set first_seen_at = now() - interval '1000 hours'`
  expect(counted(await reconcile(false), 'deleted')).toEqual([0, 0, 0, 0])

  const ordered = { ...strangers, vercel_project: strangerAtVercel }
  for (const kind of KINDS) {
    const ids = [ordered[kind], ...(kind === 'n8n_workflows' ? [] : [duplicates[kind]])]
    await markRemoved(kind, ids, gone)
  }
  const deleted = await reconcile(false)
  expect(deleted.error).toBeNull()
  expect(counted(deleted, 'deleted')).toEqual([2, 1, 2, 2])
  const after = await reconcile()
  expect(found(after)).toEqual(expected.filter((line) => line.includes(' missing ')))
})
