// Written by `npm run api-docs` from shared/graphql/type-definitions/; edit that.
import type { GraphQLResolveInfo, GraphQLScalarType, GraphQLScalarTypeConfig } from 'graphql';
export type Maybe<T> = T | null | undefined;
export type InputMaybe<T> = T | null | undefined;
export type ResolverFn<TResult, TParent, TContext, TArgs> = (parent: TParent, args: TArgs, context: TContext, info: GraphQLResolveInfo) => TResult | unknown
export type RequireFields<T, K extends keyof T> = Omit<T, K> & { [P in K]-?: NonNullable<T[P]> };
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string; }
  String: { input: string; output: string; }
  Boolean: { input: boolean; output: boolean; }
  Int: { input: number; output: number; }
  Float: { input: number; output: number; }
  /** A moment as ISO 8601 text in UTC, such as 2026-01-31T12:00:00.000Z. */
  DateTime: { input: Date; output: string; }
  /** Any JSON value. */
  JSON: { input: unknown; output: unknown; }
};

export type ProvisioningState =
  | 'pending'
  | 'provisioning'
  | 'ready'
  | 'failed'
  | 'cancelled';

/** Of a service: NOT_REQUESTED when the tenant does without it. */
export type ServiceState =
  | 'pending'
  | 'running'
  | 'retrying'
  | 'ready'
  | 'failed'
  | 'cancelled'
  | 'not_requested';

export type StepState =
  | 'pending'
  | 'running'
  | 'retrying'
  | 'succeeded'
  | 'failed'
  | 'cancelled';

export type JobState =
  | 'queued'
  | 'running'
  | 'succeeded'
  | 'failed'
  | 'cancelled';

/** A sleeping database is healthy, too. */
export type HealthState =
  | 'unknown'
  | 'healthy'
  | 'degraded'
  | 'unhealthy'
  | 'sleeping';

export type Severity =
  | 'info'
  | 'warning'
  | 'critical';

export type MemberRole =
  | 'owner'
  | 'admin'
  | 'member';

/** Of the caller in an organization. WAKE_DATABASE: a deep health check; PROVISION: also to try again, cancel and resize. */
export type Permission =
  | 'check_health'
  | 'wake_database'
  | 'provision'
  | 'read_connection'
  | 'manage_keys'
  | 'manage_members'
  | 'edit_organization'
  | 'delete_organization';

export type SslMode =
  | 'disable'
  | 'require'
  | 'verify-full';

export type Query = {
  /** The organizations that the caller is a member of, the oldest first. Empty for the service role, which is no member. */
  readonly myOrganizations: ReadonlyArray<Organization>;
  /** The history of an organization's provisioning, newest first. For members; empty for everybody else. */
  readonly provisioningEvents: ReadonlyArray<ProvisioningEvent>;
  /** How an organization's provisioning stands. For members, operators and the service role; null for everybody else. */
  readonly provisioningStatus?: Maybe<ProvisioningStatus>;
  /** How an organization's database is. For members; null for everybody else, and while there is no database. */
  readonly tenantHealth?: Maybe<TenantHealth>;
  /** How it was: at most the newest 1000 points, the oldest first. For members; empty for everybody else. */
  readonly tenantHealthHistory: ReadonlyArray<TenantHealthPoint>;
  /** What needs a person, newest first: in one organization, or in all that the caller may see. */
  readonly tenantAlerts: ReadonlyArray<TenantAlert>;
  /** How to connect to an organization's own database. For its owners and admins (forbidden to others). */
  readonly tenantConnectionInfo?: Maybe<TenantConnectionInfo>;
  /**
   * The API keys of a tenant's own GraphQL endpoint, the newest first, ended ones included. For its owners and admins; nobody else
   * is shown any.
   */
  readonly apiKeys: ReadonlyArray<ApiKey>;
  /** The newest 100 logins into an organization's database that people have asked for. For owners and admins (forbidden to others). */
  readonly accessLogins: ReadonlyArray<AccessLogin>;
  /** The tenants of everybody, page by page. For operators and the service role (forbidden to others). */
  readonly tenants?: Maybe<TenantPage>;
  /**
   * One tenant of anybody, with its history and health, called by exactly one of the arguments; null when there is none. For
   * operators and the service role (forbidden to others).
   */
  readonly tenant?: Maybe<Tenant>;
  /** How many tenants there are in each state. For operators and the service role (forbidden to others). */
  readonly tenantCounts?: Maybe<TenantCounts>;
  /**
   * Everything that is checked of one user and their organization, and what to do about what does not hold. For operators and
   * the service role (forbidden to others).
   */
  readonly tenantVerification?: Maybe<TenantVerification>;
  /** What operators have paused. For operators and the service role (forbidden to others). */
  readonly pauses?: Maybe<ReadonlyArray<Pause>>;
  /** Whether the providers answer, and what is left of their limits. For operators and the service role (forbidden to others). */
  readonly providers?: Maybe<ReadonlyArray<ProviderState>>;
  /**
   * Which versions of the tenant schema the tenants have, and the newest migration of all of them. For operators and the service
   * role (forbidden to others).
   */
  readonly fleetVersions?: Maybe<FleetVersions>;
  /** What can be chosen when a tenant is provisioned: regions, sizes, tiers and plans, as an operator keeps them. */
  readonly provisioningOptions: ProvisioningOptions;
  /** Who belongs to an organization, the longest first. For members; empty for everybody else. */
  readonly members: ReadonlyArray<OrganizationMember>;
  /** Whom an organization expects, the first first. For owners, admins and the service role (forbidden to others). */
  readonly expectedMembers?: Maybe<ReadonlyArray<ExpectedMember>>;
  /**
   * Which organizations expect the caller, who answers with acceptMembership or declineMembership. Empty until the caller's
   * address is confirmed, and for the service role.
   */
  readonly myExpectations: ReadonlyArray<ExpectedMembership>;
  /** Whether the caller may list all tenants. */
  readonly isOperator: Scalars['Boolean']['output'];
};


export type QueryProvisioningEventsArgs = {
  organizationId: Scalars['ID']['input'];
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};


export type QueryProvisioningStatusArgs = {
  organizationId: Scalars['ID']['input'];
};


export type QueryTenantHealthArgs = {
  organizationId: Scalars['ID']['input'];
};


export type QueryTenantHealthHistoryArgs = {
  organizationId: Scalars['ID']['input'];
  since?: InputMaybe<Scalars['DateTime']['input']>;
  bucket?: HealthBucket;
};


export type QueryTenantAlertsArgs = {
  organizationId?: InputMaybe<Scalars['ID']['input']>;
  includeResolved?: Scalars['Boolean']['input'];
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};


export type QueryTenantConnectionInfoArgs = {
  organizationId: Scalars['ID']['input'];
  revealPassword?: Scalars['Boolean']['input'];
};


export type QueryApiKeysArgs = {
  organizationId: Scalars['ID']['input'];
};


export type QueryAccessLoginsArgs = {
  organizationId: Scalars['ID']['input'];
};


export type QueryTenantsArgs = {
  filter?: InputMaybe<TenantFilter>;
  sort?: TenantSort;
  page?: InputMaybe<PageInput>;
};


export type QueryTenantArgs = {
  email?: InputMaybe<Scalars['String']['input']>;
  id?: InputMaybe<Scalars['ID']['input']>;
  slug?: InputMaybe<Scalars['String']['input']>;
};


export type QueryTenantVerificationArgs = {
  subject: Scalars['String']['input'];
};


export type QueryMembersArgs = {
  organizationId: Scalars['ID']['input'];
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};


export type QueryExpectedMembersArgs = {
  organizationId: Scalars['ID']['input'];
};

export type Mutation = {
  /**
   * Starts the provisioning of an organization or tries it again, with another region (until the database is being made) or
   * another size. For owners and admins, within settings.organization_acts_per_minute and user_acts_per_minute, as all that changes
   * the provisioning.
   */
  readonly provisionTenant: ProvisioningRequest;
  /**
   * Tries again what has failed or waits. Named services are looked at again even when they are ready, each once in
   * settings.ready_service_redo_minutes. For owners and admins.
   */
  readonly retryTenantProvisioning: ProvisioningRequest;
  /**
   * Stops the provisioning of an organization. When its tenant was never ready, what was made is removed; the organization
   * stays. For owners and admins.
   */
  readonly cancelProvisioning: Cancellation;
  /**
   * Gives an organization another login into its database, with a password of its own. The present one stays valid for some hours,
   * then its sessions end. Look at Organization.databaseConnection when the job has succeeded. For owners and admins.
   */
  readonly rotateCredentials: ProvisioningRequest;
  /**
   * Makes an organization of the caller's own, beside others or as the first one, and begins to provision it. Up to
   * settings.organizations_per_user, at once (too_many_organizations) and in a day (too_many_attempts). Not for those whose
   * organization was removed by somebody else than its owners (forbidden).
   */
  readonly createOrganization: OrganizationResult;
  /**
   * Changes what an organization is called and where its bills go; what is not given stays. For owners, admins and the service
   * role, within settings.organization_changes_per_day. Services that keep either are told. Region and size: provisionTenant.
   */
  readonly updateOrganization: OrganizationResult;
  /**
   * Deletes an organization with all that is in it. What exists outside is removed after its grace period, and can be saved
   * until then. For owners and the service role.
   */
  readonly deleteOrganization: OrganizationDeletion;
  /**
   * Says that somebody is to be a member of an organization, before they sign up: who then signs up with this address gets
   * none of their own until they have answered. Said again it changes role and end. For owners, admins and the service role,
   * within settings.expected_members_per_day.
   */
  readonly expectMember: ExpectedMember;
  /** The organization does not expect this address any more; false when it did not. For owners, admins and the service role. */
  readonly withdrawExpectation: Scalars['Boolean']['output'];
  /** Joins an organization that expects the caller (not_expected otherwise, and until the address is confirmed). For users. */
  readonly acceptMembership: Membership;
  /**
   * Does not join. The caller gets an organization of their own, unless they have one or another organization expects them.
   * For users.
   */
  readonly declineMembership: Membership;
  /**
   * Looks at an organization's database now. For members, operators and the service role. A tenant's members
   * together, and operators together, have settings.health_requests_per_minute; the service role has no limit.
   */
  readonly checkTenantHealth?: Maybe<TenantHealth>;
  /**
   * Makes the tenant of somebody who has signed up within the last 10 minutes, and waits for it for up to a minute. At most
   * 5 calls a minute for one address. For the service role alone (forbidden to others).
   */
  readonly provisionUserResources: ProvisionUserResult;
  /**
   * Tries the failed provisioning of many tenants again, in the lane for work that nobody waits for. A dry run only counts. For
   * operators and the service role (forbidden to others).
   */
  readonly retryTenants: BulkRetry;
  /**
   * Stops all work, one kind of job or all calls to one provider for a while, or changes the reason. Jobs at work end by
   * themselves; those that wait say why. Returns whether it changed anything. For operators and the service role.
   */
  readonly pauseWork?: Maybe<Scalars['Boolean']['output']>;
  /** Ends a pause; the work that has waited goes on. Returns whether there was one. For operators and the service role. */
  readonly resumeWork?: Maybe<Scalars['Boolean']['output']>;
  /**
   * Moves a tenant into another tier: makes its database anew beside the present one, copies the rows and switches. With dryRun it only
   * looks what would be in the way, which the step move_check of the job tells. For operators and the service role, where the plan has
   * the tier (size_not_in_plan) and the tenant is ready (move_not_possible).
   */
  readonly moveTenant: ProvisioningRequest;
  /**
   * Stops a move before its switch and removes what it has made; the tenant stays where it is. For operators and the service role.
   * Returns the job that removes.
   */
  readonly cancelMove: ProvisioningRequest;
  /**
   * Makes an API key for a tenant's own GraphQL endpoint. For owners and admins, within settings.key_acts_per_minute and
   * keys_per_organization, as all that changes keys.
   */
  readonly createApiKey: NewApiKey;
  /** Gives an API key another name. For owners and admins. */
  readonly renameApiKey: ApiKey;
  /**
   * Makes another API key in the place of one, which stays valid for a while, so that programs can change over. For owners and
   * admins.
   */
  readonly rerollApiKey: NewApiKey;
  /** Ends an API key: no request that begins more than a second later is served. For owners and admins. */
  readonly revokeApiKey: ApiKey;
  /**
   * Asks for a login of one's own into an organization's database, which ends by itself. For owners and admins; the role OWNER for
   * owners. Reveal its password when the job has succeeded.
   */
  readonly requestAccess: AccessRequest;
  /** How to connect with such a login, password included. For the one who asked for it; audited. */
  readonly revealAccess: AccessConnection;
  /** Ends such a login, and its sessions. For owners and admins. */
  readonly endAccess: AccessLogin;
};


