/** Enums whose words in the database are the same in lower case, as resolvers: the schema's name and the database's value. */
const SAME_WORDS = {
  ProvisioningState: ['PENDING', 'PROVISIONING', 'READY', 'FAILED', 'CANCELLED'],
  ServiceState: ['PENDING', 'RUNNING', 'RETRYING', 'READY', 'FAILED', 'CANCELLED', 'NOT_REQUESTED'],
  StepState: ['PENDING', 'RUNNING', 'RETRYING', 'SUCCEEDED', 'FAILED', 'CANCELLED'],
  JobState: ['QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED'],
  HealthState: ['UNKNOWN', 'HEALTHY', 'DEGRADED', 'UNHEALTHY', 'SLEEPING'],
  Severity: ['INFO', 'WARNING', 'CRITICAL'],
  MemberRole: ['OWNER', 'ADMIN', 'MEMBER'],
  Permission: [
    'CHECK_HEALTH',
    'WAKE_DATABASE',
    'PROVISION',
    'READ_CONNECTION',
    'MANAGE_KEYS',
    'MANAGE_MEMBERS',
    'EDIT_ORGANIZATION',
    'DELETE_ORGANIZATION',
  ],
  VerdictState: ['READY', 'PROVISIONING', 'WAITING', 'FAILED', 'CANCELLED', 'DELETED', 'NOT_FOUND'],
  PauseScope: ['EVERYTHING', 'KIND', 'PROVIDER'],
  BreakerState: ['CLOSED', 'OPEN', 'HALF_OPEN'],
  FleetMigrationState: ['CANARY', 'ROLLING', 'STOPPED', 'DONE', 'CANCELLED'],
  FleetTenantState: ['WAITING', 'ASLEEP', 'QUEUED', 'DONE', 'FAILED', 'LEFT'],
  AccessRole: ['READ', 'APP', 'OWNER'],
  KeyScope: ['READ', 'WRITE'],
  KeyState: ['ACTIVE', 'EXPIRED', 'REVOKED'],
  ResourceState: ['PLANNED', 'ACTIVE', 'KEPT'],
  CheckState: ['OK', 'WARNING', 'WAITING', 'FAILED'],
} as const

export const enums: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  ...Object.fromEntries(
    Object.entries(SAME_WORDS).map(([name, words]) => [
      name,
      Object.fromEntries(words.map((word) => [word, word.toLowerCase()])),
    ]),
  ),
  SslMode: { DISABLE: 'disable', REQUIRE: 'require', VERIFY_FULL: 'verify-full' },
  TenantSort: {
    CREATED_AT_DESC: '-created_at',
    CREATED_AT_ASC: 'created_at',
    NAME_ASC: 'name',
    NAME_DESC: '-name',
    SLUG_ASC: 'slug',
    SLUG_DESC: '-slug',
  },
}
