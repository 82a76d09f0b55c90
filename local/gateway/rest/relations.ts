import type { TransactionSql } from 'postgres'
import type { Call, Reply } from '../exchange.ts'
import type { Catalog, Relation } from './catalog.ts'
import { notImplemented, RestError } from './errors.ts'
import { type Media, negotiateMedia } from './media.ts'
import {
  assertAffected,
  assertSingle,
  contentRange,
  overridden,
  type Page,
  readReply,
  runPage,
} from './page.ts'
import { readPayload } from './payload.ts'
import { appliedPreferences, type Preferences, parsePreferences } from './preferences.ts'
import { countQuery, neededColumns, readQuery } from './read-statement.ts'
import { buildReadTree, type ReadNode, relationSource } from './read-tree.ts'
import { parseQuery, type Query } from './request.ts'
import { type Parameters, quoted } from './sql-text.ts'
import {
  deleteStatement,
  INSERTED_COUNT,
  insertStatement,
  type Returning,
  updateStatement,
} from './write-statement.ts'

/** What a request will do, decided before the database is asked anything. */
export interface Work {
  readonly access: 'read only' | 'read write'
  run(sql: TransactionSql): Promise<Reply>
}

/** A request for the rows of a table or view. @throws RestError */
export async function relationWork(
  catalog: Catalog,
  relation: Relation,
  call: Call,
  maxRows: number,
): Promise<Work> {
  const query = parseQuery(call)
  const preferences = parsePreferences(call)
  const media = negotiateMedia(call)
  if (call.method === 'GET' || call.method === 'HEAD')
    return readWork(catalog, relation, query, preferences, media, maxRows)
  const request = { catalog, relation, query, preferences, media, maxRows }
  if (call.method === 'POST') return insertWork(request, call)
  if (call.method === 'PATCH') return updateWork(request, call)
  if (call.method === 'DELETE') return deleteWork(request)
  if (call.method === 'PUT') throw notImplemented('PUT; upsert with POST instead')
  throw new RestError(405, 'PGRST117', `Unsupported HTTP method: ${call.method}`)
}

function readWork(
  catalog: Catalog,
  relation: Relation,
  query: Query,
  preferences: Preferences,
  media: Media,
  maxRows: number,
): Work {
  const ranges = [...query.embeddedRanges, { path: [], value: query.range }]
  const tree = buildReadTree(catalog, relationSource(relation), query.items, { ...query, ranges }, maxRows)
  const rows = {
    sources: () => '',
    rows: (parameters: Parameters) => readQuery(tree, parameters),
    count: (parameters: Parameters) => countQuery(tree, parameters),
  }
  const heeded = appliedPreferences(preferences, ['count', 'strict'])
  return {
    access: 'read only',
    run: async (sql) => {
      const page = await runPage(sql, rows, media, preferences.count, maxRows)
      return overridden(readReply(page, media, query.range, heeded), page)
    },
  }
}

interface WriteRequest {
  readonly catalog: Catalog
  readonly relation: Relation
  readonly query: Query
  readonly preferences: Preferences
  readonly media: Media
  readonly maxRows: number
}

async function insertWork(request: WriteRequest, call: Call): Promise<Work> {
  const { relation, query, preferences } = request
  const payload = await readPayload(call, relation, query.columns)
  const { tree, returning } = changedRows(request)
  const conflict = query.onConflict ?? relation.primaryKey
  const statement = (parameters: Parameters) =>
    insertStatement(relation, payload, conflict, preferences, returning, parameters)
  const heeded: (keyof Preferences)[] = ['missing', 'representation', 'count', 'strict']
  if (conflict.length > 0) heeded.push('resolution')
  return writeWork(request, statement, tree, (page) => {
    const merged = preferences.resolution === 'merge-duplicates' && (page.inserted ?? 0) <= 0
    return {
      status: merged ? 200 : 201,
      headers: {
        ...(page.location ? { location: `/${relation.name}?${page.location}` } : {}),
        'content-range': contentRange(1, 0, preferences.count ? page.rows : null),
        ...appliedPreferences(preferences, heeded),
      },
    }
  })
}

