/** What the scalars are; graphql-tools takes the text from their implementation. */
export const SCALARS = {
  DateTime: 'A moment as ISO 8601 text in UTC, such as 2026-01-31T12:00:00.000Z.',
  JSON: 'Any JSON value.',
} as const

/** Scalars, and the states and roles that several types have. */
export const STATES = /* GraphQL */ `
  """
  ${SCALARS.DateTime}
  """
  scalar DateTime

  """
  ${SCALARS.JSON}
  """
  scalar JSON

  enum ProvisioningState {
    PENDING
    PROVISIONING
    READY
    FAILED
    CANCELLED
  }

  """
  Of a service: NOT_REQUESTED when the tenant does without it.
  """
  enum ServiceState {
    PENDING
    RUNNING
    RETRYING
    READY
    FAILED
    CANCELLED
    NOT_REQUESTED
  }

  enum StepState {
    PENDING
    RUNNING
    RETRYING
    SUCCEEDED
    FAILED
    CANCELLED
  }

  enum JobState {
    QUEUED
    RUNNING
    SUCCEEDED
    FAILED
    CANCELLED
  }

  """
  A sleeping database is healthy, too.
  """
  enum HealthState {
    UNKNOWN
    HEALTHY
    DEGRADED
    UNHEALTHY
    SLEEPING
  }

  enum Severity {
    INFO
    WARNING
    CRITICAL
  }

  enum MemberRole {
    OWNER
    ADMIN
    MEMBER
  }

  """
  Of the caller in an organization. WAKE_DATABASE: a deep health check; PROVISION: also to try again, cancel and resize.
  """
  enum Permission {
    CHECK_HEALTH
    WAKE_DATABASE
    PROVISION
    READ_CONNECTION
    MANAGE_KEYS
    MANAGE_MEMBERS
    EDIT_ORGANIZATION
    DELETE_ORGANIZATION
  }

  enum SslMode {
    DISABLE
    REQUIRE
    VERIFY_FULL
  }
`