export type MutationProvisionTenantArgs = {
  organizationId: Scalars['ID']['input'];
  dataRegion?: InputMaybe<Scalars['String']['input']>;
  databaseSize?: InputMaybe<Scalars['String']['input']>;
  tier?: InputMaybe<Scalars['String']['input']>;
};


export type MutationRetryTenantProvisioningArgs = {
  organizationId: Scalars['ID']['input'];
  services?: InputMaybe<ReadonlyArray<Scalars['String']['input']>>;
};


export type MutationCancelProvisioningArgs = {
  organizationId: Scalars['ID']['input'];
};


export type MutationRotateCredentialsArgs = {
  organizationId: Scalars['ID']['input'];
  graceHours?: InputMaybe<Scalars['Int']['input']>;
};


export type MutationCreateOrganizationArgs = {
  name: Scalars['String']['input'];
  dataRegion?: InputMaybe<Scalars['String']['input']>;
  databaseSize?: InputMaybe<Scalars['String']['input']>;
  tier?: InputMaybe<Scalars['String']['input']>;
};


export type MutationUpdateOrganizationArgs = {
  organizationId: Scalars['ID']['input'];
  name?: InputMaybe<Scalars['String']['input']>;
  billingEmail?: InputMaybe<Scalars['String']['input']>;
};


export type MutationDeleteOrganizationArgs = {
  organizationId: Scalars['ID']['input'];
  confirm?: InputMaybe<Scalars['String']['input']>;
  dryRun?: Scalars['Boolean']['input'];
};


export type MutationExpectMemberArgs = {
  organizationId: Scalars['ID']['input'];
  email: Scalars['String']['input'];
  role?: MemberRole;
  endsAt?: InputMaybe<Scalars['DateTime']['input']>;
};


export type MutationWithdrawExpectationArgs = {
  organizationId: Scalars['ID']['input'];
  email: Scalars['String']['input'];
};


export type MutationAcceptMembershipArgs = {
  organizationId: Scalars['ID']['input'];
};


export type MutationDeclineMembershipArgs = {
  organizationId: Scalars['ID']['input'];
};


export type MutationCheckTenantHealthArgs = {
  organizationId: Scalars['ID']['input'];
  deep?: Scalars['Boolean']['input'];
};


export type MutationProvisionUserResourcesArgs = {
  email: Scalars['String']['input'];
  metadata?: InputMaybe<Scalars['JSON']['input']>;
};


export type MutationRetryTenantsArgs = {
  filter?: InputMaybe<TenantFilter>;
  dryRun?: Scalars['Boolean']['input'];
  first?: Scalars['Int']['input'];
};


export type MutationPauseWorkArgs = {
  scope: PauseScope;
  name?: InputMaybe<Scalars['String']['input']>;
  reason: Scalars['String']['input'];
};


export type MutationResumeWorkArgs = {
  scope: PauseScope;
  name?: InputMaybe<Scalars['String']['input']>;
};


export type MutationMoveTenantArgs = {
  organizationId: Scalars['ID']['input'];
  tier?: Scalars['String']['input'];
  dryRun?: Scalars['Boolean']['input'];
  withData?: Scalars['Boolean']['input'];
  leaveExtraTables?: Scalars['Boolean']['input'];
};


export type MutationCancelMoveArgs = {
  organizationId: Scalars['ID']['input'];
};


export type MutationCreateApiKeyArgs = {
  organizationId: Scalars['ID']['input'];
  name?: Scalars['String']['input'];
  scope?: KeyScope;
  expiresAt?: InputMaybe<Scalars['DateTime']['input']>;
  requestsPerMinute?: InputMaybe<Scalars['Int']['input']>;
};


export type MutationRenameApiKeyArgs = {
  id: Scalars['ID']['input'];
  name: Scalars['String']['input'];
};


export type MutationRerollApiKeyArgs = {
  id: Scalars['ID']['input'];
  graceHours?: Scalars['Float']['input'];
};


export type MutationRevokeApiKeyArgs = {
  id: Scalars['ID']['input'];
};


export type MutationRequestAccessArgs = {
  organizationId: Scalars['ID']['input'];
  role?: AccessRole;
  minutes?: Scalars['Int']['input'];
};


export type MutationRevealAccessArgs = {
  id: Scalars['ID']['input'];
};


export type MutationEndAccessArgs = {
  id: Scalars['ID']['input'];
};

export type Subscription = {
  /**
   * How an organization's provisioning stands: at once, and whenever something changes, over server-sent events. Completes
   * when it is ready, failed or cancelled, and before the function's time is up; whoever subscribes again is told the current
   * state first. For members, operators and the service role.
   */
  readonly provisioningProgress: ProvisioningStatus;
};


export type SubscriptionProvisioningProgressArgs = {
  organizationId: Scalars['ID']['input'];
};

export type BreakerState =
  /** Calls pass. */
  | 'closed'
  /** It did not answer several times in a row: it is not called until nextTryAt. */
  | 'open'
  /** One call tries whether it answers again. */
  | 'half_open';

export type ProviderState = {
  /** Such as neon, stripe_test and stripe_live. */
  readonly provider: Scalars['String']['output'];
  /** What it is paused by. */
  readonly service: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  readonly state: BreakerState;
  readonly consecutiveFailures: Scalars['Int']['output'];
  readonly nextTryAt?: Maybe<Scalars['DateTime']['output']>;
  readonly lastError?: Maybe<Scalars['String']['output']>;
  readonly changedAt: Scalars['DateTime']['output'];
  /** That its documented limits allow, with room for what else uses the account. */
  readonly callsPerSecond?: Maybe<Scalars['Float']['output']>;
  /** Of the limit of which least is left, from 0 to 100. */
  readonly freePercent: Scalars['Float']['output'];
  /** How long a call waits now until the limits allow it. */
  readonly waitSeconds: Scalars['Float']['output'];
};

export type FleetVersions = {
  /** The newest first. */
  readonly versions: ReadonlyArray<VersionCount>;
  /** The newest, under way or ended; null when there was none. */
  readonly migration?: Maybe<FleetMigration>;
};

export type VersionCount = {
  /** Null while no schema is applied. */
  readonly version?: Maybe<Scalars['Int']['output']>;
  readonly tenants: Scalars['Int']['output'];
};

export type FleetMigrationState =
  /** The first few tenants are migrated, before the others. */
  | 'canary'
  | 'rolling'
  /** Too many have failed, or an operator said so. */
  | 'stopped'
  | 'done'
  | 'cancelled';

export type FleetMigration = {
  readonly id: Scalars['ID']['output'];
  readonly toVersion: Scalars['Int']['output'];
  readonly state: FleetMigrationState;
  readonly stoppedBecause?: Maybe<Scalars['String']['output']>;
  readonly startedAt: Scalars['DateTime']['output'];
  readonly endedAt?: Maybe<Scalars['DateTime']['output']>;
  /** States that no tenant is in are left out. */
  readonly tenants: ReadonlyArray<FleetTenantCount>;
  /** Of 50 tenants at most. */
  readonly errors: ReadonlyArray<FleetMigrationError>;
};

export type FleetTenantState =
  | 'waiting'
  /** It follows when it is awake. */
  | 'asleep'
  | 'queued'
  | 'done'
  | 'failed'
  /** Nothing is to be done any more: it was deleted, or has no database. */
  | 'left';

export type FleetTenantCount = {
  readonly state: FleetTenantState;
  readonly count: Scalars['Int']['output'];
};

export type FleetMigrationError = {
  readonly organizationId: Scalars['ID']['output'];
  /** Null when the organization is deleted. */
  readonly slug?: Maybe<Scalars['String']['output']>;
  readonly code?: Maybe<Scalars['String']['output']>;
  readonly message?: Maybe<Scalars['String']['output']>;
};

export type PauseScope =
  | 'everything'
  | 'kind'
  | 'provider';

export type Pause = {
  readonly scope: PauseScope;
  /** The kind of job, or the service; empty for everything. */
  readonly name: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  readonly reason: Scalars['String']['output'];
  /** What people who wait are told. */
  readonly message: Scalars['String']['output'];
  readonly pausedAt: Scalars['DateTime']['output'];
  /** Null when it was the backend or the owner of the database. */
  readonly pausedBy?: Maybe<Scalars['ID']['output']>;
};

export type Organization = {
  readonly id: Scalars['ID']['output'];
  readonly name: Scalars['String']['output'];
  readonly slug: Scalars['String']['output'];
  /** The caller's role in it. */
  readonly role: MemberRole;
  /** What the caller may do in it. */
  readonly permissions: ReadonlyArray<Permission>;
  readonly plan: Scalars['String']['output'];
  readonly ownerId: Scalars['ID']['output'];
  readonly stripeCustomerId?: Maybe<Scalars['String']['output']>;
  readonly stripeSubscriptionId?: Maybe<Scalars['String']['output']>;
  readonly stripeSubscriptionStatus?: Maybe<Scalars['String']['output']>;
  readonly billingEmail?: Maybe<Scalars['String']['output']>;
  readonly dataRegion: Scalars['String']['output'];
  readonly hostingRegion: Scalars['String']['output'];
  /** The state of each service, the overall state and changed_at. The field provisioning says more. */
  readonly provisioningStatus: Scalars['JSON']['output'];
  readonly provisioning?: Maybe<ProvisioningStatus>;
  readonly health?: Maybe<TenantHealth>;
  /** The newest events of its provisioning; provisioningEvents pages through all of them. */
  readonly events: ReadonlyArray<ProvisioningEvent>;
  readonly provisionedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly createdAt: Scalars['DateTime']['output'];
  readonly updatedAt: Scalars['DateTime']['output'];
};


export type OrganizationEventsArgs = {
  first?: Scalars['Int']['input'];
};

export type OrganizationResult = {
  readonly organizationId: Scalars['ID']['output'];
  /** Null for callers who are no members, such as the service role. */
  readonly organization?: Maybe<Organization>;
};

export type OrganizationDeletion = {
  readonly organizationId: Scalars['ID']['output'];
  readonly dryRun: Scalars['Boolean']['output'];
  /** Of the job that removes what exists outside; null in a dry run. */
  readonly jobId?: Maybe<Scalars['ID']['output']>;
  readonly resources: ReadonlyArray<PlannedRemoval>;
};

/** What would become, or becomes, of something that an organization has outside. */
export type PlannedRemoval = {
  /** Such as stripe_customer or neon_project. */
  readonly kind: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  /** Null while it is not certain that it exists. */
  readonly externalId?: Maybe<Scalars['String']['output']>;
  readonly kept: Scalars['Boolean']['output'];
  readonly removedAfterHours: Scalars['Int']['output'];
};

export type OrganizationMember = {
  readonly userId: Scalars['ID']['output'];
  readonly organizationId: Scalars['ID']['output'];
  readonly role: MemberRole;
  /** As the person's profile has it, as is the address. */
  readonly fullName?: Maybe<Scalars['String']['output']>;
  readonly email?: Maybe<Scalars['String']['output']>;
  /** Since when the person is a member. */
  readonly createdAt: Scalars['DateTime']['output'];
  /** To go on after this member, as the argument after. */
  readonly cursor: Scalars['String']['output'];
};

export type ExpectedMember = {
  readonly id: Scalars['ID']['output'];
  readonly organizationId: Scalars['ID']['output'];
  readonly email: Scalars['String']['output'];
  readonly role: MemberRole;
  /** Null when it was the backend. */
  readonly expectedBy?: Maybe<Scalars['ID']['output']>;
  readonly createdAt: Scalars['DateTime']['output'];
  readonly endsAt: Scalars['DateTime']['output'];
};