async function updateWork(request: WriteRequest, call: Call): Promise<Work> {
  const { relation, query, preferences } = request
  const payload = await readPayload(call, relation, query.columns)
  const { tree, returning } = changedRows(request)
  const statement = (parameters: Parameters) =>
    updateStatement(relation, payload, rootFilters(query), preferences, returning, parameters)
  return writeWork(request, statement, tree, (page) => {
    assertAffected(page, preferences)
    const heeded = ['missing', 'representation', 'count', 'strict', 'maxAffected'] as const
    return {
      status: preferences.representation === 'representation' ? 200 : 204,
      headers: {
        'content-range': contentRange(0, page.rows - 1, preferences.count ? page.rows : null),
        ...appliedPreferences(preferences, heeded),
      },
    }
  })
}

function deleteWork(request: WriteRequest): Work {
  const { relation, query, preferences } = request
  const { tree, returning } = changedRows(request)
  const statement = (parameters: Parameters) =>
    deleteStatement(relation, rootFilters(query), returning, parameters)
  return writeWork(request, statement, tree, (page) => {
    assertAffected(page, preferences)
    return {
      status: preferences.representation === 'representation' ? 200 : 204,
      headers: {
        'content-range': contentRange(1, 0, preferences.count ? page.rows : null),
        ...appliedPreferences(preferences, ['representation', 'count', 'strict', 'maxAffected']),
      },
    }
  })
}

/** How the changed rows are read: filters and ranges of the table itself belong to the change, not to the reading. */
function changedRows(request: WriteRequest): { tree: ReadNode; returning: Returning } {
  const { catalog, relation, query, preferences } = request
  const alias = quoted(relation.name)
  const source = { ...relation, from: `_changed as ${alias}`, alias, isWhole: false }
  const filters = query.filters.filter(({ path }) => path.length > 0)
  const tree = buildReadTree(catalog, source, query.items, { ...query, filters, ranges: [] }, undefined)
  const isReturned = preferences.representation !== undefined && preferences.representation !== 'minimal'
  return { tree, returning: isReturned ? neededColumns(tree, relation.primaryKey) : [] }
}

function rootFilters(query: Query) {
  return query.filters.filter(({ path }) => path.length === 0).map(({ value }) => value)
}

interface ChangedPage extends Page {
  /** Rows that an upsert inserted; null for everything else. */
  readonly inserted: number | null
  /** Query string of the only inserted row, if the client wants to know. */
  readonly location: string | null
}

function writeWork(
  request: WriteRequest,
  statement: (parameters: Parameters) => string,
  tree: ReadNode,
  reply: (page: ChangedPage) => Reply,
): Work {
  const { preferences, media, maxRows, relation } = request
  const isReturned = preferences.representation === 'representation'
  const wantsLocation = preferences.representation === 'headers-only' && relation.primaryKey.length > 0
  const query = {
    sources: (parameters: Parameters) => `_changed as (${statement(parameters)}), `,
    rows: (parameters: Parameters) => (isReturned ? readQuery(tree, parameters) : 'select * from _changed'),
    count: () => 'select 1 from _changed',
    extra: (parameters: Parameters) => [
      `${INSERTED_COUNT} as inserted`,
      `${wantsLocation ? locationExpression(relation, parameters) : 'null::text'} as location`,
    ],
  }
  const written: Media = isReturned ? media : { ...media, kind: 'array' }
  return {
    access: 'read write',
    run: async (sql) => {
      // All that was changed is on the page.
      const page = await runPage<ChangedPage>(sql, query, written, undefined, maxRows)
      assertSingle(page, media)
      const { headers, status } = reply(page)
      const content = isReturned ? { 'content-type': media.contentType } : {}
      return overridden(
        { status, headers: { ...headers, ...content }, ...(isReturned ? { body: page.body } : {}) },
        page,
      )
    },
  }
}

function locationExpression(relation: Relation, parameters: Parameters): string {
  const keys = relation.primaryKey.map((name) => `${parameters.bind(name)}::text`).join(', ')
  return `case when count(_row) = 1 then (
    select string_agg(_column.key || '=' || coalesce('eq.' || _column.value, 'is.null'), '&')
    from (select row_to_json(_any) as row from _changed as _any limit 1) as _only, json_each_text(_only.row) as _column
    where _column.key in (${keys})) end`
}
