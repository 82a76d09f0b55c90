import { forTenant, type Step } from '../../engine/step.ts'
import { defineService } from '../service.ts'
import { knowAwake } from './awake.ts'
import { createNeonProvider } from './client.ts'
import { deleteNeonProject } from './delete-neon-project.ts'
import { neonEnvironment } from './environment.ts'
import { neonFailures } from './failures.ts'
import { neonHost } from './host.ts'
import { branchInventory, neonInventory } from './inventory.ts'
import { neonProject } from './neon-project.ts'
import type { NeonStep } from './step.ts'
import { neonTenant } from './tenant.ts'
import { neonWatch } from './watch.ts'

/** A Postgres of its own for each organization: a Neon project with the tenant schema. */
export const neon = defineService({
  name: 'neon',
  label: 'Neon',
  secret: 'NEON_API_KEY',
  address: 'NEON_API_URL',
  environment: neonEnvironment,
  failures: neonFailures,
  emulator: { key: 'napi_localemulator', path: '/api/v2' },
  connect(environment, sql) {
    const provider = createNeonProvider(environment, sql)
    const withRows = (step: NeonStep): Step =>
      forTenant(neonTenant, (context) => step({ ...context, neon: provider }))
    return {
      steps: {
        neon_project: withRows(neonProject),
        delete_neon_project: (context) => deleteNeonProject(context, provider),
      },
      inventories: { neon_project: neonInventory(provider), neon_branch: branchInventory(provider, sql) },
    }
  },
  databaseHost(environment, sql) {
    const provider = createNeonProvider(environment, sql)
    return neonHost(provider, knowAwake(provider))
  },
  databaseWatch: (environment, sql) => neonWatch(createNeonProvider(environment, sql, 0)),
  keyCheck({ NEON_API_KEY: key, NEON_API_URL: url, NEON_ORG_ID: organization }) {
    const scope = organization ? `&org_id=${encodeURIComponent(organization)}` : ''
    // A personal key belongs to no organization, so that each call has to name one.
    const wanted = (message: string) => (/\borg_id\b/.test(message) ? 'NEON_ORG_ID' : undefined)
    return { url: `${url}/projects?limit=1${scope}`, key, wanted }
  },
})
