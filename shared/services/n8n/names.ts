import { Buffer } from 'node:buffer'
import { ORGANIZATION_ID } from '../inventory.ts'
import type { CredentialName } from './template.ts'

/** As in provisioning.resource_kinds. */
export const N8N_WORKFLOWS = 'n8n_workflows'

/** What a client's workflows and credentials begin with, in n8n and in the row of tenant_resources. */
export function clientName(organizationId: string): string {
  return `client-${organizationId}`
}

export function workflowName(organizationId: string, template: string): string {
  return `${clientName(organizationId)} ${template}`
}

export function credentialName(organizationId: string, credential: CredentialName): string {
  return `${clientName(organizationId)} ${credential}`
}

const TAG_PREFIX = 'c-'
const TAG = /^c-[\w-]{22}$/
const OUR_ID = new RegExp(`^${ORGANIZATION_ID}$`)

/** n8n's tags have at most 24 characters, fewer than the id alone: its 16 bytes in base64url fit exactly. */
export function tagName(organizationId: string): string {
  return TAG_PREFIX + Buffer.from(organizationId.replaceAll('-', ''), 'hex').toString('base64url')
}

/** The organization of a tag of exactly our kind; null for everybody else's. */
export function organizationOfTag(tag: string): string | null {
  if (!TAG.test(tag)) return null
  const hex = Buffer.from(tag.slice(TAG_PREFIX.length), 'base64url').toString('hex')
  const id = hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
  // The last character stands for four bits that are not there: only one of its values is ours.
  return OUR_ID.test(id) && tagName(id) === tag ? id : null
}
