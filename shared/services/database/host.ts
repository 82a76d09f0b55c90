import type { StepContext, TenantFacts } from '../../engine/step.ts'
import type { Result } from '../../kernel/result.ts'

/** A service in which tenants' databases are. What is done inside of them is the same for all hosts. */
export interface DatabaseHost {
  /** As in provisioning.tiers: the databases of this tier are here. */
  readonly tier: string
  /** @param facts the rows that provisioning.tenant() has of the organization */
  hosted(facts: TenantFacts): HostedDatabase
}

/** One tenant's database, as far as only its host knows it. */
export interface HostedDatabase {
  /** The role that came with the database. It is ours alone, and makes all others. */
  readonly adminRole: string
  adminPassword(context: Pick<StepContext, 'sql' | 'secrets' | 'signal'>): Promise<Result<string>>
  /** Whether a connection wakes nobody. False when there is no database. */
  isAwake(): Promise<Result<boolean>>
  /** The same by a list of all databases that is not older than a minute, for work that goes through a fleet. */
  isListedAwake(): Promise<Result<boolean>>
}

/** @throws Error when no service hosts the databases of the tier */
export function hostedBy(hosts: readonly DatabaseHost[], tier: string, facts: TenantFacts): HostedDatabase {
  const host = hosts.find((each) => each.tier === tier)
  if (!host) throw new Error(`no service hosts the databases of the tier "${tier}"`)
  return host.hosted(facts)
}
