import { success } from '../../kernel/result.ts'
import type { DatabaseWatch } from '../database/watch.ts'
import { type NeonProvider, PAGE } from './client.ts'

type Watched = Pick<NeonProvider, 'compute' | 'usage' | 'projectPage'>

const words = {
  project_deleted:
    'The Neon project does not exist any more. Recover it at console.neon.tech within 7 days of its deletion, or retry the service neon.',
  compute_disabled: 'The Neon compute is disabled. Enable it at console.neon.tech.',
  quota_suspended:
    'The quota of the Neon project is used up, so its compute is suspended. Raise the plan’s quota and retry the service neon, or wait for the next billing period.',
  login_refused:
    'The database refuses the login: password or role have changed. Retry the service neon, which makes it anew.',
  login_locked_out:
    'The login that checks the database may not log in any more. Retry the service neon, which makes it anew.',
  credentials_missing:
    'The password of the database is not in Vault. Retry the service neon, which sets a new one.',
  schema_outdated: 'Retry the service neon to bring it up to date.',
}

/** The databases of the tier "database" sleep when nobody uses them, and Neon's list says who does. */
export function neonWatch(neon: Watched): DatabaseWatch {
  return {
    tier: 'database',
    words,
    state: (id) => neon.compute(id),
    list: {
      usage: (id) => neon.usage(id),
      refusesCursor: ({ code }) => code === 'neon_request_refused',
      async page(cursor) {
        const page = await neon.projectPage(cursor)
        if (!page.ok) return page
        const { projects, unavailable, nextCursor } = page.value
        // A short page without gaps is the last one; should that be wrong, a tenant that is missing is asked for by its id.
        const isLast = projects.length < PAGE && unavailable === 0
        return success({
          databases: projects.map(({ projectId, ...listed }) => ({ id: projectId, ...listed })),
          unavailable,
          ...(nextCursor && !isLast ? { nextCursor } : {}),
        })
      },
    },
  }
}
