import { forTenant } from '../../engine/step.ts'
import { defineService } from '../service.ts'
import { connectN8n } from './client.ts'
import { deleteN8nWorkflows } from './delete-n8n-workflows.ts'
import { n8nEnvironment } from './environment.ts'
import { n8nFailures } from './failures.ts'
import { n8nInventory } from './inventory.ts'
import { handOnToWorkflows, n8nWorkflows } from './n8n-workflows.ts'
import { n8nTenant } from './step.ts'

/** Workflows in an n8n of yours for each client that has a Supabase project of its own. */
export const n8n = defineService({
  name: 'n8n',
  label: 'n8n',
  secret: 'N8N_API_KEY',
  address: 'N8N_URL',
  environment: n8nEnvironment,
  failures: n8nFailures,
  emulator: { key: 'n8n_api_localemulator', path: '' },
  connect(environment, sql) {
    const connected = connectN8n(environment, sql)
    return {
      steps: {
        n8n_workflows: forTenant(n8nTenant, (context) =>
          n8nWorkflows({ ...context, n8n: connected(context.signal) }),
        ),
        hand_on_to_workflows: forTenant(n8nTenant, (context) =>
          handOnToWorkflows({ ...context, n8n: connected(context.signal) }),
        ),
        delete_n8n_workflows: (context) => deleteN8nWorkflows(context, connected(context.signal)),
      },
      inventories: { n8n_workflows: n8nInventory(connected()) },
    }
  },
  keyCheck: ({ N8N_API_KEY: key, N8N_URL: url }) => ({
    // The list that only an owner or an admin may see.
    url: `${url ?? 'https://n8n.invalid'}/api/v1/credentials?limit=1`,
    key: url ? key : undefined,
    header: 'x-n8n-api-key',
  }),
})
