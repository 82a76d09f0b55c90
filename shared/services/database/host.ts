import type { AssertLease, StepContext, TenantFacts } from '../../engine/step.ts'
import type { Result } from '../../kernel/result.ts'

/** A service in which tenants' databases are. What is done inside of them is the same for all hosts. */
export interface DatabaseHost {
  /** As in provisioning.tiers: the databases of this tier are here. */
  readonly tier: string
  /** @param facts the rows that provisioning.tenant() has of the organization */
  hosted(facts: TenantFacts): HostedDatabase
}

/** Copies of a tenant's database as it is now, with its roles and passwords. To make one wakes nobody. */
export interface DatabaseCopies {
  /** The copy of this name, made when there is none. @param expiresAt when the host removes it, should nobody have done so */
  open(name: string, expiresAt: Date, assertLease: AssertLease): Promise<Result<DatabaseCopy>>
  /** Succeeds when it is gone. */
  close(copy: DatabaseCopy, assertLease: AssertLease): Promise<Result<void>>
}

export interface DatabaseCopy {
  readonly id: string
  readonly host: string
  readonly port: number
}

/** One tenant's database, as far as only its host knows it. */
export interface HostedDatabase {
  /** The role that came with the database. It is ours alone, and makes all others. */
  readonly adminRole: string
  /** @param refused the one that this has returned before, and that was refused */
  adminPassword(
    context: Pick<StepContext, 'sql' | 'secrets' | 'signal'>,
    refused?: string,
  ): Promise<Result<string>>
  /** Whether a connection wakes nobody. False when there is no database. */
  isAwake(): Promise<Result<boolean>>
  /** Copies of it, for trying things; undefined where the host has none. */
  readonly copies?: DatabaseCopies
  /** The same by a list of all databases that is not older than a minute, for work that goes through a fleet. */
  isListedAwake(): Promise<Result<boolean>>
}

/** @throws Error when no service hosts the databases of the tier */
export function hostedBy(hosts: readonly DatabaseHost[], tier: string, facts: TenantFacts): HostedDatabase {
  const host = hosts.find((each) => each.tier === tier)
  if (!host) throw new Error(`no service hosts the databases of the tier "${tier}"`)
  return host.hosted(facts)
}