export type ExpectedMembership = {
  readonly organizationId: Scalars['ID']['output'];
  readonly organizationName: Scalars['String']['output'];
  readonly role: MemberRole;
  readonly endsAt: Scalars['DateTime']['output'];
};

/** The organization that the caller belongs to after the answer. */
export type Membership = {
  /** Null for somebody who has declined and whom another organization expects. */
  readonly organizationId?: Maybe<Scalars['ID']['output']>;
  readonly organization?: Maybe<Organization>;
};

export type ProvisioningEvent = {
  readonly id: Scalars['ID']['output'];
  /** Such as sign_up, step.succeeded, step.retrying, step.failed or job.succeeded. */
  readonly eventType: Scalars['String']['output'];
  readonly resourceType: Scalars['String']['output'];
  readonly resourceId?: Maybe<Scalars['String']['output']>;
  readonly status: Scalars['String']['output'];
  readonly errorMessage?: Maybe<Scalars['String']['output']>;
  readonly metadata: Scalars['JSON']['output'];
  readonly startedAt: Scalars['DateTime']['output'];
  readonly completedAt?: Maybe<Scalars['DateTime']['output']>;
  /** To go on after this event, as the argument after. */
  readonly cursor: Scalars['String']['output'];
};

export type ProvisioningStatus = {
  readonly organizationId: Scalars['ID']['output'];
  /** Changes whenever anything else here does. */
  readonly revision: Scalars['String']['output'];
  readonly overall: ProvisioningState;
  /** Steps that have succeeded, of all: 0 to 100. */
  readonly percent: Scalars['Int']['output'];
  /** What the tenant consists of: database or project. Null before there is a job. */
  readonly tier?: Maybe<Scalars['String']['output']>;
  /** How often a worker has taken the job. */
  readonly attempts: Scalars['Int']['output'];
  /** When the job is tried again; null while a worker is at it, and after its end. */
  readonly nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  readonly error?: Maybe<ProvisioningError>;
  /** Why the job waits although it is due, in a sentence: an operator has paused it, or a provider that it needs. */
  readonly pausedBecause?: Maybe<Scalars['String']['output']>;
  readonly jobId?: Maybe<Scalars['ID']['output']>;
  readonly jobStatus?: Maybe<JobState>;
  readonly services: ReadonlyArray<ServiceStatus>;
  /** Before a worker has taken the job they are shown as they will be: pending. */
  readonly steps: ReadonlyArray<StepStatus>;
  /** When overall or the state of a service changed last. */
  readonly changedAt?: Maybe<Scalars['DateTime']['output']>;
  /** When the tenant was ready for the first time. */
  readonly provisionedAt?: Maybe<Scalars['DateTime']['output']>;
};

export type ServiceStatus = {
  /** Such as stripe, neon or graphql. */
  readonly service: Scalars['String']['output'];
  readonly status: ServiceState;
  /** Of all its steps together. */
  readonly attempts: Scalars['Int']['output'];
  readonly nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  readonly error?: Maybe<ProvisioningError>;
};

export type StepStatus = {
  readonly step: Scalars['String']['output'];
  readonly service: Scalars['String']['output'];
  readonly status: StepState;
  readonly attempts: Scalars['Int']['output'];
  readonly nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  readonly startedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly finishedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly error?: Maybe<ProvisioningError>;
};

export type ProvisioningError = {
  /** For programs; docs/failure-codes.md lists them. */
  readonly code: Scalars['String']['output'];
  /** For people: what happened, and what to do. */
  readonly message: Scalars['String']['output'];
  readonly step?: Maybe<Scalars['String']['output']>;
  /** Whether it is tried again by itself. */
  readonly retryable?: Maybe<Scalars['Boolean']['output']>;
};

export type TenantHealth = {
  readonly organizationId: Scalars['ID']['output'];
  readonly status: HealthState;
  /** Why it is not simply healthy. */
  readonly reasons: ReadonlyArray<HealthReason>;
  /** What the newest connection measured, and what the provider says of a sleeper. */
  readonly metrics: HealthMetrics;
  readonly checkedAt?: Maybe<Scalars['DateTime']['output']>;
  /** When the database was last connected to. */
  readonly connectedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly nextCheckAt?: Maybe<Scalars['DateTime']['output']>;
};

export type HealthReason = {
  readonly code: Scalars['String']['output'];
  readonly severity: Severity;
  readonly message: Scalars['String']['output'];
};

export type HealthMetrics = {
  readonly connectMs?: Maybe<Scalars['Float']['output']>;
  readonly pooledConnectMs?: Maybe<Scalars['Float']['output']>;
  readonly latencyMs?: Maybe<Scalars['Float']['output']>;
  readonly transactionsPerSecond?: Maybe<Scalars['Float']['output']>;
  /** Blocks found in memory, of all: 0 to 1. */
  readonly cacheHitRatio?: Maybe<Scalars['Float']['output']>;
  readonly longestQuerySeconds?: Maybe<Scalars['Float']['output']>;
  readonly connections?: Maybe<Scalars['Int']['output']>;
  readonly maxConnections?: Maybe<Scalars['Int']['output']>;
  readonly sizeBytes?: Maybe<Scalars['Float']['output']>;
  readonly quotaBytes?: Maybe<Scalars['Float']['output']>;
  readonly growthBytesPerDay?: Maybe<Scalars['Float']['output']>;
  readonly schemaVersion?: Maybe<Scalars['Int']['output']>;
  /**
   * In which ways the schema is not as the files of its version have made it: the kind and the name of an object, and whether it
   * is added, changed or missing. Up to 20; null when it is as they made it, or has not been compared yet.
   */
  readonly schemaDifferences?: Maybe<ReadonlyArray<Scalars['String']['output']>>;
  /** When the schema was compared with the files last. */
  readonly schemaLookedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly certificateExpiresAt?: Maybe<Scalars['DateTime']['output']>;
  /** Who has issued the certificate of the database's host, as the certificate has it. */
  readonly certificateIssuer?: Maybe<Scalars['String']['output']>;
};

export type HealthBucket =
  | 'CHECK'
  | 'HOUR'
  | 'DAY';

export type TenantHealthPoint = {
  /** The time of the check, or the begin of the hour or day (UTC). */
  readonly at: Scalars['DateTime']['output'];
  readonly checks: Scalars['Int']['output'];
  /** Checks that were not unhealthy. */
  readonly available: Scalars['Int']['output'];
  /** Share of the time in which it was not unhealthy, 0 to 1. */
  readonly availability?: Maybe<Scalars['Float']['output']>;
  /** Of a single check; null for hours and days. */
  readonly status?: Maybe<HealthState>;
  readonly minLatencyMs?: Maybe<Scalars['Float']['output']>;
  readonly medianLatencyMs?: Maybe<Scalars['Float']['output']>;
  /** Of a day, the worst of its hours. */
  readonly p95LatencyMs?: Maybe<Scalars['Float']['output']>;
  /** Open ones; of an hour or day, the most that a check has seen. */
  readonly connections?: Maybe<Scalars['Int']['output']>;
  /** Blocks found in memory, of all: 0 to 1; of an hour or day, the mean. */
  readonly cacheHitRatio?: Maybe<Scalars['Float']['output']>;
  readonly sizeBytes?: Maybe<Scalars['Float']['output']>;
};

export type TenantAlert = {
  readonly id: Scalars['ID']['output'];
  readonly organizationId: Scalars['ID']['output'];
  /** Such as provision_failed, deprovision_failed or tenant_health. */
  readonly kind: Scalars['String']['output'];
  /** WARNING or CRITICAL. */
  readonly severity: Severity;
  readonly message: Scalars['String']['output'];
  readonly metadata: Scalars['JSON']['output'];
  readonly openedAt: Scalars['DateTime']['output'];
  /** When a warning became critical. */
  readonly escalatedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly resolvedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly cursor: Scalars['String']['output'];
};

/** WRITE reads, too. */
export type KeyScope =
  | 'read'
  | 'write';

export type KeyState =
  | 'active'
  | 'expired'
  | 'revoked';

/** The key itself is not kept. */
export type AccessRole =
  | 'read'
  | 'app'
  /** May change the schema. What it makes belongs to the database's owner, and stays. */
  | 'owner';

export type AccessLogin = {
  readonly id: Scalars['ID']['output'];
  readonly organizationId: Scalars['ID']['output'];
  readonly login: Scalars['String']['output'];
  readonly role: AccessRole;
  /** Null for the backend. */
  readonly requestedBy?: Maybe<Scalars['ID']['output']>;
  readonly requestedAt: Scalars['DateTime']['output'];
  /** Null until it is made. */
  readonly madeAt?: Maybe<Scalars['DateTime']['output']>;
  readonly endsAt: Scalars['DateTime']['output'];
  /** When its sessions were ended and it was dropped; a sleeping database is not woken for that. */
  readonly endedAt?: Maybe<Scalars['DateTime']['output']>;
};

export type AccessRequest = {
  readonly jobId: Scalars['ID']['output'];
  readonly login: AccessLogin;
};

export type AccessConnection = {
  readonly login: AccessLogin;
  readonly host: Scalars['String']['output'];
  readonly pooledHost?: Maybe<Scalars['String']['output']>;
  readonly port: Scalars['Int']['output'];
  readonly database: Scalars['String']['output'];
  readonly user: Scalars['String']['output'];
  readonly sslMode: SslMode;
  readonly password?: Maybe<Scalars['String']['output']>;
};

export type ApiKey = {
  readonly id: Scalars['ID']['output'];
  readonly organizationId: Scalars['ID']['output'];
  readonly name: Scalars['String']['output'];
  /** With which the key begins. */
  readonly prefix: Scalars['String']['output'];
  readonly scope: KeyScope;
  readonly status: KeyState;
  /** Null: as many as any key may make. */
  readonly requestsPerMinute?: Maybe<Scalars['Int']['output']>;
  /** The user who made it; null for the backend. */
  readonly createdBy?: Maybe<Scalars['ID']['output']>;
  readonly createdAt: Scalars['DateTime']['output'];
  /** To the minute. */
  readonly lastUsedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly expiresAt?: Maybe<Scalars['DateTime']['output']>;
  readonly revokedAt?: Maybe<Scalars['DateTime']['output']>;
  /** The key that has taken its place, while both are valid and afterwards. */
  readonly replacedBy?: Maybe<Scalars['ID']['output']>;
};

export type NewApiKey = {
  /** Shown this once. */
  readonly key: Scalars['String']['output'];
  readonly apiKey: ApiKey;
};

export type TenantConnectionInfo = {
  readonly host: Scalars['String']['output'];
  /** Through the connection pooler, for many short connections. */
  readonly pooledHost?: Maybe<Scalars['String']['output']>;
  readonly port: Scalars['Int']['output'];
  /** Of pooledHost. */
  readonly pooledPort: Scalars['Int']['output'];
  readonly database: Scalars['String']['output'];
  readonly role: Scalars['String']['output'];
  readonly sslMode: SslMode;
  readonly graphqlEndpoint?: Maybe<Scalars['String']['output']>;
  /** Null unless revealPassword was given. */
  readonly password?: Maybe<Scalars['String']['output']>;
};

/** Conditions that hold at the same time; in a list, one of the values. */
export type TenantFilter = {
  readonly status?: InputMaybe<ReadonlyArray<ProvisioningState>>;
  readonly health?: InputMaybe<ReadonlyArray<HealthState>>;
  /** Data regions, or the regions of the databases. */
  readonly region?: InputMaybe<ReadonlyArray<Scalars['String']['input']>>;
  readonly plan?: InputMaybe<ReadonlyArray<Scalars['String']['input']>>;
  /** Codes of failures, such as stripe_key_refused: of those whose provisioning has failed. */
  readonly errorCode?: InputMaybe<ReadonlyArray<Scalars['String']['input']>>;
  /** A part of the name, slug or billing e-mail address. */
  readonly search?: InputMaybe<Scalars['String']['input']>;
  /** true: only those with an open alert. */
  readonly hasOpenAlerts?: InputMaybe<Scalars['Boolean']['input']>;
};

