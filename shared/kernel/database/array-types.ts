/**
 * What postgres.js otherwise asks of each new connection: how to write arrays, of text and uuid here. Nobody awaits that
 * query of its own, so a connection that is lost in the middle of it ends the whole process. Results have no arrays:
 * let SQL make JSON of them.
 */
export const knownArrays = {
  fetch_types: false,
  types: {
    array: { to: 1009, from: [1009, 2951], serialize: arrayLiteral, parse: refuse },
  },
}

/** Postgres's text form of an array; numbers and ids need no quotes but may have them. */
export function arrayLiteral(values: readonly (string | number)[]): string {
  return `{${values.map((value) => `"${String(value).replace(/["\\]/g, '\\$&')}"`).join(',')}}`
}

function refuse(literal: string): never {
  throw new Error(`an array was selected (${literal}); select to_jsonb of it`)
}
