/** Where the project is: `config.json` beside the pages, so that one build serves every project. */
export interface Config {
  readonly url: string
  readonly publishableKey: string
}

/** @throws Error that says what to do */
export async function readConfig(): Promise<Config> {
  const response = await fetch(`${import.meta.env.BASE_URL}config.json`, { cache: 'no-cache' })
  const found: unknown = response.ok ? await response.json().catch(() => null) : null
  if (isConfig(found)) return { ...found, url: found.url.replace(/\/$/, '') }
  throw new Error('config.json beside this page names no project: it needs "url" and "publishableKey".')
}

function isConfig(value: unknown): value is Config {
  return (
    typeof value === 'object' &&
    value !== null &&
    'url' in value &&
    typeof value.url === 'string' &&
    value.url !== '' &&
    'publishableKey' in value &&
    typeof value.publishableKey === 'string'
  )
}
