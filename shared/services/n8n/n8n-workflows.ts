import { Buffer } from 'node:buffer'
import type { StepOutcome } from '../../engine/step.ts'
import { n8nTemplates } from '../../generated/n8n-templates.ts'
import { leavesOpen } from '../../kernel/failures.ts'
import { failed, type Result, success } from '../../kernel/result.ts'
import { keepProjectSecrets, projectSecrets } from '../project-secrets.ts'
import type { Named, Tag, Workflow } from './client.ts'
import { failure, n8nFailures } from './failures.ts'
import { type CredentialReferences, fillTemplate } from './fill-template.ts'
import { clientName, credentialName, N8N_WORKFLOWS, tagName, workflowName } from './names.ts'
import { type N8nStepContext, recordedWorkflows } from './step.ts'
import {
  CREDENTIAL_NAMES,
  CREDENTIAL_TYPES,
  type CredentialName,
  type Template,
  templateSchema,
} from './template.ts'

/** The header that a caller of a client's webhooks sends. */
export const WEBHOOK_HEADER = 'X-Webhook-Key'
const WEBHOOK_KEY_BYTES = 32

export interface MadeWorkflow {
  readonly template: string
  readonly id: string
  readonly name: string
  readonly url: string
}

/** Every credential at n8n that the templates use, by the name that they call it by. */
type Credentials = Readonly<Record<CredentialName, Named>>

/**
 * The client's workflows, active and with its tag, and their credentials. The tag comes first, and no two can have its name:
 * when it is new, nothing of the client's was made before. Otherwise everything is looked for by its name, which only this
 * organization can have, and a recorded workflow by its id, whatever it is called by now. What people have changed in one stays.
 */
export async function n8nWorkflows(context: N8nStepContext): Promise<StepOutcome> {
  const all = await makeAll(context)
  if (!all.ok) return { type: 'failed', failure: all.failure }
  const { tag, workflows, credentials } = all.value
  const { sql, job, n8n, tenant } = context
  const details = {
    tag: tag.name,
    workflows: workflows.map((each) => ({ ...each })),
    parts: [
      ...workflows.map(({ id, name, url }) => ({ id, name, url })),
      ...CREDENTIAL_NAMES.map((name) => ({ ...credentials[name], url: null })),
    ],
  }
  return {
    type: 'succeeded',
    output: { resourceId: tag.id, workflows: details.workflows },
    record: sql`provisioning.record_resource(${job.organizationId}, ${N8N_WORKFLOWS}, ${clientName(tenant.organizationId)},
      ${tag.id}, ${n8n.homeUrl}, ${sql.json(details)})`,
  }
}

async function makeAll(context: N8nStepContext) {
  const { organizationId } = context.tenant
  const tag = await findOrCreateTag(context)
  if (!tag.ok) return tag
  const found = await context.n8n.clientWorkflows(`${clientName(organizationId)} `, tag.value.name)
  if (!found.ok) return found
  const archived = found.value.find(({ isArchived }) => isArchived)
  if (archived) return failed(failure('n8n_workflow_archived', archived.name))
  const nothingElse = tag.value.isNew && found.value.length === 0
  const credentials = await findOrCreateCredentials(context, nothingElse)
  if (!credentials.ok) return credentials
  const workflows: MadeWorkflow[] = []
  for (const template of n8nTemplates) {
    const made = await findOrCreateWorkflow(context, templateSchema.parse(JSON.parse(template)), {
      found: found.value,
      tag: tag.value,
      credentials: credentials.value,
    })
    if (!made.ok) return made
    workflows.push(made.value)
  }
  return success({ tag: tag.value, credentials: credentials.value, workflows })
}

async function findOrCreateTag(context: N8nStepContext): Promise<Result<Tag & { readonly isNew: boolean }>> {
  const { n8n, tenant } = context
  const name = tagName(tenant.organizationId)
  if (tenant.recorded?.state === 'active') {
    const found = await n8n.findTag(name)
    if (!found.ok) return found
    if (found.value) return success({ ...found.value, isNew: false })
  }
  const created = await planned(context, (before) => n8n.createTag(name, before))
  if (!created.ok) return created
  if (created.value) return success({ ...created.value, isNew: true })
  const found = await n8n.findTag(name)
  if (!found.ok) return found
  return found.value
    ? success({ ...found.value, isNew: false })
    : failed(failure('n8n_workflow_refused', `the tag ${name} can neither be made nor found`))
}

/** @param nothingElse so that there is none to look for */
async function findOrCreateCredentials(
  context: N8nStepContext,
  nothingElse: boolean,
): Promise<Result<Credentials>> {
  const { n8n, tenant } = context
  const found = nothingElse
    ? success<Named[]>([])
    : await n8n.clientCredentials(`${clientName(tenant.organizationId)} `)
  if (!found.ok) return found
  const made = new Map<CredentialName, Named>()
  for (const name of CREDENTIAL_NAMES) {
    const existing = found.value.find((each) => each.name === credentialName(tenant.organizationId, name))
    const credential = existing ? success(existing) : await createCredential(context, name)
    if (!credential.ok) return credential
    made.set(name, credential.value)
  }
  return success(Object.fromEntries(made) as Credentials)
}