export type TenantSort =
  | '-created_at'
  | 'created_at'
  | 'name'
  | '-name'
  | 'slug'
  | '-slug';

export type PageInput = {
  /** How many, 1 to 100. */
  readonly first?: Scalars['Int']['input'];
  /** The endCursor of the page before. */
  readonly after?: InputMaybe<Scalars['String']['input']>;
};

export type TenantPage = {
  readonly nodes: ReadonlyArray<Tenant>;
  readonly hasNextPage: Scalars['Boolean']['output'];
  /** Null when the page is empty. */
  readonly endCursor?: Maybe<Scalars['String']['output']>;
};

export type Tenant = {
  /** Of the organization. */
  readonly id: Scalars['ID']['output'];
  readonly name: Scalars['String']['output'];
  readonly slug: Scalars['String']['output'];
  readonly plan: Scalars['String']['output'];
  readonly ownerId: Scalars['ID']['output'];
  readonly ownerEmail?: Maybe<Scalars['String']['output']>;
  readonly billingEmail?: Maybe<Scalars['String']['output']>;
  readonly stripeCustomerId?: Maybe<Scalars['String']['output']>;
  readonly stripeSubscriptionStatus?: Maybe<Scalars['String']['output']>;
  readonly dataRegion: Scalars['String']['output'];
  readonly hostingRegion: Scalars['String']['output'];
  readonly status: ProvisioningState;
  /** The state of each service, the overall state and changed_at. The field provisioning says more. */
  readonly provisioningStatus: Scalars['JSON']['output'];
  readonly provisioning?: Maybe<ProvisioningStatus>;
  /** The newest failure of its provisioning. */
  readonly error?: Maybe<ProvisioningError>;
  /** The newest job that provisions it. */
  readonly jobId?: Maybe<Scalars['ID']['output']>;
  readonly jobStatus?: Maybe<JobState>;
  readonly nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  readonly health: HealthState;
  readonly healthCheckedAt?: Maybe<Scalars['DateTime']['output']>;
  /** All that is known of its health; null while there is no database. */
  readonly healthDetails?: Maybe<TenantHealth>;
  readonly healthHistory: ReadonlyArray<TenantHealthPoint>;
  readonly neonProjectId?: Maybe<Scalars['String']['output']>;
  readonly databaseRegion?: Maybe<Scalars['String']['output']>;
  readonly databaseSize?: Maybe<Scalars['String']['output']>;
  readonly schemaVersion?: Maybe<Scalars['Int']['output']>;
  /** Since when the schema is known not to be as the files of that version have made it; healthDetails says in what. Null when it is. */
  readonly schemaDriftAt?: Maybe<Scalars['DateTime']['output']>;
  readonly openAlerts: Scalars['Int']['output'];
  /** Newest first; after is the cursor of the last one before. */
  readonly alerts: ReadonlyArray<TenantAlert>;
  /** Newest first; after is the cursor of the last one before. */
  readonly events: ReadonlyArray<ProvisioningEvent>;
  readonly provisionedAt?: Maybe<Scalars['DateTime']['output']>;
  readonly createdAt: Scalars['DateTime']['output'];
  readonly updatedAt: Scalars['DateTime']['output'];
};


export type TenantHealthHistoryArgs = {
  since?: InputMaybe<Scalars['DateTime']['input']>;
  bucket?: HealthBucket;
};


export type TenantAlertsArgs = {
  includeResolved?: Scalars['Boolean']['input'];
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};


export type TenantEventsArgs = {
  first?: Scalars['Int']['input'];
  after?: InputMaybe<Scalars['String']['input']>;
};

/**
 * Small numbers are counted: exact is true. Of more than 10,000 the count of a state stays at 10,000, which then means at least
 * so many, and the numbers of all tenants and of the ready ones are estimates of the database.
 */
export type TenantCounts = {
  readonly total: TenantCount;
  readonly byStatus: ReadonlyArray<TenantStatusCount>;
  /** Of those that are degraded or unhealthy. */
  readonly byHealth: ReadonlyArray<TenantHealthCount>;
  readonly openAlerts: TenantCount;
};

export type TenantCount = {
  readonly count: Scalars['Int']['output'];
  readonly exact: Scalars['Boolean']['output'];
};

export type TenantStatusCount = {
  readonly status: ProvisioningState;
  readonly count: Scalars['Int']['output'];
  readonly exact: Scalars['Boolean']['output'];
};

export type TenantHealthCount = {
  readonly health: HealthState;
  readonly count: Scalars['Int']['output'];
  readonly exact: Scalars['Boolean']['output'];
};

export type TenantVerification = {
  readonly subject: Scalars['String']['output'];
  readonly userId?: Maybe<Scalars['ID']['output']>;
  readonly organizationId?: Maybe<Scalars['ID']['output']>;
  /** Null when there is no organization (any more). */
  readonly tenant?: Maybe<Tenant>;
  readonly verdict: TenantVerdict;
  /** In the order in which one thing rests on another: the first that failed is the cause. */
  readonly checks: ReadonlyArray<TenantCheck>;
  /** What it has outside, the oldest first. */
  readonly resources: ReadonlyArray<TenantResource>;
  /** The newest entries of the organization's audit log. */
  readonly audit: ReadonlyArray<AuditEntry>;
};

/** One thing that a tenant has at a provider. */
export type TenantResource = {
  readonly service: Scalars['String']['output'];
  /** Such as supabase_project or github_repository. */
  readonly kind: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  /** By which it is found at the provider. */
  readonly name: Scalars['String']['output'];
  /** Null while it is not certain that it exists. */
  readonly externalId?: Maybe<Scalars['String']['output']>;
  /** Where people see it. */
  readonly url?: Maybe<Scalars['String']['output']>;
  readonly state: ResourceState;
  /** What belongs to it and has an id of its own: workflows and credentials of n8n, the deployment at Vercel. */
  readonly parts: ReadonlyArray<ResourcePart>;
};

export type ResourcePart = {
  readonly id: Scalars['String']['output'];
  readonly name: Scalars['String']['output'];
  /** Where people see it. */
  readonly url?: Maybe<Scalars['String']['output']>;
};

/** PLANNED: a request that makes it was sent, and whether it exists is open. KEPT: its organization was deleted, and it was left on purpose. */
export type ResourceState =
  | 'planned'
  | 'active'
  | 'kept';

export type VerdictState =
  | 'ready'
  | 'provisioning'
  | 'waiting'
  | 'failed'
  | 'cancelled'
  | 'deleted'
  | 'not_found';

export type TenantVerdict = {
  readonly ready: Scalars['Boolean']['output'];
  readonly state: VerdictState;
  /** In one sentence. */
  readonly summary: Scalars['String']['output'];
  /** The check that keeps the tenant from being ready. */
  readonly check?: Maybe<Scalars['String']['output']>;
  readonly remedy?: Maybe<Remedy>;
};

/** WARNING: ready all the same. WAITING: it goes on by itself. FAILED: somebody has to act. */
export type CheckState =
  | 'ok'
  | 'warning'
  | 'waiting'
  | 'failed';

export type TenantCheck = {
  /** Such as profile, provisioning or database; docs/verification-guide.md lists them. */
  readonly check: Scalars['String']['output'];
  readonly status: CheckState;
  /** Which kind of trouble it is, for programs; null when it is ok. */
  readonly code?: Maybe<Scalars['String']['output']>;
  readonly found: Scalars['String']['output'];
  /** Null when it is ok, and where nobody can do anything. */
  readonly remedy?: Maybe<Remedy>;
};

export type Remedy = {
  /** What a person does about it, in complete sentences. */
  readonly text: Scalars['String']['output'];
  /** What the product offers for it, in order. */
  readonly actions: ReadonlyArray<RemedyAction>;
};

export type RemedyAction = {
  /** Such as retry, provision_user or set_secret; the CLI has a command for each. */
  readonly action: Scalars['String']['output'];
  /** Of the service that is meant, when it is one. */
  readonly service?: Maybe<Scalars['String']['output']>;
  /** Of the secret that is to be set. */
  readonly name?: Maybe<Scalars['String']['output']>;
};

export type AuditEntry = {
  readonly id: Scalars['ID']['output'];
  /** Such as provisioning.requested or connection.revealed. */
  readonly action: Scalars['String']['output'];
  /** user, service or system. */
  readonly actorType: Scalars['String']['output'];
  readonly actorId?: Maybe<Scalars['ID']['output']>;
  readonly resourceType: Scalars['String']['output'];
  readonly resourceId?: Maybe<Scalars['String']['output']>;
  readonly createdAt: Scalars['DateTime']['output'];
};

export type ProvisioningOptions = {
  /** Where a tenant goes that names no region. */
  readonly defaultDataRegion: Scalars['String']['output'];
  /** What a tenant consists of that names no tier. */
  readonly defaultTier: Scalars['String']['output'];
  /** Of the prices, such as usd. */
  readonly currency: Scalars['String']['output'];
  readonly regions: ReadonlyArray<RegionOption>;
  /** The smallest first. */
  readonly sizes: ReadonlyArray<SizeOption>;
  readonly tiers: ReadonlyArray<TierOption>;
  /** The cheapest first, those on request last. */
  readonly plans: ReadonlyArray<PlanOption>;
};

export type RegionOption = {
  readonly dataRegion: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  readonly city?: Maybe<Scalars['String']['output']>;
  /** Two letters, ISO 3166. */
  readonly country?: Maybe<Scalars['String']['output']>;
  /** In degrees, north is positive. */
  readonly latitude?: Maybe<Scalars['Float']['output']>;
  /** In degrees, east is positive. */
  readonly longitude?: Maybe<Scalars['Float']['output']>;
};

/** A compute unit is 1 vCPU with 4 GB of memory. */
export type SizeOption = {
  readonly size: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  readonly minComputeUnits: Scalars['Float']['output'];
  readonly maxComputeUnits: Scalars['Float']['output'];
  /** After so long without a query the database sleeps; null: never. */
  readonly suspendAfterSeconds?: Maybe<Scalars['Int']['output']>;
};

export type TierOption = {
  readonly tier: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  /** What it consists of, such as stripe and neon. */
  readonly services: ReadonlyArray<Scalars['String']['output']>;
};

/** Limits hold for one tenant; null is unlimited. */
export type PlanOption = {
  readonly plan: Scalars['String']['output'];
  readonly label: Scalars['String']['output'];
  /** In the smallest unit of the currency, such as cents; null: on request. */
  readonly monthlyPrice?: Maybe<Scalars['Float']['output']>;
  /** Of a new database. */
  readonly defaultSize: Scalars['String']['output'];
  /** That owners and admins may choose. */
  readonly sizes: ReadonlyArray<Scalars['String']['output']>;
  /** That owners and admins may choose. */
  readonly tiers: ReadonlyArray<Scalars['String']['output']>;
  readonly storageBytes?: Maybe<Scalars['Float']['output']>;
  /** Sent by the database, a month. */
  readonly transferBytes?: Maybe<Scalars['Float']['output']>;
  /** Of one vCPU, a month. */
  readonly computeSeconds?: Maybe<Scalars['Float']['output']>;
  /** How far back the database can be restored. */
  readonly historySeconds: Scalars['Float']['output'];
};

export type BulkRetry = {
  readonly dryRun: Scalars['Boolean']['output'];
  /** Tenants of the filter whose provisioning has failed. When exact is false there are more, and 10,000 were counted. */
  readonly matched: Scalars['Int']['output'];
  readonly exact: Scalars['Boolean']['output'];
  readonly byReason: ReadonlyArray<FailureCount>;
  /** Tried again by this call; 0 in a dry run. */
  readonly retried: Scalars['Int']['output'];
  /** Matched, and not tried again by this call. */
  readonly remaining: Scalars['Int']['output'];
};

export type FailureCount = {
  /** For programs; docs/failure-codes.md lists them. */
  readonly code: Scalars['String']['output'];
  /** Of one of them. */
  readonly message: Scalars['String']['output'];
  readonly count: Scalars['Int']['output'];
};

