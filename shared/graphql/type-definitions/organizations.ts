/** Organizations, and who belongs to them. */
export const ORGANIZATIONS = /* GraphQL */ `
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

  type OrganizationMember {
    userId: ID!
    organizationId: ID!
    role: MemberRole!
    """
    As the person's profile has it, as is the address.
    """
    fullName: String
    email: String
    """
    Since when the person is a member.
    """
    createdAt: DateTime!
    """
    To go on after this member, as the argument after.
    """
    cursor: String!
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
`
