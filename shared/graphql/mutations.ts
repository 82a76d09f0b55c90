import { z } from 'zod'
import type { MutationResolvers } from '../generated/resolver-types.ts'
import { unlessJustRefused } from '../kernel/remembered-refusals.ts'
import { accessMutations } from './access.ts'
import { check, organizationId, word } from './arguments.ts'
import { bulkMutations } from './bulk-retry.ts'
import type { GraphqlContext } from './context.ts'
import { keyMutations } from './keys.ts'
import { membershipMutations } from './memberships.ts'
import { organizationMutations } from './own-organizations.ts'
import { pauseMutations } from './pauses.ts'
import { provisionUserResources } from './provision-user-resources.ts'
import { CANCEL, CANCEL_MOVE, MOVE, PROVISION, ROTATE } from './reads/provisioning.ts'

const services = z.array(word).min(1, 'names no service').max(20)

export const mutations: Required<MutationResolvers<GraphqlContext>> = {
  provisionTenant: async (_, wanted, { reader, caller }) => {
    const id = organizationId(wanted.organizationId)
    const wishes = {
      organizationId: id,
      dataRegion: check('dataRegion', word.nullish(), wanted.dataRegion) ?? null,
      databaseSize: check('databaseSize', word.nullish(), wanted.databaseSize) ?? null,
      tier: check('tier', word.nullish(), wanted.tier) ?? null,
    }
    const jobId = await unlessJustRefused(caller, wishes, () => reader.call(PROVISION, wishes))
    return { organizationId: id, jobId }
  },

  retryTenantProvisioning: async (_, wanted, { reader, caller }) => {
    const id = organizationId(wanted.organizationId)
    const wishes = {
      organizationId: id,
      services: check('services', services.nullish(), wanted.services) ?? null,
    }
    const jobId = await unlessJustRefused(caller, wishes, () => reader.call(PROVISION, wishes))
    return { organizationId: id, jobId }
  },

  cancelProvisioning: (_, wanted, { reader, caller }) => {
    const wishes = { organizationId: organizationId(wanted.organizationId) }
    return unlessJustRefused(caller, { ...wishes, cancel: true }, () => reader.call(CANCEL, wishes))
  },

  rotateCredentials: async (_, wanted, { reader, caller }) => {
    const id = organizationId(wanted.organizationId)
    const graceHours = check('graceHours', z.int().min(0).max(720).nullish(), wanted.graceHours) ?? null
    const wishes = { organizationId: id, graceHours }
    const jobId = await unlessJustRefused(caller, { ...wishes, rotate: true }, () =>
      reader.call(ROTATE, wishes),
    )
    return { organizationId: id, jobId }
  },

  moveTenant: async (_, wanted, { reader, caller }) => {
    const { dryRun, withData, leaveExtraTables } = wanted
    const id = organizationId(wanted.organizationId)
    const wishes = {
      organizationId: id,
      tier: check('tier', word, wanted.tier),
      dryRun,
      withData,
      leaveExtraTables,
    }
    const jobId = await unlessJustRefused(caller, wishes, () => reader.call(MOVE, wishes))
    return { organizationId: id, jobId }
  },

  cancelMove: async (_, wanted, { reader, caller }) => {
    const wishes = { organizationId: organizationId(wanted.organizationId) }
    const jobId = await unlessJustRefused(caller, { ...wishes, cancelMove: true }, () =>
      reader.call(CANCEL_MOVE, wishes),
    )
    return { ...wishes, jobId }
  },

  checkTenantHealth: async (_, wanted, { sql, environment, caller }) => {
    const id = organizationId(wanted.organizationId)
    // Loaded when it is needed: the provider's client would add some 60 ms to every cold start.
    const { checkHealth } = await import('./health-check.ts')
    return checkHealth(sql, environment, caller, id, wanted.deep)
  },

  provisionUserResources,

  ...bulkMutations,
  ...pauseMutations,
  ...keyMutations,
  ...accessMutations,
  ...membershipMutations,
  ...organizationMutations,
}
