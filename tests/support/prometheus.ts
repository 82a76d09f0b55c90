/** One sample of Prometheus's text format. */
export interface Sample {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface Exposition {
  /** What HELP and TYPE say, by metric. */
  readonly families: ReadonlyMap<string, { readonly help: string; readonly type: string }>
  readonly samples: readonly Sample[]
}

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = String.raw`([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"`
const SAMPLE = new RegExp(String.raw`^(${NAME})(?:\{((?:${LABEL}(?:,|(?=\})))*)\})? (\S+)$`)
const VALUES: Readonly<Record<string, number>> = {
  '+Inf': Number.POSITIVE_INFINITY,
  '-Inf': Number.NEGATIVE_INFINITY,
  NaN: Number.NaN,
}

/**
 * Reads the text format, version 0.0.4, as strictly as Prometheus does.
 * @throws Error for a line that is not in the format, a sample without a type, a label twice, or a series twice
 */
export function parsePrometheus(text: string): Exposition {
  if (!text.endsWith('\n')) throw new Error('the last line has no end')
  const families = new Map<string, { help: string; type: string }>()
  const samples: Sample[] = []
  const seen = new Set<string>()
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const comment = new RegExp(`^# (HELP|TYPE) (${NAME}) (.*)$`).exec(line)
    if (comment) {
      const [, what = '', name = '', rest = ''] = comment
      const family = families.get(name) ?? { help: '', type: '' }
      families.set(name, what === 'HELP' ? { ...family, help: rest } : { ...family, type: rest })
      continue
    }
    const sample = sampleOf(line)
    if (!families.get(sample.name)?.type) throw new Error(`without a type: ${line}`)
    const series = `${sample.name} ${JSON.stringify(Object.entries(sample.labels).sort())}`
    if (seen.has(series)) throw new Error(`a second time: ${line}`)
    seen.add(series)
    samples.push(sample)
  }
  return { families, samples }
}

function sampleOf(line: string): Sample {
  const match = SAMPLE.exec(line)
  const [, name = '', labels = ''] = match ?? []
  const given = match?.at(-1) ?? ''
  const value = VALUES[given] ?? (given === '' ? Number.NaN : Number(given))
  if (!match || (Number.isNaN(value) && given !== 'NaN')) throw new Error(`no sample: ${line}`)
  const pairs = [...labels.matchAll(new RegExp(LABEL, 'g'))].map(
    ([, label = '', text = '']) =>
      [label, text.replace(/\\(["\\n])/g, (_, c) => (c === 'n' ? '\n' : c))] as const,
  )
  const found = Object.fromEntries(pairs)
  if (Object.keys(found).length < pairs.length) throw new Error(`a label twice: ${line}`)
  return { name, labels: found, value }
}
