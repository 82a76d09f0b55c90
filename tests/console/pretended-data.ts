/** What the API tells the pages in tests that are about the pages alone. */

const at = (hoursAgo: number) => new Date(Date.now() - hoursAgo * 3_600_000).toISOString()

export const ORGANIZATION = {
  id: '01980000-0000-7000-8000-000000000001',
  ownerId: '01980000-0000-7000-8000-00000000000a',
  name: 'Ann’s bakery',
  slug: 'anns-bakery',
  role: 'OWNER',
  plan: 'free',
  permissions: [
    'CHECK_HEALTH',
    'PROVISION',
    'WAKE_DATABASE',
    'READ_CONNECTION',
    'MANAGE_KEYS',
    'MANAGE_MEMBERS',
    'EDIT_ORGANIZATION',
    'DELETE_ORGANIZATION',
  ],
  provisioningStatus: { overall: 'ready' },
  provisionedAt: at(5),
  createdAt: at(6),
}

const step = (name: string, service: string) => ({
  step: name,
  service,
  status: 'SUCCEEDED',
  attempts: 1,
  nextAttemptAt: null,
  startedAt: at(5.01),
  finishedAt: at(5),
  error: null,
})

const progress = {
  organizationId: ORGANIZATION.id,
  revision: '1',
  overall: 'READY',
  percent: 100,
  attempts: 1,
  nextAttemptAt: null,
  pausedBecause: null,
  jobStatus: 'SUCCEEDED',
  changedAt: at(5),
  provisionedAt: at(5),
  error: null,
  services: [{ service: 'stripe', status: 'READY' }],
  steps: [step('stripe_customer', 'stripe'), step('neon_project', 'neon'), step('verify_connection', 'neon')],
}

const begun = {
  ...progress,
  overall: 'PENDING',
  percent: 0,
  jobStatus: 'QUEUED',
  provisionedAt: null,
  steps: [],
  services: [],
}

const key = {
  id: '01980000-0000-7000-8000-0000000000c1',
  organizationId: ORGANIZATION.id,
  name: 'Website',
  prefix: 'tdk_1a2b3c',
  scope: 'READ',
  status: 'ACTIVE',
  requestsPerMinute: null,
  createdAt: at(30),
  lastUsedAt: at(0.2),
  expiresAt: at(-2_000),
  revokedAt: null,
  replacedBy: null,
}

const tenant = {
  id: ORGANIZATION.id,
  name: ORGANIZATION.name,
  slug: ORGANIZATION.slug,
  plan: 'free',
  ownerId: ORGANIZATION.ownerId,
  ownerEmail: 'ann@example.com',
  dataRegion: 'eu-central-1',
  status: 'READY',
  health: 'HEALTHY',
  healthCheckedAt: at(0.1),
  databaseSize: 'small',
  schemaVersion: 2,
  schemaDriftAt: null,
  openAlerts: 0,
  nextAttemptAt: null,
  createdAt: at(6),
  error: null,
  provisionedAt: at(5),
  stripeCustomerId: 'cus_1',
  neonProjectId: 'project-1',
  jobStatus: 'SUCCEEDED',
  provisioning: progress,
  alerts: [],
  events: [],
}

const bulk = {
  dryRun: true,
  matched: 3,
  exact: true,
  retried: 0,
  remaining: 3,
  byReason: [{ code: 'neon_request_refused', message: 'Neon refused the request.', count: 3 }],
}

