import type postgres from 'postgres'
import { expect } from 'vitest'
import { callHealth } from '../functions/health-project.ts'
import type { FunctionReply, SignedUp, TestProject } from '../support/project.ts'
import { strongestConnection } from '../support/tenant-logins.ts'

/** Does something in a ready tenant's own database as its strongest login. */
export async function asOwner<T>(
  project: TestProject,
  organizationId: string,
  attack: (sql: postgres.Sql) => Promise<T>,
): Promise<T> {
  const sql = await strongestConnection(project, organizationId)
  return attack(sql).finally(() => sql.end({ timeout: 1 }))
}

/** Asks that everything of the service neon is looked at again; replies when that has ended. */
export function retryNeon(project: TestProject, { organizationId }: SignedUp): Promise<FunctionReply> {
  return project.request({ organizationId, services: ['neon'], wait: true })
}

/** The processes of the functions: whoever has died and come again has another number. */
export function processesOf(project: TestProject): string[] {
  return project.services.gateway.functions
    .processes()
    .map(({ name, pid }) => `${name} ${pid}`)
    .sort()
}

export interface Bystanders {
  /** Who has a ready tenant, whose health was checked before, so that every process is there that is needed for it. */
  readonly neighbour: Pick<SignedUp, 'organizationId'>
  /** So many people sign up meanwhile, one after the other. */
  readonly signUps?: number
  /** What each of them waits for the tenant at most. Default: as long as all tests do. */
  readonly readyWithinMs?: number
}

/** @returns what the attack brought, after everybody else was found undisturbed by it */
export async function whileOthersAreFine<T>(
  project: TestProject,
  { neighbour, signUps = 1, readyWithinMs }: Bystanders,
  attack: () => Promise<T>,
): Promise<T> {
  const before = processesOf(project)
  const bystanders = async () => {
    for (let n = 0; n < signUps; n += 1) {
      const { organizationId } = await project.signUp()
      await project.waitFor(organizationId, 'ready', readyWithinMs)
    }
  }
  const [outcome] = await Promise.all([attack(), bystanders()])
  const health = await callHealth(project, { organizationId: neighbour.organizationId, deep: true })
  expect(health).toMatchObject({ status: 200, body: { status: 'healthy' } })
  expect(processesOf(project)).toEqual(before)
  return outcome
}
