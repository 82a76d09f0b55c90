import { badRequest } from './errors.ts'
import type { Node, Workflow } from './instance.ts'

/** Starts by itself, so that a workflow with it can be active. A manual or an error trigger does not count. */
const TRIGGER = /Trigger$|^n8n-nodes-base\.(?:webhook|cron|interval|emailReadImap)$/
const NOT_BY_ITSELF = /\.(?:manualTrigger|errorTrigger|executeWorkflowTrigger|manualChatTrigger)$/

export function triggersOf({ nodes }: Pick<Workflow, 'nodes'>): Node[] {
  return nodes.filter(
    ({ type = '', disabled }) => !disabled && TRIGGER.test(type) && !NOT_BY_ITSELF.test(type),
  )
}

/** @throws N8nApiError 400 as n8n refuses to activate a workflow */
export function assertActivatable(workflow: Workflow, active: readonly Workflow[], limit: number): void {
  if (workflow.isArchived) throw badRequest('Cannot activate an archived workflow.')
  if (triggersOf(workflow).length === 0)
    throw badRequest(
      'Workflow cannot be activated because it has no trigger node. At least one trigger, webhook, or polling node is required.',
    )
  const others = active.filter(({ id }) => id !== workflow.id)
  const taken = new Set(others.flatMap(webhooksOf))
  if (webhooksOf(workflow).some((webhook) => taken.has(webhook)))
    throw badRequest('There is a conflict with one of the webhooks.')
  // The wording of n8n's cloud is not published.
  if (others.length >= limit) throw badRequest(`The plan's limit of ${limit} active workflows is reached.`)
}

function webhooksOf({ nodes }: Workflow): string[] {
  return nodes
    .filter(({ type, disabled }) => type === 'n8n-nodes-base.webhook' && !disabled)
    .map(({ parameters = {} }) => `${parameters.httpMethod ?? 'GET'} ${parameters.path ?? ''}`)
}
