/** What can be done. */
export const MUTATIONS = /* GraphQL */ `
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
    until then. For owners and the service role.
    """
    deleteOrganization(
      organizationId: ID!
      """
      The exact slug of the organization (confirmation_required); a dry run needs none.
      """
      confirm: String
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
    Moves a tenant into another tier: makes its database anew beside the present one, copies the rows and switches. With dryRun it only
    looks what would be in the way, which the step move_check of the job tells. For operators and the service role, where the plan has
    the tier (size_not_in_plan) and the tenant is ready (move_not_possible).
    """
    moveTenant(
      organizationId: ID!
      tier: String! = "project"
      dryRun: Boolean! = false
      """
      false: the new database begins without the rows.
      """
      withData: Boolean! = true
      """
      Goes on where people have made tables, which stay behind.
      """
      leaveExtraTables: Boolean! = false
    ): ProvisioningRequest!

    """
    Stops a move before its switch and removes what it has made; the tenant stays where it is. For operators and the service role.
    Returns the job that removes.
    """
    cancelMove(organizationId: ID!): ProvisioningRequest!

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
`
