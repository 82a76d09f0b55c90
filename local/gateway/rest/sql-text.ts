/** Values of a statement in the making; each is sent apart from the text, never inside it. */
export class Parameters {
  readonly values: string[] = []

  /** The value's place. Postgres finds out its type as it does for a literal, from where it stands. */
  bind(value: string): string {
    this.values.push(value)
    return `$${this.values.length}`
  }
}

export function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}
