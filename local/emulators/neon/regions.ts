interface Region {
  readonly name: string
  readonly latitude: string
  readonly longitude: string
}

/** Where Neon runs projects. A project's region cannot be changed. */
const REGIONS: Readonly<Record<string, Region>> = {
  'aws-us-east-1': { name: 'AWS US East 1 (N. Virginia)', latitude: '38.13', longitude: '-78.45' },
  'aws-us-east-2': { name: 'AWS US East 2 (Ohio)', latitude: '39.96', longitude: '-83.00' },
  'aws-us-west-2': { name: 'AWS US West 2 (Oregon)', latitude: '46.15', longitude: '-123.88' },
  'aws-eu-central-1': { name: 'AWS Europe Central 1 (Frankfurt)', latitude: '50.11', longitude: '8.68' },
  'aws-eu-west-2': { name: 'AWS Europe West 2 (London)', latitude: '51.51', longitude: '-0.13' },
  'aws-ap-southeast-1': { name: 'AWS Asia Pacific 1 (Singapore)', latitude: '1.37', longitude: '103.80' },
  'aws-ap-southeast-2': { name: 'AWS Asia Pacific 2 (Sydney)', latitude: '-33.87', longitude: '151.21' },
  'aws-sa-east-1': { name: 'AWS South America East 1 (São Paulo)', latitude: '-23.55', longitude: '-46.63' },
  'azure-eastus2': { name: 'Azure East US 2 (Virginia)', latitude: '36.68', longitude: '-78.39' },
  'azure-westus3': { name: 'Azure West US 3 (Arizona)', latitude: '33.45', longitude: '-112.07' },
  'azure-gwc': { name: 'Azure Germany West Central (Frankfurt)', latitude: '50.11', longitude: '8.68' },
}

export const DEFAULT_REGION = 'aws-us-east-1'

export function isRegion(id: string): boolean {
  return Object.hasOwn(REGIONS, id)
}

/** As `GET /regions` lists them. */
export function regionList() {
  return Object.entries(REGIONS).map(([region_id, { name, latitude, longitude }]) => ({
    region_id,
    name,
    default: region_id === DEFAULT_REGION,
    geo_lat: latitude,
    geo_long: longitude,
  }))
}
