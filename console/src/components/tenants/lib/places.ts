interface Place {
  readonly latitude: number
  readonly longitude: number
}

/** Roughly where the people of a time zone are: a city of each of its parts. Nobody has to be asked for their location. */
const ZONES: readonly (readonly [RegExp, Place])[] = [
  [
    /^America\/(Los_Angeles|Vancouver|Tijuana|Phoenix|Denver|Boise|Edmonton)/,
    { latitude: 37.8, longitude: -122.4 },
  ],
  [/^America\/(Chicago|Winnipeg|Mexico_City|Monterrey)/, { latitude: 41.9, longitude: -87.6 }],
  [
    /^America\/(Sao_Paulo|Bahia|Fortaleza|Recife|Argentina|Buenos_Aires|Montevideo|Santiago|Asuncion)/,
    { latitude: -23.5, longitude: -46.6 },
  ],
  [/^America\/(Lima|Bogota|Caracas|Guayaquil|La_Paz)/, { latitude: 4.7, longitude: -74.1 }],
  [/^America\//, { latitude: 40.7, longitude: -74 }],
  [/^Europe\/(London|Dublin|Lisbon)|^Atlantic\//, { latitude: 51.5, longitude: -0.1 }],
  [/^Europe\/(Moscow|Istanbul|Kiev|Kyiv|Helsinki|Bucharest|Athens)/, { latitude: 50.4, longitude: 30.5 }],
  [/^Europe\//, { latitude: 50.1, longitude: 8.7 }],
  [/^Africa\/(Johannesburg|Maputo|Harare)/, { latitude: -26.2, longitude: 28 }],
  [/^Africa\//, { latitude: 6.5, longitude: 3.4 }],
  [/^Asia\/(Kolkata|Calcutta|Karachi|Dhaka|Colombo|Kathmandu)/, { latitude: 19.1, longitude: 72.9 }],
  [/^Asia\/(Dubai|Riyadh|Tehran|Baghdad|Jerusalem|Beirut)/, { latitude: 25.2, longitude: 55.3 }],
  [/^Asia\/(Tokyo|Seoul)/, { latitude: 35.7, longitude: 139.7 }],
  [/^Asia\/(Shanghai|Hong_Kong|Taipei|Manila)/, { latitude: 22.3, longitude: 114.2 }],
  [/^Asia\//, { latitude: 1.4, longitude: 103.8 }],
  [/^(Australia|Pacific)\//, { latitude: -33.9, longitude: 151.2 }],
]

export function placeOfZone(zone: string): Place | undefined {
  return ZONES.find(([pattern]) => pattern.test(zone))?.[1]
}

const EARTH_RADIUS_KM = 6_371
const radians = (degrees: number) => (degrees * Math.PI) / 180

/** Along the surface of the earth, by the haversine formula. */
export function distanceKm(from: Place, to: Place): number {
  const [north, east] = [radians(to.latitude - from.latitude), radians(to.longitude - from.longitude)]
  const half =
    Math.sin(north / 2) ** 2 +
    Math.cos(radians(from.latitude)) * Math.cos(radians(to.latitude)) * Math.sin(east / 2) ** 2
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(half))
}