export type ProvisioningRequest = {
  readonly organizationId: Scalars['ID']['output'];
  readonly jobId: Scalars['ID']['output'];
  /** As it stands right after the request. */
  readonly provisioning?: Maybe<ProvisioningStatus>;
};

export type Cancellation = {
  readonly organizationId: Scalars['ID']['output'];
  readonly jobId: Scalars['ID']['output'];
  /** The job that removes what was made; null when there is nothing to remove. */
  readonly undoJobId?: Maybe<Scalars['ID']['output']>;
  readonly provisioning?: Maybe<ProvisioningStatus>;
};

export type ProvisionUserResult = {
  /** Whether the tenant is ready. */
  readonly success: Scalars['Boolean']['output'];
  readonly organizationId?: Maybe<Scalars['ID']['output']>;
  readonly stripeCustomerId?: Maybe<Scalars['String']['output']>;
  readonly neonProjectId?: Maybe<Scalars['String']['output']>;
  /** Why it is not (yet), for people. Empty on success. */
  readonly errors: ReadonlyArray<Scalars['String']['output']>;
  /**
   * The same for programs: user_not_found, user_too_old, user_not_eligible, too_many_attempts, undo_in_progress,
   * provisioning_failed or still_provisioning.
   */
  readonly code?: Maybe<Scalars['String']['output']>;
  /** When it is worth asking again. */
  readonly retryAfterSeconds?: Maybe<Scalars['Int']['output']>;
};



export type ResolverTypeWrapper<T> = Promise<T> | T;

export type Resolver<TResult, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = ResolverFn<TResult, TParent, TContext, TArgs>;

export type SubscriptionSubscribeFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => AsyncIterable<TResult> | Promise<AsyncIterable<TResult>>;

export type SubscriptionResolveFn<TResult, TParent, TContext, TArgs> = (
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;

export interface SubscriptionSubscriberObject<TResult, TKey extends string, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<{ [key in TKey]: TResult }, TParent, TContext, TArgs>;
  resolve?: SubscriptionResolveFn<TResult, { [key in TKey]: TResult }, TContext, TArgs>;
}

export interface SubscriptionResolverObject<TResult, TParent, TContext, TArgs> {
  subscribe: SubscriptionSubscribeFn<any, TParent, TContext, TArgs>;
  resolve: SubscriptionResolveFn<TResult, any, TContext, TArgs>;
}

export type SubscriptionObject<TResult, TKey extends string, TParent, TContext, TArgs> =
  | SubscriptionSubscriberObject<TResult, TKey, TParent, TContext, TArgs>
  | SubscriptionResolverObject<TResult, TParent, TContext, TArgs>;

export type SubscriptionResolver<TResult, TKey extends string, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> =
  | ((...args: any[]) => SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>)
  | SubscriptionObject<TResult, TKey, TParent, TContext, TArgs>;

export type TypeResolveFn<TTypes, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (
  parent: TParent,
  context: TContext,
  info: GraphQLResolveInfo
) => Maybe<TTypes> | Promise<Maybe<TTypes>>;

export type IsTypeOfResolverFn<T = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>> = (obj: T, context: TContext, info: GraphQLResolveInfo) => boolean | Promise<boolean>;

export type NextResolverFn<T> = () => Promise<T>;

export type DirectiveResolverFn<TResult = Record<PropertyKey, never>, TParent = Record<PropertyKey, never>, TContext = Record<PropertyKey, never>, TArgs = Record<PropertyKey, never>> = (
  next: NextResolverFn<TResult>,
  parent: TParent,
  args: TArgs,
  context: TContext,
  info: GraphQLResolveInfo
) => TResult | Promise<TResult>;





/** Mapping between all available schema types and the resolvers types */
export type ResolversTypes = {
  DateTime: ResolverTypeWrapper<Scalars['DateTime']['output']>;
  JSON: ResolverTypeWrapper<Scalars['JSON']['output']>;
  ProvisioningState: null;
  ServiceState: null;
  StepState: null;
  JobState: null;
  HealthState: null;
  Severity: null;
  MemberRole: null;
  Permission: null;
  SslMode: null;
  Query: ResolverTypeWrapper<Record<PropertyKey, never>>;
  ID: ResolverTypeWrapper<Scalars['ID']['output']>;
  Int: ResolverTypeWrapper<Scalars['Int']['output']>;
  String: ResolverTypeWrapper<Scalars['String']['output']>;
  Boolean: ResolverTypeWrapper<Scalars['Boolean']['output']>;
  Mutation: ResolverTypeWrapper<Record<PropertyKey, never>>;
  Float: ResolverTypeWrapper<Scalars['Float']['output']>;
  Subscription: ResolverTypeWrapper<Record<PropertyKey, never>>;
  BreakerState: null;
  ProviderState: ResolverTypeWrapper<ProviderState>;
  FleetVersions: ResolverTypeWrapper<FleetVersions>;
  VersionCount: ResolverTypeWrapper<VersionCount>;
  FleetMigrationState: null;
  FleetMigration: ResolverTypeWrapper<FleetMigration>;
  FleetTenantState: null;
  FleetTenantCount: ResolverTypeWrapper<FleetTenantCount>;
  FleetMigrationError: ResolverTypeWrapper<FleetMigrationError>;
  PauseScope: null;
  Pause: ResolverTypeWrapper<Pause>;
  Organization: ResolverTypeWrapper<Organization>;
  OrganizationResult: ResolverTypeWrapper<OrganizationResult>;
  OrganizationDeletion: ResolverTypeWrapper<OrganizationDeletion>;
  PlannedRemoval: ResolverTypeWrapper<PlannedRemoval>;
  OrganizationMember: ResolverTypeWrapper<OrganizationMember>;
  ExpectedMember: ResolverTypeWrapper<ExpectedMember>;
  ExpectedMembership: ResolverTypeWrapper<ExpectedMembership>;
  Membership: ResolverTypeWrapper<Membership>;
  ProvisioningEvent: ResolverTypeWrapper<ProvisioningEvent>;
  ProvisioningStatus: ResolverTypeWrapper<ProvisioningStatus>;
  ServiceStatus: ResolverTypeWrapper<ServiceStatus>;
  StepStatus: ResolverTypeWrapper<StepStatus>;
  ProvisioningError: ResolverTypeWrapper<ProvisioningError>;
  TenantHealth: ResolverTypeWrapper<TenantHealth>;
  HealthReason: ResolverTypeWrapper<HealthReason>;
  HealthMetrics: ResolverTypeWrapper<HealthMetrics>;
  HealthBucket: HealthBucket;
  TenantHealthPoint: ResolverTypeWrapper<TenantHealthPoint>;
  TenantAlert: ResolverTypeWrapper<TenantAlert>;
  KeyScope: null;
  KeyState: null;
  AccessRole: null;
  AccessLogin: ResolverTypeWrapper<AccessLogin>;
  AccessRequest: ResolverTypeWrapper<AccessRequest>;
  AccessConnection: ResolverTypeWrapper<AccessConnection>;
  ApiKey: ResolverTypeWrapper<ApiKey>;
  NewApiKey: ResolverTypeWrapper<NewApiKey>;
  TenantConnectionInfo: ResolverTypeWrapper<TenantConnectionInfo>;
  TenantFilter: TenantFilter;
  TenantSort: null;
  PageInput: PageInput;
  TenantPage: ResolverTypeWrapper<TenantPage>;
  Tenant: ResolverTypeWrapper<Tenant>;
  TenantCounts: ResolverTypeWrapper<TenantCounts>;
  TenantCount: ResolverTypeWrapper<TenantCount>;
  TenantStatusCount: ResolverTypeWrapper<TenantStatusCount>;
  TenantHealthCount: ResolverTypeWrapper<TenantHealthCount>;
  TenantVerification: ResolverTypeWrapper<TenantVerification>;
  TenantResource: ResolverTypeWrapper<TenantResource>;
  ResourcePart: ResolverTypeWrapper<ResourcePart>;
  ResourceState: null;
  VerdictState: null;
  TenantVerdict: ResolverTypeWrapper<TenantVerdict>;
  CheckState: null;
  TenantCheck: ResolverTypeWrapper<TenantCheck>;
  Remedy: ResolverTypeWrapper<Remedy>;
  RemedyAction: ResolverTypeWrapper<RemedyAction>;
  AuditEntry: ResolverTypeWrapper<AuditEntry>;
  ProvisioningOptions: ResolverTypeWrapper<ProvisioningOptions>;
  RegionOption: ResolverTypeWrapper<RegionOption>;
  SizeOption: ResolverTypeWrapper<SizeOption>;
  TierOption: ResolverTypeWrapper<TierOption>;
  PlanOption: ResolverTypeWrapper<PlanOption>;
  BulkRetry: ResolverTypeWrapper<BulkRetry>;
  FailureCount: ResolverTypeWrapper<FailureCount>;
  ProvisioningRequest: ResolverTypeWrapper<ProvisioningRequest>;
  Cancellation: ResolverTypeWrapper<Cancellation>;
  ProvisionUserResult: ResolverTypeWrapper<ProvisionUserResult>;
};

/** Mapping between all available schema types and the resolvers parents */
export type ResolversParentTypes = {
  DateTime: Scalars['DateTime']['output'];
  JSON: Scalars['JSON']['output'];
  Query: Record<PropertyKey, never>;
  ID: Scalars['ID']['output'];
  Int: Scalars['Int']['output'];
  String: Scalars['String']['output'];
  Boolean: Scalars['Boolean']['output'];
  Mutation: Record<PropertyKey, never>;
  Float: Scalars['Float']['output'];
  Subscription: Record<PropertyKey, never>;
  ProviderState: ProviderState;
  FleetVersions: FleetVersions;
  VersionCount: VersionCount;
  FleetMigration: FleetMigration;
  FleetTenantCount: FleetTenantCount;
  FleetMigrationError: FleetMigrationError;
  Pause: Pause;
  Organization: Organization;
  OrganizationResult: OrganizationResult;
  OrganizationDeletion: OrganizationDeletion;
  PlannedRemoval: PlannedRemoval;
  OrganizationMember: OrganizationMember;
  ExpectedMember: ExpectedMember;
  ExpectedMembership: ExpectedMembership;
  Membership: Membership;
  ProvisioningEvent: ProvisioningEvent;
  ProvisioningStatus: ProvisioningStatus;
  ServiceStatus: ServiceStatus;
  StepStatus: StepStatus;
  ProvisioningError: ProvisioningError;
  TenantHealth: TenantHealth;
  HealthReason: HealthReason;
  HealthMetrics: HealthMetrics;
  TenantHealthPoint: TenantHealthPoint;
  TenantAlert: TenantAlert;
  AccessLogin: AccessLogin;
  AccessRequest: AccessRequest;
  AccessConnection: AccessConnection;
  ApiKey: ApiKey;
  NewApiKey: NewApiKey;
  TenantConnectionInfo: TenantConnectionInfo;
  TenantFilter: TenantFilter;
  PageInput: PageInput;
  TenantPage: TenantPage;
  Tenant: Tenant;
  TenantCounts: TenantCounts;
  TenantCount: TenantCount;
  TenantStatusCount: TenantStatusCount;
  TenantHealthCount: TenantHealthCount;
  TenantVerification: TenantVerification;
  TenantResource: TenantResource;
  ResourcePart: ResourcePart;
  TenantVerdict: TenantVerdict;
  TenantCheck: TenantCheck;
  Remedy: Remedy;
  RemedyAction: RemedyAction;
  AuditEntry: AuditEntry;
  ProvisioningOptions: ProvisioningOptions;
  RegionOption: RegionOption;
  SizeOption: SizeOption;
  TierOption: TierOption;
  PlanOption: PlanOption;
  BulkRetry: BulkRetry;
  FailureCount: FailureCount;
  ProvisioningRequest: ProvisioningRequest;
  Cancellation: Cancellation;
  ProvisionUserResult: ProvisionUserResult;
};

export interface DateTimeScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['DateTime'], any> {
  name: 'DateTime';
}

export interface JsonScalarConfig extends GraphQLScalarTypeConfig<ResolversTypes['JSON'], any> {
  name: 'JSON';
}

