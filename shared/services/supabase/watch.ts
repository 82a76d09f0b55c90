import { failed, success } from '../../kernel/result.ts'
import type { DatabaseNow, DatabaseState, DatabaseWatch } from '../database/watch.ts'
import type { ConnectSupabase } from './client.ts'
import { failure } from './failures.ts'
import { illServices } from './ill-services.ts'

/** A list counts as new for so long: all checks of that time share it, however many projects there are. */
export const WATCH_FRESH_MS = 20_000
/** How often the services of a project are asked for, of all projects together: most calls are left to provisioning. */
const SERVICES_EVERY_MS = 6_000

const words = {
  project_paused:
    'The Supabase project is paused. A check does not wake it; restore it at supabase.com/dashboard when it is wanted.',
  project_deleted:
    'The Supabase project does not exist any more, and Supabase cannot bring it back. Retry the service supabase, which makes another one.',
  project_failed:
    'The Supabase project did not come up. Ask Supabase’s support, or delete it at supabase.com/dashboard and retry the service supabase.',
  project_changing:
    'The Supabase project takes nobody until it has changed. It is looked at again by itself.',
  project_hangs:
    'The Supabase project has been changing for longer than is usual. Look at status.supabase.com, and ask Supabase’s support.',
  project_unhealthy:
    'Supabase says that the project is not healthy. Look at its logs at supabase.com/dashboard, and at status.supabase.com.',
  services_unhealthy:
    'Services of the Supabase project are not healthy. Restart it at supabase.com/dashboard, or ask Supabase’s support.',
  login_refused:
    'The database refuses the login: password or role have changed. Retry the service database, which makes it anew.',
  login_locked_out:
    'The login that checks the database may not log in any more. Retry the service database, which makes it anew.',
  credentials_missing:
    'The password of the database is not in Vault. Retry the service database, which sets a new one.',
  schema_outdated: 'Retry the service database to bring it up to date.',
}

/** What Supabase's words say. One that is not known is tried: a connection changes nothing. */
const STATES: Readonly<Record<string, DatabaseState>> = {
  ACTIVE_UNHEALTHY: 'ailing',
  INACTIVE: 'paused',
  ...{ COMING_UP: 'changing', PAUSING: 'changing', RESTORING: 'changing' },
  ...{ RESTARTING: 'changing', RESIZING: 'changing', UPGRADING: 'changing' },
  ...{ INIT_FAILED: 'failed', RESTORE_FAILED: 'failed', PAUSE_FAILED: 'failed' },
  ...{ GOING_DOWN: 'gone', REMOVED: 'gone' },
}

function nowIn({ status }: { readonly status: string }): DatabaseNow {
  return { state: STATES[status] ?? 'active', said: status }
}

/**
 * The databases of the tier "project" do not sleep by themselves, and one list tells how all of them are.
 * @param now milliseconds
 */
export function supabaseWatch(connect: ConnectSupabase, now: () => number = Date.now): DatabaseWatch {
  const supabase = connect()
  let lookedAt = Number.NEGATIVE_INFINITY
  return {
    tier: 'project',
    words,
    async state(ref, since) {
      const listed = await supabase.listedProject(ref, since)
      if (!listed.ok) return listed
      if (listed.value) return success(nowIn(listed.value))
      // It may be newer than the list.
      const asked = await supabase.project(ref)
      return asked.ok ? success(asked.value ? nowIn(asked.value) : { state: 'gone' }) : asked
    },
    async illServices(ref, asked) {
      if (!asked && now() - lookedAt < SERVICES_EVERY_MS) return failed(failure('supabase_paused'))
      lookedAt = now()
      return illServices(supabase, ref)
    },
  }
}
