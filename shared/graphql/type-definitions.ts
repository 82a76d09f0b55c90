/** What the scalars are; graphql-tools takes the text from their implementation. */
export const SCALARS = {
  DateTime: 'A moment as ISO 8601 text in UTC, such as 2026-01-31T12:00:00.000Z.',
  JSON: 'Any JSON value.',
} as const

/** The contract with the console, the CLI and everybody else. schema.graphql and docs/api.md are generated from it. */
export const typeDefinitions = /* GraphQL */ `
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

  type Query {
    """
    The organizations that the caller is a member of, the oldest first. Empty for the service role, which is no member.
    """
    myOrganizations: [Organization!]!

    """
    The history of an organization's provisioning, newest first. For members; empty for everybody else.
    """
    provisioningEvents(
      organizationId: ID!
      """
      How many, 1 to 100. Fewer come at the end of the history.
      """
      first: Int! = 50
      """
      The cursor of the last event of the page before.
      """
      after: String
    ): [ProvisioningEvent!]!

    """
    How an organization's provisioning stands. For members, operators and the service role; null for everybody else.
    """
    provisioningStatus(organizationId: ID!): ProvisioningStatus

    """
    How an organization's database is. For members; null for everybody else, and while there is no database.
    """
    tenantHealth(organizationId: ID!): TenantHealth

    """
    How it was: at most the newest 1000 points, the oldest first. For members; empty for everybody else.
    """
    tenantHealthHistory(
      organizationId: ID!
      """
      Without, the last 24 hours.
      """
      since: DateTime
      """
      Each check (kept for some days), or by the hour (complete up to the last full hour) or day.
      """
      bucket: HealthBucket! = HOUR
    ): [TenantHealthPoint!]!

    """
    What needs a person, newest first: in one organization, or in all that the caller may see.
    """
    tenantAlerts(
      organizationId: ID
      """
      Also those that have passed.
      """
      includeResolved: Boolean! = false
      """
      How many, 1 to 100.
      """
      first: Int! = 50
      """
      The cursor of the last alert of the page before.
      """
      after: String
    ): [TenantAlert!]!

    """
    How to connect to an organization's own database. For its owners and admins (forbidden to others).
    """
    tenantConnectionInfo(
      organizationId: ID!
      """
      Also tell the password. That it was told, and to whom, goes to the audit log.
      """
      revealPassword: Boolean! = false
    ): TenantConnectionInfo

    """
    The API keys of a tenant's own GraphQL endpoint, the newest first, ended ones included. For its owners and admins; nobody else
    is shown any.
    """
    apiKeys(organizationId: ID!): [ApiKey!]!

    """
    The newest 100 logins into an organization's database that people have asked for. For owners and admins (forbidden to others).
    """
    accessLogins(organizationId: ID!): [AccessLogin!]!

    """
    The tenants of everybody, page by page. For operators and the service role (forbidden to others).
    """
    tenants(filter: TenantFilter, sort: TenantSort! = CREATED_AT_DESC, page: PageInput): TenantPage

    """
    One tenant of anybody, with its history and health, called by exactly one of the arguments; null when there is none. For
    operators and the service role (forbidden to others).
    """
    tenant(
      """
      Of a user, in any case.
      """
      email: String
      """
      Of the organization, or of a user.
      """
      id: ID
      """
      Of the organization.
      """
      slug: String
    ): Tenant

    """
    How many tenants there are in each state. For operators and the service role (forbidden to others).
    """
    tenantCounts: TenantCounts

    """
    Everything that is checked of one user and their organization, and what to do about what does not hold. For operators and
    the service role (forbidden to others).
    """
    tenantVerification(
      """
      An e-mail address, the slug of an organization, or the id of an organization or a user.
      """
      subject: String!
    ): TenantVerification

    """
    What operators have paused. For operators and the service role (forbidden to others).
    """
    pauses: [Pause!]

    """
    Whether the providers answer, and what is left of their limits. For operators and the service role (forbidden to others).
    """
    providers: [ProviderState!]

    """
    Which versions of the tenant schema the tenants have, and the newest migration of all of them. For operators and the service
    role (forbidden to others).
    """
    fleetVersions: FleetVersions

    """
    What can be chosen when a tenant is provisioned: regions, sizes, tiers and plans, as an operator keeps them.
    """
    provisioningOptions: ProvisioningOptions!

    """
    Whom an organization expects, the first first. For owners, admins and the service role (forbidden to others).
    """
    expectedMembers(organizationId: ID!): [ExpectedMember!]

    """
    Which organizations expect the caller, who answers with acceptMembership or declineMembership. Empty until the caller's
    address is confirmed, and for the service role.
    """
    myExpectations: [ExpectedMembership!]!

    """
    Whether the caller may list all tenants.
    """
    isOperator: Boolean!
  }

  type Mutation {
    """
    Starts the provisioning of an organization or tries it again, with another region (until the database is being made) or
    another size. For owners and admins, within settings.organization_acts_per_minute and user_acts_per_minute, as all that changes
    the provisioning.
    """
    provisionTenant(
      organizationId: ID!
      """
      Such as eu-central-1, or an alias such as eu.
      """
      dataRegion: String
      """
      small, medium or large, where the organization's plan has it (size_not_in_plan).
      """
      databaseSize: String
      """
      database or project, where the organization's plan has it (size_not_in_plan); until it is begun to be made.
      """
      tier: String
    ): ProvisioningRequest!

    """
    Tries again what has failed or waits. Named services are looked at again even when they are ready, each once in
    settings.ready_service_redo_minutes. For owners and admins.
    """
    retryTenantProvisioning(
      organizationId: ID!
      """
      Such as stripe and neon; without, all that are not ready.
      """
      services: [String!]
    ): ProvisioningRequest!

    """
    Stops the provisioning of an organization. When its tenant was never ready, what was made is removed; the organization
    stays. For owners and admins.
    """
    cancelProvisioning(organizationId: ID!): Cancellation!

    """
    Gives an organization another login into its database, with a password of its own. The present one stays valid for some hours,
    then its sessions end. Look at Organization.databaseConnection when the job has succeeded. For owners and admins.
    """
    rotateCredentials(
      organizationId: ID!
      """
      From 0 (the present password ends as soon as the new one is shown) to 720; without, settings.rotation_grace_hours.
      """
      graceHours: Int
    ): ProvisioningRequest!

    """
    Makes an organization of the caller's own, beside others or as the first one, and begins to provision it. Up to
    settings.organizations_per_user, at once (too_many_organizations) and in a day (too_many_attempts). Not for those whose
    organization was removed by somebody else than its owners (forbidden).
    """
    createOrganization(
      name: String!
      """
      Such as eu-central-1, or an alias such as eu. Without, settings.default_data_region.
      """
      dataRegion: String
      """
      small, medium or large, where the plan of new organizations has it (size_not_in_plan).
      """
      databaseSize: String
      """
      database or project, where the plan of new organizations has it (size_not_in_plan). Without, settings.default_tier.
      """
      tier: String
    ): OrganizationResult!

    """
    Changes what an organization is called and where its bills go; what is not given stays. For owners, admins and the service
    role, within settings.organization_changes_per_day. Services that keep either are told. Region and size: provisionTenant.
    """
    updateOrganization(
      organizationId: ID!
      name: String
      """
      null takes the address away.
      """
      billingEmail: String
    ): OrganizationResult!

    """
    Deletes an organization with all that is in it. What exists outside is removed after its grace period, and can be saved
    until then. There is no question whether that is meant; a dry run tells what would go. For owners and the service role.
    """
    deleteOrganization(
      organizationId: ID!
      """
      Only tell.
      """
      dryRun: Boolean! = false
    ): OrganizationDeletion!

    """
    Says that somebody is to be a member of an organization, before they sign up: who then signs up with this address gets
    none of their own until they have answered. Said again it changes role and end. For owners, admins and the service role,
    within settings.expected_members_per_day.
    """
    expectMember(
      organizationId: ID!
      email: String!
      """
      ADMIN or MEMBER.
      """
      role: MemberRole! = MEMBER
      """
      Within 30 days. Without, in settings.expected_member_days.
      """
      endsAt: DateTime
    ): ExpectedMember!

    """
    The organization does not expect this address any more; false when it did not. For owners, admins and the service role.
    """
    withdrawExpectation(organizationId: ID!, email: String!): Boolean!

    """
    Joins an organization that expects the caller (not_expected otherwise, and until the address is confirmed). For users.
    """
    acceptMembership(organizationId: ID!): Membership!

    """
    Does not join. The caller gets an organization of their own, unless they have one or another organization expects them.
    For users.
    """
    declineMembership(organizationId: ID!): Membership!

    """
    Looks at an organization's database now. For members, operators and the service role. A tenant's members
    together, and operators together, have settings.health_requests_per_minute; the service role has no limit.
    """
    checkTenantHealth(
      organizationId: ID!
      """
      Connect even if that wakes a sleeping database. For owners, admins, operators and the service role.
      """
      deep: Boolean! = false
    ): TenantHealth

    """
    Makes the tenant of somebody who has signed up within the last 10 minutes, and waits for it for up to a minute. At most
    5 calls a minute for one address. For the service role alone (forbidden to others).
    """
    provisionUserResources(
      email: String!
      """
      An object; goes over what the user gave at the sign-up, for what has still to be made.
      """
      metadata: JSON
    ): ProvisionUserResult!

    """
    Tries the failed provisioning of many tenants again, in the lane for work that nobody waits for. A dry run only counts. For
    operators and the service role (forbidden to others).
    """
    retryTenants(
      """
      Without, all whose provisioning has failed.
      """
      filter: TenantFilter
      dryRun: Boolean! = true
      """
      How many one call tries again, 1 to 500. Call again while some remain.
      """
      first: Int! = 100
    ): BulkRetry!

    """
    Stops all work, one kind of job or all calls to one provider for a while, or changes the reason. Jobs at work end by
    themselves; those that wait say why. Returns whether it changed anything. For operators and the service role.
    """
    pauseWork(
      scope: PauseScope!
      """
      Such as provision or neon; without for everything.
      """
      name: String
      """
      Shown to everybody who waits.
      """
      reason: String!
    ): Boolean

    """
    Ends a pause; the work that has waited goes on. Returns whether there was one. For operators and the service role.
    """
    resumeWork(scope: PauseScope!, name: String): Boolean

    """
    Makes an API key for a tenant's own GraphQL endpoint. For owners and admins, within settings.key_acts_per_minute and
    keys_per_organization, as all that changes keys.
    """
    createApiKey(
      organizationId: ID!
      """
      By which people tell it from others.
      """
      name: String! = "API key"
      scope: KeyScope! = READ
      """
      From then on it opens nothing. Without: it does not end by itself.
      """
      expiresAt: DateTime
      """
      Without: as many as any key may make.
      """
      requestsPerMinute: Int
    ): NewApiKey!

    """
    Gives an API key another name. For owners and admins.
    """
    renameApiKey(id: ID!, name: String!): ApiKey!

    """
    Makes another API key in the place of one, which stays valid for a while, so that programs can change over. For owners and
    admins.
    """
    rerollApiKey(
      id: ID!
      """
      0 to 720.
      """
      graceHours: Float! = 24
    ): NewApiKey!

    """
    Ends an API key: no request that begins more than a second later is served. For owners and admins.
    """
    revokeApiKey(id: ID!): ApiKey!

    """
    Asks for a login of one's own into an organization's database, which ends by itself. For owners and admins; the role OWNER for
    owners. Reveal its password when the job has succeeded.
    """
    requestAccess(
      organizationId: ID!
      role: AccessRole! = READ
      """
      Up to settings.access_max_hours (24 hours).
      """
      minutes: Int! = 60
    ): AccessRequest!

    """
    How to connect with such a login, password included. For the one who asked for it; audited.
    """
    revealAccess(id: ID!): AccessConnection!

    """
    Ends such a login, and its sessions. For owners and admins.
    """
    endAccess(id: ID!): AccessLogin!
  }

  type Subscription {
    """
    How an organization's provisioning stands: at once, and whenever something changes, over server-sent events. Completes
    when it is ready, failed or cancelled, and before the function's time is up; whoever subscribes again is told the current
    state first. For members, operators and the service role.
    """
    provisioningProgress(organizationId: ID!): ProvisioningStatus!
  }

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

  type Organization {
    id: ID!
    name: String!
    slug: String!
    """
    The caller's role in it.
    """
    role: MemberRole!
    """
    What the caller may do in it.
    """
    permissions: [Permission!]!
    plan: String!
    ownerId: ID!
    stripeCustomerId: String
    stripeSubscriptionId: String
    stripeSubscriptionStatus: String
    billingEmail: String
    dataRegion: String!
    hostingRegion: String!
    """
    The state of each service, the overall state and changed_at. The field provisioning says more.
    """
    provisioningStatus: JSON!
    provisioning: ProvisioningStatus
    health: TenantHealth
    """
    The newest events of its provisioning; provisioningEvents pages through all of them.
    """
    events(first: Int! = 10): [ProvisioningEvent!]!
    provisionedAt: DateTime
    createdAt: DateTime!
    updatedAt: DateTime!
  }

  type OrganizationResult {
    organizationId: ID!
    """
    Null for callers who are no members, such as the service role.
    """
    organization: Organization
  }

  type OrganizationDeletion {
    organizationId: ID!
    dryRun: Boolean!
    """
    Of the job that removes what exists outside; null in a dry run.
    """
    jobId: ID
    resources: [PlannedRemoval!]!
  }

  """
  What would become, or becomes, of something that an organization has outside.
  """
  type PlannedRemoval {
    """
    Such as stripe_customer or neon_project.
    """
    kind: String!
    label: String!
    """
    Null while it is not certain that it exists.
    """
    externalId: String
    kept: Boolean!
    removedAfterHours: Int!
  }

  type ExpectedMember {
    id: ID!
    organizationId: ID!
    email: String!
    role: MemberRole!
    """
    Null when it was the backend.
    """
    expectedBy: ID
    createdAt: DateTime!
    endsAt: DateTime!
  }

  type ExpectedMembership {
    organizationId: ID!
    organizationName: String!
    role: MemberRole!
    endsAt: DateTime!
  }

  """
  The organization that the caller belongs to after the answer.
  """
  type Membership {
    """
    Null for somebody who has declined and whom another organization expects.
    """
    organizationId: ID
    organization: Organization
  }

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
    certificateExpiresAt: DateTime
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

  """
  WRITE reads, too.
  """
  enum KeyScope {
    READ
    WRITE
  }

  enum KeyState {
    ACTIVE
    EXPIRED
    REVOKED
  }

  """
  The key itself is not kept.
  """
  enum AccessRole {
    READ
    APP
    """
    May change the schema. What it makes belongs to the database's owner, and stays.
    """
    OWNER
  }

  type AccessLogin {
    id: ID!
    organizationId: ID!
    login: String!
    role: AccessRole!
    """
    Null for the backend.
    """
    requestedBy: ID
    requestedAt: DateTime!
    """
    Null until it is made.
    """
    madeAt: DateTime
    endsAt: DateTime!
    """
    When its sessions were ended and it was dropped; a sleeping database is not woken for that.
    """
    endedAt: DateTime
  }

  type AccessRequest {
    jobId: ID!
    login: AccessLogin!
  }

  type AccessConnection {
    login: AccessLogin!
    host: String!
    pooledHost: String
    port: Int!
    database: String!
    user: String!
    sslMode: SslMode!
    password: String
  }

  type ApiKey {
    id: ID!
    organizationId: ID!
    name: String!
    """
    With which the key begins.
    """
    prefix: String!
    scope: KeyScope!
    status: KeyState!
    """
    Null: as many as any key may make.
    """
    requestsPerMinute: Int
    """
    The user who made it; null for the backend.
    """
    createdBy: ID
    createdAt: DateTime!
    """
    To the minute.
    """
    lastUsedAt: DateTime
    expiresAt: DateTime
    revokedAt: DateTime
    """
    The key that has taken its place, while both are valid and afterwards.
    """
    replacedBy: ID
  }

  type NewApiKey {
    """
    Shown this once.
    """
    key: String!
    apiKey: ApiKey!
  }

  type TenantConnectionInfo {
    host: String!
    """
    Through the connection pooler, for many short connections.
    """
    pooledHost: String
    port: Int!
    """
    Of pooledHost.
    """
    pooledPort: Int!
    database: String!
    role: String!
    sslMode: SslMode!
    graphqlEndpoint: String
    """
    Null unless revealPassword was given.
    """
    password: String
  }

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
    The newest entries of the organization's audit log.
    """
    audit: [AuditEntry!]!
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

  type ProvisioningOptions {
    """
    Where a tenant goes that names no region.
    """
    defaultDataRegion: String!
    """
    What a tenant consists of that names no tier.
    """
    defaultTier: String!
    """
    Of the prices, such as usd.
    """
    currency: String!
    regions: [RegionOption!]!
    """
    The smallest first.
    """
    sizes: [SizeOption!]!
    tiers: [TierOption!]!
    """
    The cheapest first, those on request last.
    """
    plans: [PlanOption!]!
  }

  type RegionOption {
    dataRegion: String!
    label: String!
    city: String
    """
    Two letters, ISO 3166.
    """
    country: String
    """
    In degrees, north is positive.
    """
    latitude: Float
    """
    In degrees, east is positive.
    """
    longitude: Float
  }

  """
  A compute unit is 1 vCPU with 4 GB of memory.
  """
  type SizeOption {
    size: String!
    label: String!
    minComputeUnits: Float!
    maxComputeUnits: Float!
    """
    After so long without a query the database sleeps; null: never.
    """
    suspendAfterSeconds: Int
  }

  type TierOption {
    tier: String!
    label: String!
    """
    What it consists of, such as stripe and neon.
    """
    services: [String!]!
  }

  """
  Limits hold for one tenant; null is unlimited.
  """
  type PlanOption {
    plan: String!
    label: String!
    """
    In the smallest unit of the currency, such as cents; null: on request.
    """
    monthlyPrice: Float
    """
    Of a new database.
    """
    defaultSize: String!
    """
    That owners and admins may choose.
    """
    sizes: [String!]!
    """
    That owners and admins may choose.
    """
    tiers: [String!]!
    storageBytes: Float
    """
    Sent by the database, a month.
    """
    transferBytes: Float
    """
    Of one vCPU, a month.
    """
    computeSeconds: Float
    """
    How far back the database can be restored.
    """
    historySeconds: Float!
  }

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