export type ProvisioningStateResolvers = { PENDING: 'pending', PROVISIONING: 'provisioning', READY: 'ready', FAILED: 'failed', CANCELLED: 'cancelled' };

export type ServiceStateResolvers = { PENDING: 'pending', RUNNING: 'running', RETRYING: 'retrying', READY: 'ready', FAILED: 'failed', CANCELLED: 'cancelled', NOT_REQUESTED: 'not_requested' };

export type StepStateResolvers = { PENDING: 'pending', RUNNING: 'running', RETRYING: 'retrying', SUCCEEDED: 'succeeded', FAILED: 'failed', CANCELLED: 'cancelled' };

export type JobStateResolvers = { QUEUED: 'queued', RUNNING: 'running', SUCCEEDED: 'succeeded', FAILED: 'failed', CANCELLED: 'cancelled' };

export type HealthStateResolvers = { UNKNOWN: 'unknown', HEALTHY: 'healthy', DEGRADED: 'degraded', UNHEALTHY: 'unhealthy', SLEEPING: 'sleeping' };

export type SeverityResolvers = { INFO: 'info', WARNING: 'warning', CRITICAL: 'critical' };

export type MemberRoleResolvers = { OWNER: 'owner', ADMIN: 'admin', MEMBER: 'member' };

export type PermissionResolvers = { CHECK_HEALTH: 'check_health', WAKE_DATABASE: 'wake_database', PROVISION: 'provision', READ_CONNECTION: 'read_connection', MANAGE_KEYS: 'manage_keys', MANAGE_MEMBERS: 'manage_members', EDIT_ORGANIZATION: 'edit_organization', DELETE_ORGANIZATION: 'delete_organization' };

export type SslModeResolvers = { DISABLE: 'disable', REQUIRE: 'require', VERIFY_FULL: 'verify-full' };

export type QueryResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Query'] = ResolversParentTypes['Query']> = {
  myOrganizations?: Resolver<ReadonlyArray<ResolversTypes['Organization']>, ParentType, ContextType>;
  provisioningEvents?: Resolver<ReadonlyArray<ResolversTypes['ProvisioningEvent']>, ParentType, ContextType, RequireFields<QueryProvisioningEventsArgs, 'organizationId' | 'first'>>;
  provisioningStatus?: Resolver<Maybe<ResolversTypes['ProvisioningStatus']>, ParentType, ContextType, RequireFields<QueryProvisioningStatusArgs, 'organizationId'>>;
  tenantHealth?: Resolver<Maybe<ResolversTypes['TenantHealth']>, ParentType, ContextType, RequireFields<QueryTenantHealthArgs, 'organizationId'>>;
  tenantHealthHistory?: Resolver<ReadonlyArray<ResolversTypes['TenantHealthPoint']>, ParentType, ContextType, RequireFields<QueryTenantHealthHistoryArgs, 'organizationId' | 'bucket'>>;
  tenantAlerts?: Resolver<ReadonlyArray<ResolversTypes['TenantAlert']>, ParentType, ContextType, RequireFields<QueryTenantAlertsArgs, 'includeResolved' | 'first'>>;
  tenantConnectionInfo?: Resolver<Maybe<ResolversTypes['TenantConnectionInfo']>, ParentType, ContextType, RequireFields<QueryTenantConnectionInfoArgs, 'organizationId' | 'revealPassword'>>;
  apiKeys?: Resolver<ReadonlyArray<ResolversTypes['ApiKey']>, ParentType, ContextType, RequireFields<QueryApiKeysArgs, 'organizationId'>>;
  accessLogins?: Resolver<ReadonlyArray<ResolversTypes['AccessLogin']>, ParentType, ContextType, RequireFields<QueryAccessLoginsArgs, 'organizationId'>>;
  tenants?: Resolver<Maybe<ResolversTypes['TenantPage']>, ParentType, ContextType, RequireFields<QueryTenantsArgs, 'sort'>>;
  tenant?: Resolver<Maybe<ResolversTypes['Tenant']>, ParentType, ContextType, Partial<QueryTenantArgs>>;
  tenantCounts?: Resolver<Maybe<ResolversTypes['TenantCounts']>, ParentType, ContextType>;
  tenantVerification?: Resolver<Maybe<ResolversTypes['TenantVerification']>, ParentType, ContextType, RequireFields<QueryTenantVerificationArgs, 'subject'>>;
  pauses?: Resolver<Maybe<ReadonlyArray<ResolversTypes['Pause']>>, ParentType, ContextType>;
  providers?: Resolver<Maybe<ReadonlyArray<ResolversTypes['ProviderState']>>, ParentType, ContextType>;
  fleetVersions?: Resolver<Maybe<ResolversTypes['FleetVersions']>, ParentType, ContextType>;
  provisioningOptions?: Resolver<ResolversTypes['ProvisioningOptions'], ParentType, ContextType>;
  members?: Resolver<ReadonlyArray<ResolversTypes['OrganizationMember']>, ParentType, ContextType, RequireFields<QueryMembersArgs, 'organizationId' | 'first'>>;
  expectedMembers?: Resolver<Maybe<ReadonlyArray<ResolversTypes['ExpectedMember']>>, ParentType, ContextType, RequireFields<QueryExpectedMembersArgs, 'organizationId'>>;
  myExpectations?: Resolver<ReadonlyArray<ResolversTypes['ExpectedMembership']>, ParentType, ContextType>;
  isOperator?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
};

export type MutationResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Mutation'] = ResolversParentTypes['Mutation']> = {
  provisionTenant?: Resolver<ResolversTypes['ProvisioningRequest'], ParentType, ContextType, RequireFields<MutationProvisionTenantArgs, 'organizationId'>>;
  retryTenantProvisioning?: Resolver<ResolversTypes['ProvisioningRequest'], ParentType, ContextType, RequireFields<MutationRetryTenantProvisioningArgs, 'organizationId'>>;
  cancelProvisioning?: Resolver<ResolversTypes['Cancellation'], ParentType, ContextType, RequireFields<MutationCancelProvisioningArgs, 'organizationId'>>;
  rotateCredentials?: Resolver<ResolversTypes['ProvisioningRequest'], ParentType, ContextType, RequireFields<MutationRotateCredentialsArgs, 'organizationId'>>;
  createOrganization?: Resolver<ResolversTypes['OrganizationResult'], ParentType, ContextType, RequireFields<MutationCreateOrganizationArgs, 'name'>>;
  updateOrganization?: Resolver<ResolversTypes['OrganizationResult'], ParentType, ContextType, RequireFields<MutationUpdateOrganizationArgs, 'organizationId'>>;
  deleteOrganization?: Resolver<ResolversTypes['OrganizationDeletion'], ParentType, ContextType, RequireFields<MutationDeleteOrganizationArgs, 'organizationId' | 'dryRun'>>;
  expectMember?: Resolver<ResolversTypes['ExpectedMember'], ParentType, ContextType, RequireFields<MutationExpectMemberArgs, 'organizationId' | 'email' | 'role'>>;
  withdrawExpectation?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType, RequireFields<MutationWithdrawExpectationArgs, 'organizationId' | 'email'>>;
  acceptMembership?: Resolver<ResolversTypes['Membership'], ParentType, ContextType, RequireFields<MutationAcceptMembershipArgs, 'organizationId'>>;
  declineMembership?: Resolver<ResolversTypes['Membership'], ParentType, ContextType, RequireFields<MutationDeclineMembershipArgs, 'organizationId'>>;
  checkTenantHealth?: Resolver<Maybe<ResolversTypes['TenantHealth']>, ParentType, ContextType, RequireFields<MutationCheckTenantHealthArgs, 'organizationId' | 'deep'>>;
  provisionUserResources?: Resolver<ResolversTypes['ProvisionUserResult'], ParentType, ContextType, RequireFields<MutationProvisionUserResourcesArgs, 'email'>>;
  retryTenants?: Resolver<ResolversTypes['BulkRetry'], ParentType, ContextType, RequireFields<MutationRetryTenantsArgs, 'dryRun' | 'first'>>;
  pauseWork?: Resolver<Maybe<ResolversTypes['Boolean']>, ParentType, ContextType, RequireFields<MutationPauseWorkArgs, 'scope' | 'reason'>>;
  resumeWork?: Resolver<Maybe<ResolversTypes['Boolean']>, ParentType, ContextType, RequireFields<MutationResumeWorkArgs, 'scope'>>;
  moveTenant?: Resolver<ResolversTypes['ProvisioningRequest'], ParentType, ContextType, RequireFields<MutationMoveTenantArgs, 'organizationId' | 'tier' | 'dryRun' | 'withData' | 'leaveExtraTables'>>;
  cancelMove?: Resolver<ResolversTypes['ProvisioningRequest'], ParentType, ContextType, RequireFields<MutationCancelMoveArgs, 'organizationId'>>;
  createApiKey?: Resolver<ResolversTypes['NewApiKey'], ParentType, ContextType, RequireFields<MutationCreateApiKeyArgs, 'organizationId' | 'name' | 'scope'>>;
  renameApiKey?: Resolver<ResolversTypes['ApiKey'], ParentType, ContextType, RequireFields<MutationRenameApiKeyArgs, 'id' | 'name'>>;
  rerollApiKey?: Resolver<ResolversTypes['NewApiKey'], ParentType, ContextType, RequireFields<MutationRerollApiKeyArgs, 'id' | 'graceHours'>>;
  revokeApiKey?: Resolver<ResolversTypes['ApiKey'], ParentType, ContextType, RequireFields<MutationRevokeApiKeyArgs, 'id'>>;
  requestAccess?: Resolver<ResolversTypes['AccessRequest'], ParentType, ContextType, RequireFields<MutationRequestAccessArgs, 'organizationId' | 'role' | 'minutes'>>;
  revealAccess?: Resolver<ResolversTypes['AccessConnection'], ParentType, ContextType, RequireFields<MutationRevealAccessArgs, 'id'>>;
  endAccess?: Resolver<ResolversTypes['AccessLogin'], ParentType, ContextType, RequireFields<MutationEndAccessArgs, 'id'>>;
};

export type SubscriptionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Subscription'] = ResolversParentTypes['Subscription']> = {
  provisioningProgress?: SubscriptionResolver<ResolversTypes['ProvisioningStatus'], "provisioningProgress", ParentType, ContextType, RequireFields<SubscriptionProvisioningProgressArgs, 'organizationId'>>;
};

export type BreakerStateResolvers = { CLOSED: 'closed', OPEN: 'open', HALF_OPEN: 'half_open' };

export type ProviderStateResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ProviderState'] = ResolversParentTypes['ProviderState']> = {
  provider?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  service?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  state?: Resolver<ResolversTypes['BreakerState'], ParentType, ContextType>;
  consecutiveFailures?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  nextTryAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  lastError?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  changedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  callsPerSecond?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  freePercent?: Resolver<ResolversTypes['Float'], ParentType, ContextType>;
  waitSeconds?: Resolver<ResolversTypes['Float'], ParentType, ContextType>;
};

export type FleetVersionsResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['FleetVersions'] = ResolversParentTypes['FleetVersions']> = {
  versions?: Resolver<ReadonlyArray<ResolversTypes['VersionCount']>, ParentType, ContextType>;
  migration?: Resolver<Maybe<ResolversTypes['FleetMigration']>, ParentType, ContextType>;
};

export type VersionCountResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['VersionCount'] = ResolversParentTypes['VersionCount']> = {
  version?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  tenants?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
};

export type FleetMigrationStateResolvers = { CANARY: 'canary', ROLLING: 'rolling', STOPPED: 'stopped', DONE: 'done', CANCELLED: 'cancelled' };

export type FleetMigrationResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['FleetMigration'] = ResolversParentTypes['FleetMigration']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  toVersion?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  state?: Resolver<ResolversTypes['FleetMigrationState'], ParentType, ContextType>;
  stoppedBecause?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  startedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  endedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  tenants?: Resolver<ReadonlyArray<ResolversTypes['FleetTenantCount']>, ParentType, ContextType>;
  errors?: Resolver<ReadonlyArray<ResolversTypes['FleetMigrationError']>, ParentType, ContextType>;
};