/** Of every field of the schema that a page asks for. */
export const ALL = {
  isOperator: true,
  myOrganizations: [ORGANIZATION],
  provisioningStatus: progress,
  provisioningProgress: progress,
  provisioningOptions: {
    defaultDataRegion: 'eu-central-1',
    defaultTier: 'database',
    currency: 'usd',
    regions: [
      {
        dataRegion: 'eu-central-1',
        label: 'Europe (Frankfurt)',
        city: 'Frankfurt',
        country: 'DE',
        latitude: 50.1,
        longitude: 8.7,
      },
    ],
    sizes: [
      {
        size: 'small',
        label: 'To begin with',
        minComputeUnits: 0.25,
        maxComputeUnits: 1,
        suspendAfterSeconds: 300,
      },
    ],
    tiers: [
      { tier: 'database', label: 'A database of its own', services: ['stripe', 'neon', 'graphql'] },
      { tier: 'project', label: 'A project of its own', services: ['stripe', 'supabase', 'github'] },
    ],
    plans: [
      {
        plan: 'free',
        label: 'Free',
        monthlyPrice: 0,
        defaultSize: 'small',
        sizes: ['small'],
        tiers: ['database'],
        storageBytes: 512 * 1024 * 1024,
        transferBytes: null,
        computeSeconds: null,
        historySeconds: 86_400,
      },
    ],
  },
  tenantHealth: {
    organizationId: ORGANIZATION.id,
    status: 'HEALTHY',
    reasons: [],
    metrics: {
      latencyMs: 2.1,
      connections: 3,
      maxConnections: 112,
      cacheHitRatio: 0.99,
      sizeBytes: 8_300_000,
      quotaBytes: 500_000_000,
      schemaVersion: 2,
      schemaDifferences: ['table public.deals is changed'],
    },
    checkedAt: at(0.1),
    connectedAt: at(0.1),
    nextCheckAt: at(-0.1),
  },
  tenantHealthHistory: [3, 2, 1].map((hours) => ({
    at: at(hours),
    checks: 6,
    available: 6,
    availability: 1,
    status: null,
    medianLatencyMs: 2 + hours / 10,
    p95LatencyMs: 4,
    connections: 3,
    cacheHitRatio: 0.99,
    sizeBytes: 8_000_000,
  })),
  tenantAlerts: [],
  tenantConnectionInfo: {
    host: 'db.example.com',
    pooledHost: 'pool.example.com',
    port: 5432,
    pooledPort: 6543,
    database: 'tenant',
    role: 'app_1',
    sslMode: 'VERIFY_FULL',
    graphqlEndpoint: 'https://abc.supabase.co/functions/v1/tenant-graphql',
    password: null,
  },
  myExpectations: [
    {
      organizationId: ORGANIZATION.id,
      organizationName: ORGANIZATION.name,
      role: 'MEMBER',
      endsAt: at(-100),
    },
  ],
  acceptMembership: { organizationId: ORGANIZATION.id },
  declineMembership: { organizationId: null },
  members: [
    {
      userId: ORGANIZATION.ownerId,
      organizationId: ORGANIZATION.id,
      role: 'OWNER',
      fullName: 'Ann Archer',
      email: 'ann@example.com',
      createdAt: at(6),
      cursor: 'first',
    },
  ],
  expectMember: { id: '01980000-0000-7000-8000-0000000000d2' },
  withdrawExpectation: true,
  updateOrganization: { organizationId: ORGANIZATION.id },
  apiKeys: [key],
  expectedMembers: [
    {
      id: '01980000-0000-7000-8000-0000000000d1',
      organizationId: ORGANIZATION.id,
      email: 'bob@example.com',
      role: 'MEMBER',
      createdAt: at(1),
      endsAt: at(-100),
    },
  ],
  tenants: { nodes: [tenant], hasNextPage: false, endCursor: null },
  tenantCounts: {
    total: { count: 1_234, exact: true },
    byStatus: [
      { status: 'READY', count: 1_230, exact: true },
      { status: 'PROVISIONING', count: 1, exact: true },
      { status: 'FAILED', count: 3, exact: true },
    ],
    byHealth: [{ health: 'UNHEALTHY', count: 1, exact: true }],
    openAlerts: { count: 1, exact: true },
  },
  pauses: [],
  retryTenants: bulk,
  createOrganization: { organizationId: ORGANIZATION.id, organization: ORGANIZATION },
  retryTenantProvisioning: { jobId: '01980000-0000-7000-8000-0000000000e3', provisioning: progress },
  createApiKey: { key: 'tdk_shown_once', apiKey: key },
  renameApiKey: key,
  rerollApiKey: { key: 'tdk_replacement', apiKey: key },
  revokeApiKey: key,
  rotateCredentials: { organizationId: ORGANIZATION.id, jobId: '01980000-0000-7000-8000-0000000000e2' },
  provisionTenant: { organizationId: ORGANIZATION.id, jobId: '01980000-0000-7000-8000-0000000000e1' },
  providers: [
    {
      provider: 'neon',
      service: 'neon',
      label: 'Neon',
      state: 'CLOSED',
      consecutiveFailures: 0,
      nextTryAt: null,
      lastError: null,
      changedAt: at(9),
      callsPerSecond: 10,
      freePercent: 97,
      waitSeconds: 0,
    },
  ],
  fleetVersions: { versions: [{ version: 2, tenants: 1_230 }], migration: null },
  tenantVerification: {
    subject: ORGANIZATION.id,
    organizationId: ORGANIZATION.id,
    verdict: { ready: true, state: 'READY', summary: 'The tenant is ready.', check: null, remedy: null },
    checks: [{ check: 'profile', status: 'OK', code: null, found: 'There is a profile.', remedy: null }],
    tenant,
    audit: [],
  },
}

/** Where there is nothing to be shown. */
export const NOTHING = {
  myOrganizations: [],
  provisioningStatus: begun,
  provisioningProgress: begun,
  provisioningOptions: { ...ALL.provisioningOptions, regions: [], sizes: [], plans: [] },
  tenantHealth: null,
  myExpectations: [],
  apiKeys: [],
  members: [],
  expectedMembers: [],
  tenants: { nodes: [], hasNextPage: false, endCursor: null },
  tenantCounts: {
    total: { count: 0, exact: true },
    byStatus: ['READY', 'PROVISIONING', 'FAILED'].map((status) => ({ status, count: 0, exact: true })),
    byHealth: [],
    openAlerts: { count: 0, exact: true },
  },
  retryTenants: { ...bulk, matched: 0, remaining: 0, byReason: [] },
  providers: [],
  fleetVersions: { versions: [], migration: null },
  tenantVerification: {
    subject: ORGANIZATION.id,
    organizationId: null,
    verdict: {
      ready: false,
      state: 'NOT_FOUND',
      summary: 'There is no such tenant.',
      check: null,
      remedy: null,
    },
    checks: [],
    tenant: null,
    audit: [],
  },
}

/** Of the tenant's own endpoint: its tables. */
export const TABLES_ANSWER = {
  data: {
    data: {
      __schema: {
        queryType: {
          fields: [
            { name: 'users', args: [{ name: 'first' }], type: { name: 'UsersConnection', ofType: null } },
          ],
        },
      },
    },
  },
  nothing: { data: { __schema: { queryType: { fields: [] } } } },
}
