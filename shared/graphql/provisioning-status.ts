import { z } from 'zod'
import { camelCased } from './names.ts'
import type { Reader } from './reader.ts'
import { PROVISIONING_STATUS } from './reads/provisioning.ts'

const progress = z.looseObject({
  revision: z.string(),
  overall: z.string(),
  services: z.array(z.looseObject({})),
  steps: z.array(z.looseObject({})),
})

export type ProvisioningStatus = ReturnType<typeof asProvisioningStatus>

/** How the provisioning of an organization stands; null when the caller may not see it. */
export async function provisioningStatus(reader: Reader, organizationId: string) {
  return asProvisioningStatus(await reader.readOf(PROVISIONING_STATUS, organizationId))
}

/** What provisioning.progress_of says of one organization, as the schema's ProvisioningStatus; null for null. */
export function asProvisioningStatus(document: unknown) {
  const found = progress.nullable().parse(document)
  if (found === null) return null
  const { revision, overall, services, steps } = found
  return {
    ...camelCased(found),
    revision,
    overall,
    services: services.map(camelCased),
    steps: steps.map(camelCased),
  }
}