export type FleetTenantStateResolvers = { WAITING: 'waiting', ASLEEP: 'asleep', QUEUED: 'queued', DONE: 'done', FAILED: 'failed', LEFT: 'left' };

export type FleetTenantCountResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['FleetTenantCount'] = ResolversParentTypes['FleetTenantCount']> = {
  state?: Resolver<ResolversTypes['FleetTenantState'], ParentType, ContextType>;
  count?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
};

export type FleetMigrationErrorResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['FleetMigrationError'] = ResolversParentTypes['FleetMigrationError']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  slug?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  code?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  message?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type PauseScopeResolvers = { EVERYTHING: 'everything', KIND: 'kind', PROVIDER: 'provider' };

export type PauseResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Pause'] = ResolversParentTypes['Pause']> = {
  scope?: Resolver<ResolversTypes['PauseScope'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  reason?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  pausedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  pausedBy?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
};

export type OrganizationResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Organization'] = ResolversParentTypes['Organization']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  slug?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  role?: Resolver<ResolversTypes['MemberRole'], ParentType, ContextType>;
  permissions?: Resolver<ReadonlyArray<ResolversTypes['Permission']>, ParentType, ContextType>;
  plan?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  ownerId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  stripeCustomerId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  stripeSubscriptionId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  stripeSubscriptionStatus?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  billingEmail?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  dataRegion?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  hostingRegion?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  provisioningStatus?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  provisioning?: Resolver<Maybe<ResolversTypes['ProvisioningStatus']>, ParentType, ContextType>;
  health?: Resolver<Maybe<ResolversTypes['TenantHealth']>, ParentType, ContextType>;
  events?: Resolver<ReadonlyArray<ResolversTypes['ProvisioningEvent']>, ParentType, ContextType, RequireFields<OrganizationEventsArgs, 'first'>>;
  provisionedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  updatedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
};

export type OrganizationResultResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['OrganizationResult'] = ResolversParentTypes['OrganizationResult']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  organization?: Resolver<Maybe<ResolversTypes['Organization']>, ParentType, ContextType>;
};

export type OrganizationDeletionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['OrganizationDeletion'] = ResolversParentTypes['OrganizationDeletion']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  dryRun?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  jobId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  resources?: Resolver<ReadonlyArray<ResolversTypes['PlannedRemoval']>, ParentType, ContextType>;
};

export type PlannedRemovalResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['PlannedRemoval'] = ResolversParentTypes['PlannedRemoval']> = {
  kind?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  externalId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  kept?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  removedAfterHours?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
};

export type OrganizationMemberResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['OrganizationMember'] = ResolversParentTypes['OrganizationMember']> = {
  userId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  role?: Resolver<ResolversTypes['MemberRole'], ParentType, ContextType>;
  fullName?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  email?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  cursor?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type ExpectedMemberResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ExpectedMember'] = ResolversParentTypes['ExpectedMember']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  email?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  role?: Resolver<ResolversTypes['MemberRole'], ParentType, ContextType>;
  expectedBy?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  endsAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
};

export type ExpectedMembershipResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ExpectedMembership'] = ResolversParentTypes['ExpectedMembership']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  organizationName?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  role?: Resolver<ResolversTypes['MemberRole'], ParentType, ContextType>;
  endsAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
};

export type MembershipResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Membership'] = ResolversParentTypes['Membership']> = {
  organizationId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  organization?: Resolver<Maybe<ResolversTypes['Organization']>, ParentType, ContextType>;
};

export type ProvisioningEventResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ProvisioningEvent'] = ResolversParentTypes['ProvisioningEvent']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  eventType?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  resourceType?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  resourceId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  status?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  errorMessage?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  metadata?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  startedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  completedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  cursor?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type ProvisioningStatusResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ProvisioningStatus'] = ResolversParentTypes['ProvisioningStatus']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  revision?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  overall?: Resolver<ResolversTypes['ProvisioningState'], ParentType, ContextType>;
  percent?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  tier?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  attempts?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  nextAttemptAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  error?: Resolver<Maybe<ResolversTypes['ProvisioningError']>, ParentType, ContextType>;
  pausedBecause?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  jobId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  jobStatus?: Resolver<Maybe<ResolversTypes['JobState']>, ParentType, ContextType>;
  services?: Resolver<ReadonlyArray<ResolversTypes['ServiceStatus']>, ParentType, ContextType>;
  steps?: Resolver<ReadonlyArray<ResolversTypes['StepStatus']>, ParentType, ContextType>;
  changedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  provisionedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
};

export type ServiceStatusResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ServiceStatus'] = ResolversParentTypes['ServiceStatus']> = {
  service?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['ServiceState'], ParentType, ContextType>;
  attempts?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  nextAttemptAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  error?: Resolver<Maybe<ResolversTypes['ProvisioningError']>, ParentType, ContextType>;
};

export type StepStatusResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['StepStatus'] = ResolversParentTypes['StepStatus']> = {
  step?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  service?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['StepState'], ParentType, ContextType>;
  attempts?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  nextAttemptAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  startedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  finishedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  error?: Resolver<Maybe<ResolversTypes['ProvisioningError']>, ParentType, ContextType>;
};

export type ProvisioningErrorResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ProvisioningError'] = ResolversParentTypes['ProvisioningError']> = {
  code?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  step?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  retryable?: Resolver<Maybe<ResolversTypes['Boolean']>, ParentType, ContextType>;
};

export type TenantHealthResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantHealth'] = ResolversParentTypes['TenantHealth']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['HealthState'], ParentType, ContextType>;
  reasons?: Resolver<ReadonlyArray<ResolversTypes['HealthReason']>, ParentType, ContextType>;
  metrics?: Resolver<ResolversTypes['HealthMetrics'], ParentType, ContextType>;
  checkedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  connectedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  nextCheckAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
};

export type HealthReasonResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['HealthReason'] = ResolversParentTypes['HealthReason']> = {
  code?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  severity?: Resolver<ResolversTypes['Severity'], ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type HealthMetricsResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['HealthMetrics'] = ResolversParentTypes['HealthMetrics']> = {
  connectMs?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  pooledConnectMs?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  latencyMs?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  transactionsPerSecond?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  cacheHitRatio?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  longestQuerySeconds?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  connections?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  maxConnections?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  sizeBytes?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  quotaBytes?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  growthBytesPerDay?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  schemaVersion?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  schemaDifferences?: Resolver<Maybe<ReadonlyArray<ResolversTypes['String']>>, ParentType, ContextType>;
  schemaLookedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  certificateExpiresAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  certificateIssuer?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type TenantHealthPointResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantHealthPoint'] = ResolversParentTypes['TenantHealthPoint']> = {
  at?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  checks?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  available?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  availability?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  status?: Resolver<Maybe<ResolversTypes['HealthState']>, ParentType, ContextType>;
  minLatencyMs?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  medianLatencyMs?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  p95LatencyMs?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  connections?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  cacheHitRatio?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  sizeBytes?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
};

export type TenantAlertResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantAlert'] = ResolversParentTypes['TenantAlert']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  kind?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  severity?: Resolver<ResolversTypes['Severity'], ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  metadata?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  openedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  escalatedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  resolvedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  cursor?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
};

export type KeyScopeResolvers = { READ: 'read', WRITE: 'write' };

export type KeyStateResolvers = { ACTIVE: 'active', EXPIRED: 'expired', REVOKED: 'revoked' };

export type AccessRoleResolvers = { READ: 'read', APP: 'app', OWNER: 'owner' };

export type AccessLoginResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['AccessLogin'] = ResolversParentTypes['AccessLogin']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  login?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  role?: Resolver<ResolversTypes['AccessRole'], ParentType, ContextType>;
  requestedBy?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  requestedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  madeAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  endsAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  endedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
};

export type AccessRequestResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['AccessRequest'] = ResolversParentTypes['AccessRequest']> = {
  jobId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  login?: Resolver<ResolversTypes['AccessLogin'], ParentType, ContextType>;
};

export type AccessConnectionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['AccessConnection'] = ResolversParentTypes['AccessConnection']> = {
  login?: Resolver<ResolversTypes['AccessLogin'], ParentType, ContextType>;
  host?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  pooledHost?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  port?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  database?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  user?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  sslMode?: Resolver<ResolversTypes['SslMode'], ParentType, ContextType>;
  password?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type ApiKeyResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ApiKey'] = ResolversParentTypes['ApiKey']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  prefix?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  scope?: Resolver<ResolversTypes['KeyScope'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['KeyState'], ParentType, ContextType>;
  requestsPerMinute?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  createdBy?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  lastUsedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  expiresAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  revokedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  replacedBy?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
};

export type NewApiKeyResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['NewApiKey'] = ResolversParentTypes['NewApiKey']> = {
  key?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  apiKey?: Resolver<ResolversTypes['ApiKey'], ParentType, ContextType>;
};

export type TenantConnectionInfoResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantConnectionInfo'] = ResolversParentTypes['TenantConnectionInfo']> = {
  host?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  pooledHost?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  port?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  pooledPort?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  database?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  role?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  sslMode?: Resolver<ResolversTypes['SslMode'], ParentType, ContextType>;
  graphqlEndpoint?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  password?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type TenantSortResolvers = { CREATED_AT_DESC: '-created_at', CREATED_AT_ASC: 'created_at', NAME_ASC: 'name', NAME_DESC: '-name', SLUG_ASC: 'slug', SLUG_DESC: '-slug' };

export type TenantPageResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantPage'] = ResolversParentTypes['TenantPage']> = {
  nodes?: Resolver<ReadonlyArray<ResolversTypes['Tenant']>, ParentType, ContextType>;
  hasNextPage?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  endCursor?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type TenantResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Tenant'] = ResolversParentTypes['Tenant']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  slug?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  plan?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  ownerId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  ownerEmail?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  billingEmail?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  stripeCustomerId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  stripeSubscriptionStatus?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  dataRegion?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  hostingRegion?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['ProvisioningState'], ParentType, ContextType>;
  provisioningStatus?: Resolver<ResolversTypes['JSON'], ParentType, ContextType>;
  provisioning?: Resolver<Maybe<ResolversTypes['ProvisioningStatus']>, ParentType, ContextType>;
  error?: Resolver<Maybe<ResolversTypes['ProvisioningError']>, ParentType, ContextType>;
  jobId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  jobStatus?: Resolver<Maybe<ResolversTypes['JobState']>, ParentType, ContextType>;
  nextAttemptAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  health?: Resolver<ResolversTypes['HealthState'], ParentType, ContextType>;
  healthCheckedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  healthDetails?: Resolver<Maybe<ResolversTypes['TenantHealth']>, ParentType, ContextType>;
  healthHistory?: Resolver<ReadonlyArray<ResolversTypes['TenantHealthPoint']>, ParentType, ContextType, RequireFields<TenantHealthHistoryArgs, 'bucket'>>;
  neonProjectId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  databaseRegion?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  databaseSize?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  schemaVersion?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
  schemaDriftAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  openAlerts?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  alerts?: Resolver<ReadonlyArray<ResolversTypes['TenantAlert']>, ParentType, ContextType, RequireFields<TenantAlertsArgs, 'includeResolved' | 'first'>>;
  events?: Resolver<ReadonlyArray<ResolversTypes['ProvisioningEvent']>, ParentType, ContextType, RequireFields<TenantEventsArgs, 'first'>>;
  provisionedAt?: Resolver<Maybe<ResolversTypes['DateTime']>, ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
  updatedAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
};

export type TenantCountsResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantCounts'] = ResolversParentTypes['TenantCounts']> = {
  total?: Resolver<ResolversTypes['TenantCount'], ParentType, ContextType>;
  byStatus?: Resolver<ReadonlyArray<ResolversTypes['TenantStatusCount']>, ParentType, ContextType>;
  byHealth?: Resolver<ReadonlyArray<ResolversTypes['TenantHealthCount']>, ParentType, ContextType>;
  openAlerts?: Resolver<ResolversTypes['TenantCount'], ParentType, ContextType>;
};

export type TenantCountResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantCount'] = ResolversParentTypes['TenantCount']> = {
  count?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  exact?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
};

