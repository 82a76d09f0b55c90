/** Milliseconds since the Unix epoch. Tests pass one that they move by hand. */
export type Clock = () => number

/** What the APIs write for a moment: ISO 8601 in UTC with whole seconds, as Neon does. */
export function isoSeconds(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19)}Z`
}
