import { z } from 'zod'
import { remedyOfCheck, type TenantCommand } from '../tenants/remedies.ts'
import { camelCased } from './names.ts'

const check = z.object({
  check: z.string(),
  status: z.string(),
  code: z.string().nullable(),
  found: z.string().nullable(),
  service: z.string().nullable(),
  failure_code: z.string().nullable(),
})

const description = z.object({
  subject: z.string(),
  organization_id: z.string().nullable(),
  organization: z.object({}).nullable(),
  user: z.object({ id: z.string() }).nullable(),
  checks: z.array(check),
  verdict: z.object({
    ready: z.boolean(),
    state: z.string(),
    summary: z.string(),
    check: z.string().nullable(),
  }),
  resources: z.array(z.looseObject({})),
  audit: z.array(z.looseObject({})),
})

/** What provisioning.describe_tenant reports, with what a person does about each check that does not hold. */
export function verificationOf(document: unknown) {
  const {
    subject,
    user,
    organization_id: organizationId,
    verdict,
    checks,
    resources,
    audit,
  } = description.parse(document)
  const shown = checks.map((each) => ({
    check: each.check,
    status: each.status,
    code: each.code,
    found: each.found ?? '',
    remedy: remedyOf(each),
  }))
  const cause = shown.find((each) => each.check === verdict.check)
  return {
    subject,
    userId: user?.id ?? null,
    organizationId,
    verdict: { ...verdict, remedy: cause?.remedy ?? null },
    checks: shown,
    resources: resources.map(camelCased),
    audit: audit.map(camelCased),
  }
}

function remedyOf(each: z.infer<typeof check>) {
  const remedy = remedyOfCheck(each)
  return remedy ? { text: remedy.text, actions: remedy.commands.map(actionOf) } : null
}

function actionOf({ command, ...parameters }: TenantCommand) {
  return { action: command, ...parameters }
}
