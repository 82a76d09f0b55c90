/** How the provisioning of an organization stands. */
export const PROVISIONING = /* GraphQL */ `
  type ProvisioningEvent {
    id: ID!
    """
    Such as sign_up, step.succeeded, step.retrying, step.failed or job.succeeded.
    """
    eventType: String!
    resourceType: String!
    resourceId: String
    status: String!
    errorMessage: String
    metadata: JSON!
    startedAt: DateTime!
    completedAt: DateTime
    """
    To go on after this event, as the argument after.
    """
    cursor: String!
  }

  type ProvisioningStatus {
    organizationId: ID!
    """
    Changes whenever anything else here does.
    """
    revision: String!
    overall: ProvisioningState!
    """
    Steps that have succeeded, of all: 0 to 100.
    """
    percent: Int!
    """
    What the tenant consists of: database or project. Null before there is a job.
    """
    tier: String
    """
    How often a worker has taken the job.
    """
    attempts: Int!
    """
    When the job is tried again; null while a worker is at it, and after its end.
    """
    nextAttemptAt: DateTime
    error: ProvisioningError
    """
    Why the job waits although it is due, in a sentence: an operator has paused it, or a provider that it needs.
    """
    pausedBecause: String
    jobId: ID
    jobStatus: JobState
    services: [ServiceStatus!]!
    """
    Before a worker has taken the job they are shown as they will be: pending.
    """
    steps: [StepStatus!]!
    """
    When overall or the state of a service changed last.
    """
    changedAt: DateTime
    """
    When the tenant was ready for the first time.
    """
    provisionedAt: DateTime
  }

  type ServiceStatus {
    """
    Such as stripe, neon or graphql.
    """
    service: String!
    status: ServiceState!
    """
    Of all its steps together.
    """
    attempts: Int!
    nextAttemptAt: DateTime
    error: ProvisioningError
  }

  type StepStatus {
    step: String!
    service: String!
    status: StepState!
    attempts: Int!
    nextAttemptAt: DateTime
    startedAt: DateTime
    finishedAt: DateTime
    error: ProvisioningError
  }

  type ProvisioningError {
    """
    For programs; docs/failure-codes.md lists them.
    """
    code: String!
    """
    For people: what happened, and what to do.
    """
    message: String!
    step: String
    """
    Whether it is tried again by itself.
    """
    retryable: Boolean
  }
`
