/** What can be asked. */
export const QUERIES = /* GraphQL */ `
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
    Who belongs to an organization, the longest first. For members; empty for everybody else.
    """
    members(
      organizationId: ID!
      """
      How many, 1 to 100. Fewer come at the end of the list.
      """
      first: Int! = 50
      """
      The cursor of the last member of the page before.
      """
      after: String
    ): [OrganizationMember!]!

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
`
