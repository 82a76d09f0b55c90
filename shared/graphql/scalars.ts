import { GraphQLScalarType } from 'graphql'
import { createGraphQLError } from 'graphql-yoga'
import { SCALARS } from './type-definitions.ts'

/** The database writes moments with its own offset and microseconds; callers get UTC and milliseconds. */
export const DateTime = new GraphQLScalarType<Date, string>({
  name: 'DateTime',
  description: SCALARS.DateTime,
  serialize: (value) => parse(value).toISOString(),
  parseValue: parse,
})

function parse(value: unknown): Date {
  const moment = typeof value === 'string' ? new Date(value) : undefined
  if (!moment || Number.isNaN(moment.getTime()))
    throw createGraphQLError('A DateTime is an ISO 8601 text, such as 2026-01-31T12:00:00Z.')
  return moment
}

/** As it is: what the database keeps as jsonb, or what the caller wrote. */
export const JsonValue = new GraphQLScalarType<unknown, unknown>({
  name: 'JSON',
  description: SCALARS.JSON,
})
