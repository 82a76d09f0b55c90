/** What can be chosen when a tenant is provisioned. */
export const OPTIONS = /* GraphQL */ `
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
`
