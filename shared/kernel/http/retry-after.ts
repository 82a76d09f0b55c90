/** The Retry-After header in seconds; undefined for a date, and for anything else that is no number of seconds. */
export function retryAfterSeconds(header: unknown): number | undefined {
  const value = Number(header)
  return typeof header === 'string' && Number.isFinite(value) && value >= 0 ? value : undefined
}
