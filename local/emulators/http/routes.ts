/** A vendor's operation by its id, with method and path; `{name}` stands for one segment. */
export type Route<Id extends string> = readonly [operation: Id, method: string, template: string]

export interface Matched<Id extends string> {
  readonly operation: Id
  readonly path: Readonly<Record<string, string>>
}

/** @returns what finds the operation of a request, the first that matches */
export function createRouter<Id extends string>(
  routes: readonly Route<Id>[],
): (method: string, path: string) => Matched<Id> | undefined {
  const parsed = routes.map(([operation, method, template]) => ({
    operation,
    method,
    segments: template.split('/').slice(1),
  }))
  return (method, path) => {
    const actual = path.split('/').slice(1)
    for (const { operation, method: wanted, segments } of parsed) {
      if (wanted !== method) continue
      const parameters = matchSegments(segments, actual)
      if (parameters) return { operation, path: parameters }
    }
    return undefined
  }
}

function matchSegments(
  template: readonly string[],
  actual: readonly string[],
): Record<string, string> | undefined {
  if (template.length !== actual.length) return undefined
  const parameters: Record<string, string> = {}
  for (const [index, segment] of template.entries()) {
    const value = actual[index] ?? ''
    if (segment.startsWith('{')) parameters[segment.slice(1, -1)] = decoded(value)
    else if (segment !== value) return undefined
  }
  return parameters
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}