async function createCredential(context: N8nStepContext, name: CredentialName): Promise<Result<Named>> {
  const data = await (name === 'project' ? projectData(context) : webhookData(context))
  if (!data.ok) return data
  const wanted = {
    name: credentialName(context.tenant.organizationId, name),
    type: CREDENTIAL_TYPES[name],
    data: data.value,
  }
  return planned(context, (before) => context.n8n.createCredential(wanted, before))
}

async function projectData({ sql, job, tenant }: N8nStepContext) {
  const { secretKey } = await projectSecrets(sql, job.organizationId)
  return tenant.projectUrl && secretKey
    ? success({ host: tenant.projectUrl, serviceRole: secretKey })
    : failed(failure('n8n_project_unknown'))
}

/** Gives the credential that the client's workflows use the key that Vault has now. Its id stays, so that no workflow changes. */
export async function handOnToWorkflows(context: N8nStepContext): Promise<StepOutcome> {
  const { n8n, tenant, assertLease } = context
  if (tenant.recorded?.state !== 'active') return { type: 'succeeded', output: { changed: false } }
  const found = await n8n.clientCredentials(`${clientName(tenant.organizationId)} `)
  if (!found.ok) return { type: 'failed', failure: found.failure }
  const credential = found.value.find(({ name }) => name === credentialName(tenant.organizationId, 'project'))
  if (!credential) return { type: 'succeeded', output: { changed: false } }
  const data = await projectData(context)
  if (!data.ok) return { type: 'failed', failure: data.failure }
  const changes = { type: CREDENTIAL_TYPES.project, data: data.value }
  const changed = await n8n.updateCredential(credential.id, changes, assertLease)
  return changed.ok
    ? { type: 'succeeded', output: { resourceId: credential.id } }
    : { type: 'failed', failure: changed.failure }
}

/** Kept before n8n has it, so that the client's other programs can be given it, whatever becomes of this attempt. */
async function webhookData(context: N8nStepContext) {
  const { n8nWebhookKey } = await projectSecrets(context.sql, context.job.organizationId)
  const value = n8nWebhookKey ?? newKey()
  if (!n8nWebhookKey) await keepProjectSecrets(context, { n8nWebhookKey: value })
  return success({ name: WEBHOOK_HEADER, value })
}

function newKey(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(WEBHOOK_KEY_BYTES))).toString('base64url')
}

interface Around {
  readonly found: readonly Workflow[]
  readonly tag: Tag
  readonly credentials: Credentials
}

async function findOrCreateWorkflow(
  context: N8nStepContext,
  template: Template,
  { found, tag, credentials }: Around,
): Promise<Result<MadeWorkflow>> {
  const { n8n, tenant, assertLease } = context
  const name = workflowName(tenant.organizationId, template.name)
  const recordedId = recordedWorkflows
    .parse(tenant.recorded?.details.workflows)
    .find((each) => each.template === template.name)?.id
  const existing = found.find(({ id }) => id === recordedId) ?? found.find((each) => each.name === name)
  const workflow = existing ? success(existing) : await createWorkflow(context, template, name, credentials)
  if (!workflow.ok) return workflow
  const { id, active, tags } = workflow.value
  if (!tags.some((each) => each.id === tag.id)) {
    const tagged = await n8n.tagWorkflow(id, tag.id, assertLease)
    if (!tagged.ok) return tagged
  }
  if (!active) {
    const activated = await n8n.activateWorkflow(id, assertLease)
    if (!activated.ok) return activated
  }
  return success({ template: template.name, id, name: workflow.value.name, url: n8n.workflowUrl(id) })
}

function createWorkflow(
  context: N8nStepContext,
  template: Template,
  name: string,
  credentials: Credentials,
): Promise<Result<Workflow>> {
  const { organizationId, name: client, slug, email, projectUrl = '' } = context.tenant
  const values = {
    clientId: organizationId,
    clientName: client,
    clientSlug: slug,
    clientEmail: email,
    projectUrl,
  }
  const references: CredentialReferences = credentials
  const body = fillTemplate(template, name, values, references)
  return planned(context, (before) => context.n8n.createWorkflow(body, before))
}

/** Makes one thing. The plan is taken back when n8n has made nothing for certain. */
async function planned<T>(
  context: N8nStepContext,
  create: (before: () => Promise<void>) => Promise<Result<T>>,
): Promise<Result<T>> {
  let isPlanned = false
  const made = await create(async () => {
    await context.planResource(N8N_WORKFLOWS, clientName(context.tenant.organizationId))
    isPlanned = true
  })
  if (!made.ok && isPlanned && !leavesOpen(made.failure, n8nFailures))
    await context.unplanResource(N8N_WORKFLOWS)
  return settling(made)
}

/** What a request without an answer makes may not be listed yet. */
function settling<T>(made: Result<T>): Result<T> {
  if (made.ok || !leavesOpen(made.failure, n8nFailures)) return made
  return failed({ ...made.failure, settleSeconds: made.failure.retryAfterSeconds ?? 0 })
}
