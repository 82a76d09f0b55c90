/** What operators see of providers, fleet migrations and pauses. */
export const OPERATORS = /* GraphQL */ `
  enum BreakerState {
    """
    Calls pass.
    """
    CLOSED
    """
    It did not answer several times in a row: it is not called until nextTryAt.
    """
    OPEN
    """
    One call tries whether it answers again.
    """
    HALF_OPEN
  }

  type ProviderState {
    """
    Such as neon, stripe_test and stripe_live.
    """
    provider: String!
    """
    What it is paused by.
    """
    service: String!
    label: String!
    state: BreakerState!
    consecutiveFailures: Int!
    nextTryAt: DateTime
    lastError: String
    changedAt: DateTime!
    """
    That its documented limits allow, with room for what else uses the account.
    """
    callsPerSecond: Float
    """
    Of the limit of which least is left, from 0 to 100.
    """
    freePercent: Float!
    """
    How long a call waits now until the limits allow it.
    """
    waitSeconds: Float!
  }

  type FleetVersions {
    """
    The newest first.
    """
    versions: [VersionCount!]!
    """
    The newest, under way or ended; null when there was none.
    """
    migration: FleetMigration
  }

  type VersionCount {
    """
    Null while no schema is applied.
    """
    version: Int
    tenants: Int!
  }

  enum FleetMigrationState {
    """
    The first few tenants are migrated, before the others.
    """
    CANARY
    ROLLING
    """
    Too many have failed, or an operator said so.
    """
    STOPPED
    DONE
    CANCELLED
  }

  type FleetMigration {
    id: ID!
    toVersion: Int!
    state: FleetMigrationState!
    stoppedBecause: String
    startedAt: DateTime!
    endedAt: DateTime
    """
    States that no tenant is in are left out.
    """
    tenants: [FleetTenantCount!]!
    """
    Of 50 tenants at most.
    """
    errors: [FleetMigrationError!]!
  }

  enum FleetTenantState {
    WAITING
    """
    It follows when it is awake.
    """
    ASLEEP
    QUEUED
    DONE
    FAILED
    """
    Nothing is to be done any more: it was deleted, or has no database.
    """
    LEFT
  }

  type FleetTenantCount {
    state: FleetTenantState!
    count: Int!
  }

  type FleetMigrationError {
    organizationId: ID!
    """
    Null when the organization is deleted.
    """
    slug: String
    code: String
    message: String
  }

  enum PauseScope {
    EVERYTHING
    KIND
    PROVIDER
  }

  type Pause {
    scope: PauseScope!
    """
    The kind of job, or the service; empty for everything.
    """
    name: String!
    label: String!
    reason: String!
    """
    What people who wait are told.
    """
    message: String!
    pausedAt: DateTime!
    """
    Null when it was the backend or the owner of the database.
    """
    pausedBy: ID
  }
`
