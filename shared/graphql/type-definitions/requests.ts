/** What requests answer. */
export const REQUESTS = /* GraphQL */ `
  type BulkRetry {
    dryRun: Boolean!
    """
    Tenants of the filter whose provisioning has failed. When exact is false there are more, and 10,000 were counted.
    """
    matched: Int!
    exact: Boolean!
    byReason: [FailureCount!]!
    """
    Tried again by this call; 0 in a dry run.
    """
    retried: Int!
    """
    Matched, and not tried again by this call.
    """
    remaining: Int!
  }

  type FailureCount {
    """
    For programs; docs/failure-codes.md lists them.
    """
    code: String!
    """
    Of one of them.
    """
    message: String!
    count: Int!
  }

  type ProvisioningRequest {
    organizationId: ID!
    jobId: ID!
    """
    As it stands right after the request.
    """
    provisioning: ProvisioningStatus
  }

  type Cancellation {
    organizationId: ID!
    jobId: ID!
    """
    The job that removes what was made; null when there is nothing to remove.
    """
    undoJobId: ID
    provisioning: ProvisioningStatus
  }

  type ProvisionUserResult {
    """
    Whether the tenant is ready.
    """
    success: Boolean!
    organizationId: ID
    stripeCustomerId: String
    neonProjectId: String
    """
    Why it is not (yet), for people. Empty on success.
    """
    errors: [String!]!
    """
    The same for programs: user_not_found, user_too_old, user_not_eligible, too_many_attempts, undo_in_progress,
    provisioning_failed or still_provisioning.
    """
    code: String
    """
    When it is worth asking again.
    """
    retryAfterSeconds: Int
  }
`
