import type { Step } from '../../engine/step.ts'
import { defineService } from '../service.ts'
import { connectSupabase } from './client.ts'
import { deleteSupabaseProject } from './delete-supabase-project.ts'
import { endFormerKeys, limitFormerKey } from './end-former-keys.ts'
import { supabaseEnvironment } from './environment.ts'
import { supabaseFailures } from './failures.ts'
import { supabaseHost } from './host.ts'
import { supabaseInventory } from './inventory.ts'
import { newProjectPassword } from './new-project-password.ts'
import { newSecretKey } from './new-secret-key.ts'
import { projectKeys } from './project-keys.ts'
import { projectReady } from './project-ready.ts'
import { ofOrganization, type SupabaseStep } from './step.ts'
import { supabaseProject } from './supabase-project.ts'
import { supabaseWatch, WATCH_FRESH_MS } from './watch.ts'

/** A Supabase project of its own for each organization of the tier "project". */
export const supabase = defineService({
  name: 'supabase',
  label: 'Supabase',
  secret: 'MANAGEMENT_TOKEN',
  address: 'MANAGEMENT_API_URL',
  environment: supabaseEnvironment,
  failures: supabaseFailures,
  emulator: { key: 'sbp_localemulator', path: '', variables: { MANAGEMENT_ORG_ID: 'localemulator' } },
  connect(environment, sql) {
    const connect = connectSupabase(environment, sql)
    const withProvider =
      (step: SupabaseStep): Step =>
      (context) =>
        step({ ...context, supabase: connect(context.signal) })
    return {
      steps: {
        supabase_project: withProvider(ofOrganization(supabaseProject)),
        project_ready: withProvider(ofOrganization(projectReady)),
        project_keys: withProvider(ofOrganization(projectKeys)),
        new_project_password: withProvider(ofOrganization(newProjectPassword)),
        new_secret_key: withProvider(ofOrganization(newSecretKey)),
        limit_former_key: withProvider(ofOrganization(limitFormerKey)),
        end_former_keys: withProvider(ofOrganization(endFormerKeys)),
        delete_supabase_project: withProvider(deleteSupabaseProject),
      },
      inventories: { supabase_project: supabaseInventory(connect()) },
    }
  },
  databaseHost: (environment, sql) => supabaseHost(connectSupabase(environment, sql)),
  databaseWatch: (environment, sql) =>
    supabaseWatch(connectSupabase(environment, sql, Date.now, 0, WATCH_FRESH_MS)),
  keyCheck: ({ MANAGEMENT_TOKEN: key, MANAGEMENT_API_URL: url }) => ({ url: `${url}/v1/organizations`, key }),
})