export type TenantStatusCountResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantStatusCount'] = ResolversParentTypes['TenantStatusCount']> = {
  status?: Resolver<ResolversTypes['ProvisioningState'], ParentType, ContextType>;
  count?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  exact?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
};

export type TenantHealthCountResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantHealthCount'] = ResolversParentTypes['TenantHealthCount']> = {
  health?: Resolver<ResolversTypes['HealthState'], ParentType, ContextType>;
  count?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  exact?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
};

export type TenantVerificationResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantVerification'] = ResolversParentTypes['TenantVerification']> = {
  subject?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  userId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  organizationId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  tenant?: Resolver<Maybe<ResolversTypes['Tenant']>, ParentType, ContextType>;
  verdict?: Resolver<ResolversTypes['TenantVerdict'], ParentType, ContextType>;
  checks?: Resolver<ReadonlyArray<ResolversTypes['TenantCheck']>, ParentType, ContextType>;
  resources?: Resolver<ReadonlyArray<ResolversTypes['TenantResource']>, ParentType, ContextType>;
  audit?: Resolver<ReadonlyArray<ResolversTypes['AuditEntry']>, ParentType, ContextType>;
};

export type TenantResourceResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantResource'] = ResolversParentTypes['TenantResource']> = {
  service?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  kind?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  externalId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  url?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  state?: Resolver<ResolversTypes['ResourceState'], ParentType, ContextType>;
  parts?: Resolver<ReadonlyArray<ResolversTypes['ResourcePart']>, ParentType, ContextType>;
};

export type ResourcePartResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ResourcePart'] = ResolversParentTypes['ResourcePart']> = {
  id?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  name?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  url?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type ResourceStateResolvers = { PLANNED: 'planned', ACTIVE: 'active', KEPT: 'kept' };

export type VerdictStateResolvers = { READY: 'ready', PROVISIONING: 'provisioning', WAITING: 'waiting', FAILED: 'failed', CANCELLED: 'cancelled', DELETED: 'deleted', NOT_FOUND: 'not_found' };

export type TenantVerdictResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantVerdict'] = ResolversParentTypes['TenantVerdict']> = {
  ready?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  state?: Resolver<ResolversTypes['VerdictState'], ParentType, ContextType>;
  summary?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  check?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  remedy?: Resolver<Maybe<ResolversTypes['Remedy']>, ParentType, ContextType>;
};

export type CheckStateResolvers = { OK: 'ok', WARNING: 'warning', WAITING: 'waiting', FAILED: 'failed' };

export type TenantCheckResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TenantCheck'] = ResolversParentTypes['TenantCheck']> = {
  check?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  status?: Resolver<ResolversTypes['CheckState'], ParentType, ContextType>;
  code?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  found?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  remedy?: Resolver<Maybe<ResolversTypes['Remedy']>, ParentType, ContextType>;
};

export type RemedyResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Remedy'] = ResolversParentTypes['Remedy']> = {
  text?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  actions?: Resolver<ReadonlyArray<ResolversTypes['RemedyAction']>, ParentType, ContextType>;
};

export type RemedyActionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['RemedyAction'] = ResolversParentTypes['RemedyAction']> = {
  action?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  service?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  name?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
};

export type AuditEntryResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['AuditEntry'] = ResolversParentTypes['AuditEntry']> = {
  id?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  action?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  actorType?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  actorId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  resourceType?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  resourceId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  createdAt?: Resolver<ResolversTypes['DateTime'], ParentType, ContextType>;
};

export type ProvisioningOptionsResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ProvisioningOptions'] = ResolversParentTypes['ProvisioningOptions']> = {
  defaultDataRegion?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  defaultTier?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  currency?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  regions?: Resolver<ReadonlyArray<ResolversTypes['RegionOption']>, ParentType, ContextType>;
  sizes?: Resolver<ReadonlyArray<ResolversTypes['SizeOption']>, ParentType, ContextType>;
  tiers?: Resolver<ReadonlyArray<ResolversTypes['TierOption']>, ParentType, ContextType>;
  plans?: Resolver<ReadonlyArray<ResolversTypes['PlanOption']>, ParentType, ContextType>;
};

export type RegionOptionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['RegionOption'] = ResolversParentTypes['RegionOption']> = {
  dataRegion?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  city?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  country?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  latitude?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  longitude?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
};

export type SizeOptionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['SizeOption'] = ResolversParentTypes['SizeOption']> = {
  size?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  minComputeUnits?: Resolver<ResolversTypes['Float'], ParentType, ContextType>;
  maxComputeUnits?: Resolver<ResolversTypes['Float'], ParentType, ContextType>;
  suspendAfterSeconds?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
};

export type TierOptionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['TierOption'] = ResolversParentTypes['TierOption']> = {
  tier?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  services?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
};

export type PlanOptionResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['PlanOption'] = ResolversParentTypes['PlanOption']> = {
  plan?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  label?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  monthlyPrice?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  defaultSize?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  sizes?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
  tiers?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
  storageBytes?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  transferBytes?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  computeSeconds?: Resolver<Maybe<ResolversTypes['Float']>, ParentType, ContextType>;
  historySeconds?: Resolver<ResolversTypes['Float'], ParentType, ContextType>;
};

export type BulkRetryResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['BulkRetry'] = ResolversParentTypes['BulkRetry']> = {
  dryRun?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  matched?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  exact?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  byReason?: Resolver<ReadonlyArray<ResolversTypes['FailureCount']>, ParentType, ContextType>;
  retried?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
  remaining?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
};

export type FailureCountResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['FailureCount'] = ResolversParentTypes['FailureCount']> = {
  code?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  message?: Resolver<ResolversTypes['String'], ParentType, ContextType>;
  count?: Resolver<ResolversTypes['Int'], ParentType, ContextType>;
};

export type ProvisioningRequestResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ProvisioningRequest'] = ResolversParentTypes['ProvisioningRequest']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  jobId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  provisioning?: Resolver<Maybe<ResolversTypes['ProvisioningStatus']>, ParentType, ContextType>;
};

export type CancellationResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['Cancellation'] = ResolversParentTypes['Cancellation']> = {
  organizationId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  jobId?: Resolver<ResolversTypes['ID'], ParentType, ContextType>;
  undoJobId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  provisioning?: Resolver<Maybe<ResolversTypes['ProvisioningStatus']>, ParentType, ContextType>;
};

export type ProvisionUserResultResolvers<ContextType = unknown, ParentType extends ResolversParentTypes['ProvisionUserResult'] = ResolversParentTypes['ProvisionUserResult']> = {
  success?: Resolver<ResolversTypes['Boolean'], ParentType, ContextType>;
  organizationId?: Resolver<Maybe<ResolversTypes['ID']>, ParentType, ContextType>;
  stripeCustomerId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  neonProjectId?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  errors?: Resolver<ReadonlyArray<ResolversTypes['String']>, ParentType, ContextType>;
  code?: Resolver<Maybe<ResolversTypes['String']>, ParentType, ContextType>;
  retryAfterSeconds?: Resolver<Maybe<ResolversTypes['Int']>, ParentType, ContextType>;
};

export type Resolvers<ContextType = unknown> = {
  DateTime?: GraphQLScalarType;
  JSON?: GraphQLScalarType;
  ProvisioningState?: ProvisioningStateResolvers;
  ServiceState?: ServiceStateResolvers;
  StepState?: StepStateResolvers;
  JobState?: JobStateResolvers;
  HealthState?: HealthStateResolvers;
  Severity?: SeverityResolvers;
  MemberRole?: MemberRoleResolvers;
  Permission?: PermissionResolvers;
  SslMode?: SslModeResolvers;
  Query?: QueryResolvers<ContextType>;
  Mutation?: MutationResolvers<ContextType>;
  Subscription?: SubscriptionResolvers<ContextType>;
  BreakerState?: BreakerStateResolvers;
  ProviderState?: ProviderStateResolvers<ContextType>;
  FleetVersions?: FleetVersionsResolvers<ContextType>;
  VersionCount?: VersionCountResolvers<ContextType>;
  FleetMigrationState?: FleetMigrationStateResolvers;
  FleetMigration?: FleetMigrationResolvers<ContextType>;
  FleetTenantState?: FleetTenantStateResolvers;
  FleetTenantCount?: FleetTenantCountResolvers<ContextType>;
  FleetMigrationError?: FleetMigrationErrorResolvers<ContextType>;
  PauseScope?: PauseScopeResolvers;
  Pause?: PauseResolvers<ContextType>;
  Organization?: OrganizationResolvers<ContextType>;
  OrganizationResult?: OrganizationResultResolvers<ContextType>;
  OrganizationDeletion?: OrganizationDeletionResolvers<ContextType>;
  PlannedRemoval?: PlannedRemovalResolvers<ContextType>;
  OrganizationMember?: OrganizationMemberResolvers<ContextType>;
  ExpectedMember?: ExpectedMemberResolvers<ContextType>;
  ExpectedMembership?: ExpectedMembershipResolvers<ContextType>;
  Membership?: MembershipResolvers<ContextType>;
  ProvisioningEvent?: ProvisioningEventResolvers<ContextType>;
  ProvisioningStatus?: ProvisioningStatusResolvers<ContextType>;
  ServiceStatus?: ServiceStatusResolvers<ContextType>;
  StepStatus?: StepStatusResolvers<ContextType>;
  ProvisioningError?: ProvisioningErrorResolvers<ContextType>;
  TenantHealth?: TenantHealthResolvers<ContextType>;
  HealthReason?: HealthReasonResolvers<ContextType>;
  HealthMetrics?: HealthMetricsResolvers<ContextType>;
  TenantHealthPoint?: TenantHealthPointResolvers<ContextType>;
  TenantAlert?: TenantAlertResolvers<ContextType>;
  KeyScope?: KeyScopeResolvers;
  KeyState?: KeyStateResolvers;
  AccessRole?: AccessRoleResolvers;
  AccessLogin?: AccessLoginResolvers<ContextType>;
  AccessRequest?: AccessRequestResolvers<ContextType>;
  AccessConnection?: AccessConnectionResolvers<ContextType>;
  ApiKey?: ApiKeyResolvers<ContextType>;
  NewApiKey?: NewApiKeyResolvers<ContextType>;
  TenantConnectionInfo?: TenantConnectionInfoResolvers<ContextType>;
  TenantSort?: TenantSortResolvers;
  TenantPage?: TenantPageResolvers<ContextType>;
  Tenant?: TenantResolvers<ContextType>;
  TenantCounts?: TenantCountsResolvers<ContextType>;
  TenantCount?: TenantCountResolvers<ContextType>;
  TenantStatusCount?: TenantStatusCountResolvers<ContextType>;
  TenantHealthCount?: TenantHealthCountResolvers<ContextType>;
  TenantVerification?: TenantVerificationResolvers<ContextType>;
  TenantResource?: TenantResourceResolvers<ContextType>;
  ResourcePart?: ResourcePartResolvers<ContextType>;
  ResourceState?: ResourceStateResolvers;
  VerdictState?: VerdictStateResolvers;
  TenantVerdict?: TenantVerdictResolvers<ContextType>;
  CheckState?: CheckStateResolvers;
  TenantCheck?: TenantCheckResolvers<ContextType>;
  Remedy?: RemedyResolvers<ContextType>;
  RemedyAction?: RemedyActionResolvers<ContextType>;
  AuditEntry?: AuditEntryResolvers<ContextType>;
  ProvisioningOptions?: ProvisioningOptionsResolvers<ContextType>;
  RegionOption?: RegionOptionResolvers<ContextType>;
  SizeOption?: SizeOptionResolvers<ContextType>;
  TierOption?: TierOptionResolvers<ContextType>;
  PlanOption?: PlanOptionResolvers<ContextType>;
  BulkRetry?: BulkRetryResolvers<ContextType>;
  FailureCount?: FailureCountResolvers<ContextType>;
  ProvisioningRequest?: ProvisioningRequestResolvers<ContextType>;
  Cancellation?: CancellationResolvers<ContextType>;
  ProvisionUserResult?: ProvisionUserResultResolvers<ContextType>;
};

