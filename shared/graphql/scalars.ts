import { GraphQLScalarType } from 'graphql'
import { createGraphQLError } from 'graphql-yoga'
import { z } from 'zod'
import { isoMoment } from './arguments.ts'
import { SCALARS } from './type-definitions/states.ts'

/** The database writes moments with its own offset and microseconds; callers get UTC and milliseconds. */
export const DateTime = new GraphQLScalarType<Date, string>({
  name: 'DateTime',
  description: SCALARS.DateTime,
  serialize: (value) => new Date(String(value)).toISOString(),
  parseValue: (value) => {
    const moment = z.union([isoMoment, z.iso.date()]).safeParse(value)
    if (!moment.success)
      throw createGraphQLError('A DateTime is an ISO 8601 text, such as 2026-01-31T12:00:00Z.')
    return new Date(moment.data)
  },
})

/** As it is: what the database keeps as jsonb, or what the caller wrote. */
export const JsonValue = new GraphQLScalarType<unknown, unknown>({
  name: 'JSON',
  description: SCALARS.JSON,
})
