import {
  type DocumentNode,
  GraphQLError,
  getOperationAST,
  type OperationDefinitionNode,
  parse,
  validate,
} from 'graphql'
import { Problem } from '../kernel/http/problem.ts'
import { assertModest, MAX_TOKENS } from './limits.ts'
import { createRemembered } from './remembered.ts'
import type { ServedSchema } from './versions.ts'

/** A document that is valid for a schema, or what is wrong with it. */
export type Checked =
  | { readonly document: DocumentNode; readonly errors?: undefined }
  | { readonly errors: readonly GraphQLError[] }

/** So many are kept, of those that are not larger than that. */
const MOST = 100
const MOST_CHARACTERS = 16 * 1024
const MOST_ERRORS = 5

/** @returns a function that parses and validates; it throws Problem for what asks for too much to be looked at */
export function createDocuments(): (served: ServedSchema, text: string) => Checked {
  const known = createRemembered<Checked>(MOST)
  return (served, text) => {
    const key = `${served.version} ${text}`
    const before = known.get(key)
    if (before) return before
    const checked = check(served, text)
    if (text.length <= MOST_CHARACTERS) known.set(key, checked)
    return checked
  }
}

function check({ schema }: ServedSchema, text: string): Checked {
  try {
    const document = parse(text, { maxTokens: MAX_TOKENS, noLocation: false })
    assertModest(document)
    const errors = validate(schema, document, undefined, { maxErrors: MOST_ERRORS })
    return errors.length > 0 ? { errors } : { document }
  } catch (error) {
    if (isGraphqlError(error)) return { errors: [error] }
    // The parser is recursive; how deep it gets is the platform's.
    if (error instanceof RangeError)
      return { errors: [new GraphQLError('The operation is nested too deeply.')] }
    throw error
  }
}

function isGraphqlError(error: unknown): error is GraphQLError {
  return error instanceof Error && error.name === 'GraphQLError'
}

/** @throws Problem when the document has no such operation, or it is not clear which one is meant */
export function operationOf(
  document: DocumentNode,
  name: string | null | undefined,
): OperationDefinitionNode {
  const operation = getOperationAST(document, name)
  if (operation) return operation
  throw new Problem(
    'invalid_query',
    name ? 'The document has no operation of that name.' : 'Say with operationName which operation is meant.',
  )
}
