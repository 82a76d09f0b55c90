import { setTimeout as sleep } from 'node:timers/promises'
import { signUp } from '../support/sign-up.ts'
import { insist } from './insist.ts'
import type { Plan, PlannedSignUp } from './plan.ts'
import type { ChaosProject } from './project.ts'
import type { Tally } from './tally.ts'

const RETRY_PAUSE_MS = 200

/** Signs everybody up at the planned moments. @returns the ids of those whose sign-up was committed: all of them */
export async function signEverybodyUp(
  project: ChaosProject,
  { seed, signUps }: Plan,
  tally: Tally,
  signal: AbortSignal,
): Promise<string[]> {
  return Promise.all(
    signUps.map(async (planned, index) => {
      await sleep(planned.atMs, undefined, { signal })
      return signOneUp(project, planned, `user-${seed}-${index}@example.com`, tally, signal)
    }),
  )
}

/** A person whose sign-up failed tries again; one who got no answer is told whether it worked. */
async function signOneUp(
  { auth, superuser }: ChaosProject,
  { email, organizationName }: PlannedSignUp,
  address: string,
  tally: Tally,
  signal: AbortSignal,
): Promise<string> {
  const id = crypto.randomUUID()
  const user = { id, email: email ? address : null, metadata: { organization_name: organizationName } }
  for (;;) {
    try {
      await signUp(auth, user)
      tally.add('acknowledged')
      return id
    } catch {
      // Whatever was said, only the database knows whether the commit went through.
      const [row] = await insist(() => superuser`select from auth.users where id = ${id}`, signal)
      tally.add(row ? 'committed, but the reply was lost' : 'tried again')
      if (row) return id
      await sleep(RETRY_PAUSE_MS, undefined, { signal })
    }
  }
}
