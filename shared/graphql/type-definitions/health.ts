/** Health of a tenant, and alerts. */
export const HEALTH = /* GraphQL */ `
  type TenantHealth {
    organizationId: ID!
    status: HealthState!
    """
    Why it is not simply healthy.
    """
    reasons: [HealthReason!]!
    """
    What the newest connection measured, and what the provider says of a sleeper.
    """
    metrics: HealthMetrics!
    checkedAt: DateTime
    """
    When the database was last connected to.
    """
    connectedAt: DateTime
    nextCheckAt: DateTime
  }

  type HealthReason {
    code: String!
    severity: Severity!
    message: String!
  }

  type HealthMetrics {
    connectMs: Float
    pooledConnectMs: Float
    latencyMs: Float
    transactionsPerSecond: Float
    """
    Blocks found in memory, of all: 0 to 1.
    """
    cacheHitRatio: Float
    longestQuerySeconds: Float
    connections: Int
    maxConnections: Int
    sizeBytes: Float
    quotaBytes: Float
    growthBytesPerDay: Float
    schemaVersion: Int
    """
    In which ways the schema is not as the files of its version have made it: the kind and the name of an object, and whether it
    is added, changed or missing. Up to 20; null when it is as they made it, or has not been compared yet.
    """
    schemaDifferences: [String!]
    """
    When the schema was compared with the files last.
    """
    schemaLookedAt: DateTime
    certificateExpiresAt: DateTime
    """
    Who has issued the certificate of the database's host, as the certificate has it.
    """
    certificateIssuer: String
  }

  enum HealthBucket {
    CHECK
    HOUR
    DAY
  }

  type TenantHealthPoint {
    """
    The time of the check, or the begin of the hour or day (UTC).
    """
    at: DateTime!
    checks: Int!
    """
    Checks that were not unhealthy.
    """
    available: Int!
    """
    Share of the time in which it was not unhealthy, 0 to 1.
    """
    availability: Float
    """
    Of a single check; null for hours and days.
    """
    status: HealthState
    minLatencyMs: Float
    medianLatencyMs: Float
    """
    Of a day, the worst of its hours.
    """
    p95LatencyMs: Float
    """
    Open ones; of an hour or day, the most that a check has seen.
    """
    connections: Int
    """
    Blocks found in memory, of all: 0 to 1; of an hour or day, the mean.
    """
    cacheHitRatio: Float
    sizeBytes: Float
  }

  type TenantAlert {
    id: ID!
    organizationId: ID!
    """
    Such as provision_failed, deprovision_failed or tenant_health.
    """
    kind: String!
    """
    WARNING or CRITICAL.
    """
    severity: Severity!
    message: String!
    metadata: JSON!
    openedAt: DateTime!
    """
    When a warning became critical.
    """
    escalatedAt: DateTime
    resolvedAt: DateTime
    cursor: String!
  }
`
