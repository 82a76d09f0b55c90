const ADJECTIVES = [
  'autumn',
  'bold',
  'calm',
  'dawn',
  'fancy',
  'green',
  'late',
  'quiet',
  'royal',
  'silent',
  'spring',
  'wispy',
]
const NOUNS = [
  'bird',
  'cell',
  'dust',
  'field',
  'grass',
  'haze',
  'leaf',
  'moon',
  'night',
  'rain',
  'river',
  'wave',
]

/** An id in Neon's style, such as `quiet-river-1a2b3c4d5e6f`, with a prefix (`br`, `ep`) where Neon has one. */
export function newId(prefix?: string): string {
  const [first = 0, second = 0] = crypto.getRandomValues(new Uint8Array(2))
  const words = [ADJECTIVES[first % ADJECTIVES.length], NOUNS[second % NOUNS.length]]
  const unique = crypto.randomUUID().replaceAll('-', '').slice(0, 12)
  return [...(prefix === undefined ? [] : [prefix]), ...words, unique].join('-')
}
