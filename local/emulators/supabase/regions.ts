interface Region {
  readonly name: string
  readonly group: 'americas' | 'emea' | 'apac'
}

/** Where projects run. None is in Africa, so `af-south-1` is not among them. A project's region cannot be changed. */
const REGIONS: Readonly<Record<string, Region>> = {
  'us-east-1': { name: 'East US (North Virginia)', group: 'americas' },
  'us-east-2': { name: 'East US (Ohio)', group: 'americas' },
  'us-west-1': { name: 'West US (North California)', group: 'americas' },
  'us-west-2': { name: 'West US (Oregon)', group: 'americas' },
  'ca-central-1': { name: 'Canada (Central)', group: 'americas' },
  'sa-east-1': { name: 'South America (São Paulo)', group: 'americas' },
  'eu-west-1': { name: 'West EU (Ireland)', group: 'emea' },
  'eu-west-2': { name: 'West Europe (London)', group: 'emea' },
  'eu-west-3': { name: 'West EU (Paris)', group: 'emea' },
  'eu-north-1': { name: 'North EU (Stockholm)', group: 'emea' },
  'eu-central-1': { name: 'Central EU (Frankfurt)', group: 'emea' },
  'eu-central-2': { name: 'Central Europe (Zurich)', group: 'emea' },
  'ap-south-1': { name: 'South Asia (Mumbai)', group: 'apac' },
  'ap-southeast-1': { name: 'Southeast Asia (Singapore)', group: 'apac' },
  'ap-southeast-2': { name: 'Oceania (Sydney)', group: 'apac' },
  'ap-northeast-1': { name: 'Northeast Asia (Tokyo)', group: 'apac' },
  'ap-northeast-2': { name: 'Northeast Asia (Seoul)', group: 'apac' },
  'ap-east-1': { name: 'East Asia (Hong Kong)', group: 'apac' },
}

const GROUPS = { americas: 'Americas', emea: 'Europe', apac: 'Asia-Pacific' } as const
/** Where a project comes that names only a part of the world. */
const FIRST_OF_GROUP = { americas: 'us-east-1', emea: 'eu-central-1', apac: 'ap-southeast-1' } as const

export function regionOfGroup(group: keyof typeof FIRST_OF_GROUP): string {
  return FIRST_OF_GROUP[group]
}

/** As `GET /v1/projects/available-regions` lists them. */
export function regionsJson() {
  const specific = Object.entries(REGIONS).map(([code, { name }]) => ({
    ...{ name, code, provider: 'AWS' },
    type: 'specific',
  }))
  const groups = Object.entries(GROUPS).map(([code, name]) => ({ name, code, type: 'smartGroup' }))
  return {
    recommendations: { smartGroup: groups[0], specific: specific.slice(0, 1) },
    all: { smartGroup: groups, specific },
  }
}
