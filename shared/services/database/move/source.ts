import { z } from 'zod'
import type { StepContext } from '../../../engine/step.ts'
import { type DatabaseHost, hostedBy } from '../host.ts'
import type { DatabaseStepContext } from '../step.ts'
import { databaseTenant } from '../tenant.ts'

const facts = z.object({
  fromTier: z.string(),
  /** Null in a look before a move. */
  withData: z.boolean().nullable(),
  leaveExtraTables: z.boolean().nullable(),
  /** How often the database in use was closed for this move. */
  closings: z.number().nullable(),
  isClosed: z.boolean(),
  facts: z.looseObject({ organization: z.unknown().nullable() }),
  closedSeconds: z.number(),
  mostClosings: z.number(),
  sliceSeconds: z.number(),
  tables: z.record(
    z.string(),
    z.object({
      after: z.array(z.string()).nullable(),
      pageRows: z.number(),
      passes: z.number(),
      /** By the newest whole pass, and by the one under way. */
      changed: z.number(),
      changedInPass: z.number(),
    }),
  ),
})

/** How a move stands, and what the settings allow it. */
export type Move = z.infer<typeof facts>

/** What a step of a move works with. */
export interface MoveContext extends StepContext {
  readonly move: Move
  /** The database in use, which the tenant leaves. */
  readonly source: DatabaseStepContext
  /** The one that it moves to; only in the job that makes it. */
  readonly target: () => DatabaseStepContext
}

/**
 * The secrets of a run are those of the database that the job makes: the other one has its own.
 * @returns undefined when the organization was deleted in the meantime
 */
export async function moveContext(
  hosts: readonly DatabaseHost[],
  context: StepContext,
): Promise<MoveContext | undefined> {
  const [row] = await context.sql<{ move: unknown }[]>`
    select provisioning.move_facts(${context.job.organizationId}) as move`
  const move = facts.parse(row?.move)
  if (!move.facts.organization) return undefined
  const within = (tier: string, of: StepContext['tenant'], secrets: StepContext['secrets']) => ({
    ...context,
    secrets,
    tenant: databaseTenant.parse(of),
    hosted: hostedBy(hosts, tier, of),
  })
  return {
    ...context,
    move,
    source: within(move.fromTier, move.facts, new Map()),
    target: () => within(context.job.tier, context.tenant, context.secrets),
  }
}
