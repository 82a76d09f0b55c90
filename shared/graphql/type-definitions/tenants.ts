/** The list of tenants, and all that is known of one. */
export const TENANTS = /* GraphQL */ `
  """
  Conditions that hold at the same time; in a list, one of the values.
  """
  input TenantFilter {
    status: [ProvisioningState!]
    health: [HealthState!]
    """
    Data regions, or the regions of the databases.
    """
    region: [String!]
    plan: [String!]
    """
    Codes of failures, such as stripe_key_refused: of those whose provisioning has failed.
    """
    errorCode: [String!]
    """
    A part of the name, slug or billing e-mail address.
    """
    search: String
    """
    true: only those with an open alert.
    """
    hasOpenAlerts: Boolean
  }

  enum TenantSort {
    CREATED_AT_DESC
    CREATED_AT_ASC
    NAME_ASC
    NAME_DESC
    SLUG_ASC
    SLUG_DESC
  }

  input PageInput {
    """
    How many, 1 to 100.
    """
    first: Int! = 50
    """
    The endCursor of the page before.
    """
    after: String
  }

  type TenantPage {
    nodes: [Tenant!]!
    hasNextPage: Boolean!
    """
    Null when the page is empty.
    """
    endCursor: String
  }

  type Tenant {
    """
    Of the organization.
    """
    id: ID!
    name: String!
    slug: String!
    plan: String!
    ownerId: ID!
    ownerEmail: String
    billingEmail: String
    stripeCustomerId: String
    stripeSubscriptionStatus: String
    dataRegion: String!
    hostingRegion: String!
    status: ProvisioningState!
    """
    The state of each service, the overall state and changed_at. The field provisioning says more.
    """
    provisioningStatus: JSON!
    provisioning: ProvisioningStatus
    """
    The newest failure of its provisioning.
    """
    error: ProvisioningError
    """
    The newest job that provisions it.
    """
    jobId: ID
    jobStatus: JobState
    nextAttemptAt: DateTime
    health: HealthState!
    healthCheckedAt: DateTime
    """
    All that is known of its health; null while there is no database.
    """
    healthDetails: TenantHealth
    healthHistory(since: DateTime, bucket: HealthBucket! = HOUR): [TenantHealthPoint!]!
    neonProjectId: String
    databaseRegion: String
    databaseSize: String
    schemaVersion: Int
    """
    Since when the schema is known not to be as the files of that version have made it; healthDetails says in what. Null when it is.
    """
    schemaDriftAt: DateTime
    openAlerts: Int!
    """
    Newest first; after is the cursor of the last one before.
    """
    alerts(includeResolved: Boolean! = false, first: Int! = 50, after: String): [TenantAlert!]!
    """
    Newest first; after is the cursor of the last one before.
    """
    events(first: Int! = 50, after: String): [ProvisioningEvent!]!
    provisionedAt: DateTime
    createdAt: DateTime!
    updatedAt: DateTime!
  }

  """
  Small numbers are counted: exact is true. Of more than 10,000 the count of a state stays at 10,000, which then means at least
  so many, and the numbers of all tenants and of the ready ones are estimates of the database.
  """
  type TenantCounts {
    total: TenantCount!
    byStatus: [TenantStatusCount!]!
    """
    Of those that are degraded or unhealthy.
    """
    byHealth: [TenantHealthCount!]!
    openAlerts: TenantCount!
  }

  type TenantCount {
    count: Int!
    exact: Boolean!
  }

  type TenantStatusCount {
    status: ProvisioningState!
    count: Int!
    exact: Boolean!
  }

  type TenantHealthCount {
    health: HealthState!
    count: Int!
    exact: Boolean!
  }

  type TenantVerification {
    subject: String!
    userId: ID
    organizationId: ID
    """
    Null when there is no organization (any more).
    """
    tenant: Tenant
    verdict: TenantVerdict!
    """
    In the order in which one thing rests on another: the first that failed is the cause.
    """
    checks: [TenantCheck!]!
    """
    What it has outside, the oldest first.
    """
    resources: [TenantResource!]!
    """
    The newest entries of the organization's audit log.
    """
    audit: [AuditEntry!]!
  }

  """
  One thing that a tenant has at a provider.
  """
  type TenantResource {
    service: String!
    """
    Such as supabase_project or github_repository.
    """
    kind: String!
    label: String!
    """
    By which it is found at the provider.
    """
    name: String!
    """
    Null while it is not certain that it exists.
    """
    externalId: String
    """
    Where people see it.
    """
    url: String
    state: ResourceState!
    """
    What belongs to it and has an id of its own: workflows and credentials of n8n, the deployment at Vercel.
    """
    parts: [ResourcePart!]!
  }

  type ResourcePart {
    id: String!
    name: String!
    """
    Where people see it.
    """
    url: String
  }

  """
  PLANNED: a request that makes it was sent, and whether it exists is open. KEPT: its organization was deleted, and it was left on purpose.
  """
  enum ResourceState {
    PLANNED
    ACTIVE
    KEPT
  }

  enum VerdictState {
    READY
    PROVISIONING
    WAITING
    FAILED
    CANCELLED
    DELETED
    NOT_FOUND
  }

  type TenantVerdict {
    ready: Boolean!
    state: VerdictState!
    """
    In one sentence.
    """
    summary: String!
    """
    The check that keeps the tenant from being ready.
    """
    check: String
    remedy: Remedy
  }

  """
  WARNING: ready all the same. WAITING: it goes on by itself. FAILED: somebody has to act.
  """
  enum CheckState {
    OK
    WARNING
    WAITING
    FAILED
  }

  type TenantCheck {
    """
    Such as profile, provisioning or database; docs/verification-guide.md lists them.
    """
    check: String!
    status: CheckState!
    """
    Which kind of trouble it is, for programs; null when it is ok.
    """
    code: String
    found: String!
    """
    Null when it is ok, and where nobody can do anything.
    """
    remedy: Remedy
  }

  type Remedy {
    """
    What a person does about it, in complete sentences.
    """
    text: String!
    """
    What the product offers for it, in order.
    """
    actions: [RemedyAction!]!
  }

  type RemedyAction {
    """
    Such as retry, provision_user or set_secret; the CLI has a command for each.
    """
    action: String!
    """
    Of the service that is meant, when it is one.
    """
    service: String
    """
    Of the secret that is to be set.
    """
    name: String
  }

  type AuditEntry {
    id: ID!
    """
    Such as provisioning.requested or connection.revealed.
    """
    action: String!
    """
    user, service or system.
    """
    actorType: String!
    actorId: ID
    resourceType: String!
    resourceId: String
    createdAt: DateTime!
  }
`
