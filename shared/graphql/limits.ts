import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth'
import {
  type ExecutionArgs,
  type ExecutionResult,
  getOperationAST,
  getVariableValues,
  type ValidationRule,
} from 'graphql'
import { type ComplexityEstimator, getComplexity } from 'graphql-query-complexity'
import { createGraphQLError, type Plugin } from 'graphql-yoga'
import { Problem } from '../kernel/http/problem.ts'
import type { GraphqlContext } from './context.ts'
import { present } from './errors.ts'

const MAX_DEPTH = 8
/** Values in the answer, at most: eleven full pages of events, say, or all fields of the longest history of health. */
const MAX_COST = 12_000
/** Every field of the schema takes less than half. */
const MAX_TOKENS = 2_000
/** How long a list without a page size is thought to be: organizations of a user, steps of a job. */
const USUAL_ROWS = 10

/** Rows of fields whose arguments do not say how many. */
const ROWS: Readonly<Record<string, number>> = {
  'Query.tenantHealthHistory': 1_000,
  // Counted where the page is asked for.
  'TenantPage.nodes': 1,
}

/** What bounds an operation before anything runs. Fragments and variables count as what they stand for. */
export const limits: Plugin<GraphqlContext>[] = [
  {
    onParse({ parseFn, setParseFn }) {
      setParseFn((source, options) => {
        try {
          return parseFn(source, { ...options, maxTokens: MAX_TOKENS })
        } catch (error) {
          // The parser is recursive; how deep it gets is the platform's.
          if (error instanceof RangeError) throw createGraphQLError('The operation is nested too deeply.')
          throw error
        }
      })
    },
    onValidate: ({ addValidationRule }) => addValidationRule(noAliasInTheSchema),
    onExecute: refuseWhatCostsTooMuch,
    onSubscribe: refuseWhatCostsTooMuch,
  },
  maxDepthPlugin({
    n: MAX_DEPTH,
    flattenFragments: true,
    onReject: [
      () => {
        throw tooMuch(`It may be ${MAX_DEPTH} levels deep.`)
      },
    ],
  }),
]

/**
 * Introspection counts as free. With aliases a small operation could repeat it many times over, at each level anew. Without
 * aliases GraphQL merges equal fields.
 */
const noAliasInTheSchema: ValidationRule = (context) => ({
  Field(node) {
    const ofTheSchema =
      ['__schema', '__type'].includes(node.name.value) || context.getParentType()?.name.startsWith('__')
    if (node.alias && ofTheSchema) throw tooMuch('Fields of the schema may have no aliases.')
  },
})

function refuseWhatCostsTooMuch({
  args,
  setResultAndStopExecution,
}: {
  readonly args: ExecutionArgs
  setResultAndStopExecution(result: ExecutionResult): void
}): void {
  const problem = tooCostly(args)
  if (problem) setResultAndStopExecution({ errors: [present(problem)] })
}

function tooCostly({ schema, document, variableValues, operationName }: ExecutionArgs): Problem | undefined {
  const operation = getOperationAST(document, operationName)
  // Whatever else is wrong is the executor's to tell.
  if (
    !operation ||
    getVariableValues(schema, operation.variableDefinitions ?? [], variableValues ?? {}).errors
  )
    return undefined
  try {
    const cost = getComplexity({
      schema,
      query: document,
      estimators: [valuesInTheAnswer],
      ...(variableValues ? { variables: variableValues } : {}),
      ...(operation.name ? { operationName: operation.name.value } : {}),
    })
    return cost > MAX_COST ? tooMuch('Ask for fewer fields or smaller pages.') : undefined
  } catch {
    return tooMuch('There are more fields than can be counted.')
  }
}

const valuesInTheAnswer: ComplexityEstimator = ({ type, field, args, childComplexity }) => {
  if (type.name.startsWith('__') || field.name.startsWith('__')) return 0
  const rows = ROWS[`${type.name}.${field.name}`] ?? args.first ?? args.page?.first
  const isList = String(field.type).includes('[')
  return 1 + childComplexity * Number(rows ?? (isList ? USUAL_ROWS : 1))
}

function tooMuch(advice: string): Problem {
  return new Problem('query_too_complex', `The operation asks for too much. ${advice}`)
}
