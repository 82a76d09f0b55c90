/** API keys, logins for a time, and how to connect. */
export const ACCESS = /* GraphQL */ `
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
`
