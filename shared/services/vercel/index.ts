import { forTenant, type Step } from '../../engine/step.ts'
import { defineService } from '../service.ts'
import { connectVercel } from './client.ts'
import { deleteVercelProject } from './delete-vercel-project.ts'
import { vercelEnvironment } from './environment.ts'
import { vercelFailures } from './failures.ts'
import { vercelInventory } from './inventory.ts'
import { VERCEL_PROJECT, type VercelStep, vercelTenant } from './step.ts'
import { deployAnew, vercelDeployment } from './vercel-deployment.ts'
import { handOnToDeployment, vercelProject } from './vercel-project.ts'

/** A deployed project of the repository of each client that has a Supabase project of its own. */
export const vercel = defineService({
  name: 'vercel',
  label: 'Vercel',
  secret: 'VERCEL_TOKEN',
  address: 'VERCEL_API_URL',
  environment: vercelEnvironment,
  failures: vercelFailures,
  emulator: { key: 'vcp_localemulator', path: '', variables: { VERCEL_TEAM_ID: 'team_localemulator' } },
  connect(environment, sql) {
    const connected = connectVercel(environment, sql)
    const withRows = (step: VercelStep): Step =>
      forTenant(vercelTenant, (context) => step({ ...context, vercel: connected(context.signal) }))
    return {
      steps: {
        vercel_project: withRows(vercelProject),
        vercel_deployment: withRows(vercelDeployment),
        hand_on_to_deployment: withRows(handOnToDeployment),
        deploy_anew: withRows(deployAnew),
        delete_vercel_project: (context) => deleteVercelProject(context, connected(context.signal)),
      },
      inventories: { [VERCEL_PROJECT]: vercelInventory(connected(), sql) },
    }
  },
  keyCheck({ VERCEL_TOKEN: key, VERCEL_TEAM_ID: team, VERCEL_API_URL: url }) {
    const scope = team ? `&teamId=${encodeURIComponent(team)}` : ''
    return { url: `${url}/v10/projects?limit=1${scope}`, key }
  },
})
