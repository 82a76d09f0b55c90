/** The page that somebody wanted before they signed in: one of ours, and no other site's. */
export function readTarget({ to }: Readonly<Record<string, unknown>>): { to?: string } {
  return typeof to === 'string' && /^\/(?![/\\])/.test(to) ? { to } : {}
}
