import { skipToken, type UseQueryResult, useQuery } from '@tanstack/react-query'
import { Play, Square } from 'lucide-react'
import { type ReactNode, useEffect, useId, useRef, useState } from 'react'
import { CodeEditor } from '../app/code-editor.tsx'
import { milliseconds } from '../components/tenants/lib/amounts.ts'
import { ApiError, type ProjectAccess } from '../components/tenants/lib/api.ts'
import { duration, useNow } from '../components/tenants/lib/time.tsx'
import { Button } from '../components/tenants/ui/button.tsx'
import {
  Card,
  CardHeader,
  CopyButton,
  Empty,
  Failure,
  Field,
  Loading,
  Notice,
  Scrollable,
  Spinner,
} from '../components/tenants/ui/parts.tsx'
import { queries } from '../components/tenants/with-queries.tsx'
import {
  askTenant,
  endpointOf,
  type TenantAnswer,
  type TenantError,
  tenantErrorText,
} from '../lib/tenant-query.ts'
import {
  FIRST_QUERY,
  FIRST_TABLE,
  FIRST_VARIABLES,
  queryForTable,
  readTables,
  type TenantTable,
} from '../lib/tenant-tables.ts'

interface QueryExplorerProps {
  readonly access: ProjectAccess
  readonly organizationId: string
  /** Whose text of which organization it is: it is there again when the person comes back to the page. */
  readonly draftOf: string
}

interface Draft {
  readonly query: string
  readonly variables: string
}

/** In memory alone, and for as long as the page is open. */
const drafts = new Map<string, Draft>()

type Run =
  | { readonly state: 'idle' }
  | { readonly state: 'running'; readonly since: number }
  | { readonly state: 'answered'; readonly answer: TenantAnswer }
  | { readonly state: 'refused'; readonly error: ApiError }
  | { readonly state: 'stopped' }

/** A small explorer of the tenant's GraphQL endpoint. */
export function QueryExplorer({ access, organizationId, draftOf }: QueryExplorerProps) {
  const [written, setWritten] = useState<Draft | undefined>(() => drafts.get(draftOf))
  const [apiKey, setApiKey] = useState<string>()
  const [problem, setProblem] = useState<string>()
  const [run, setRun] = useState<Run>({ state: 'idle' })
  const running = useRef<AbortController>(null)
  const editor = useRef<HTMLTextAreaElement>(null)
  const answer = useRef<HTMLDivElement>(null)
  useEffect(() => () => running.current?.abort(), [])
  const tables = useQuery<TenantTable[], ApiError>(
    {
      queryKey: ['tables', organizationId],
      queryFn: ({ signal }) => readTables(access, organizationId, signal),
      staleTime: 300_000,
    },
    queries,
  )
  const firstQuery = useFirstQuery(access, organizationId, tables.data)
  const draft = written ?? { query: firstQuery, variables: FIRST_VARIABLES }
  const change = (next: Partial<Draft>) => {
    const whole = { ...draft, ...next }
    drafts.set(draftOf, whole)
    setWritten(whole)
  }

  const start = () => {
    const variables = readVariables(draft.variables)
    setProblem(variables ? undefined : 'This is no JSON object, such as { "first": 10 }.')
    if (!variables) return
    running.current?.abort()
    const own = new AbortController()
    running.current = own
    setRun({ state: 'running', since: Date.now() })
    // On a small screen it is below what was asked.
    answer.current?.scrollIntoView({ block: 'nearest' })
    askTenant(access, organizationId, apiKey, { query: draft.query, variables }, own.signal).then(
      (given) => setRun({ state: 'answered', answer: given }),
      (error: unknown) => {
        if (!own.signal.aborted) setRun({ state: 'refused', error: asApiError(error) })
      },
    )
  }
  const stop = () => {
    running.current?.abort()
    setRun({ state: 'stopped' })
  }
  return (
    <div className="space-y-6">
      <div className="grid grid-cols-1 items-start gap-6 lg:grid-cols-2">
        <Card className="space-y-4 p-5">
          <h2 className="sr-only">Question</h2>
          <CodeEditor
            label="Query"
            ref={editor}
            value={draft.query}
            onChange={(query) => change({ query })}
            onRun={start}
            minRows={12}
            maxRows={26}
          />
          <CodeEditor
            label="Variables"
            value={draft.variables}
            onChange={(variables) => change({ variables })}
            onRun={start}
            minRows={2}
            maxRows={10}
            error={problem}
          />
          <AskAs apiKey={apiKey} onChange={setApiKey} />
          <div className="flex flex-wrap items-center gap-3">
            <Button onClick={start} disabled={run.state === 'running' || apiKey === ''}>
              {run.state === 'running' ? <Spinner /> : <Play aria-hidden />}
              Run
            </Button>
            {run.state === 'running' ? (
              <Button variant="outline" onClick={stop}>
                <Square aria-hidden />
                Stop
              </Button>
            ) : (
              <span className="hidden text-sm text-muted-foreground sm:inline">
                or <kbd className="rounded border px-1.5 py-0.5 font-mono text-xs">Ctrl</kbd> +{' '}
                <kbd className="rounded border px-1.5 py-0.5 font-mono text-xs">Enter</kbd>
              </span>
            )}
          </div>
        </Card>
        <div ref={answer} className="min-w-0 scroll-mb-20">
          <Answer run={run} isKey={apiKey !== undefined} onRetry={start} />
        </div>
      </div>
      <Tables
        access={access}
        organizationId={organizationId}
        tables={tables}
        onQuery={(query) => {
          setProblem(undefined)
          if (!editor.current) return
          typeInto(editor.current, query)
          change({ query, variables: FIRST_VARIABLES })
        }}
      />
      <FromProgram url={access.url} />
    </div>
  )
}

/** One that works: of our own schema, or of the first table of another one as soon as that is known. */
function useFirstQuery(
  access: ProjectAccess,
  organizationId: string,
  tables: readonly TenantTable[] | undefined,
): string {
  const isOurs = tables?.some(({ field }) => field === FIRST_TABLE)
  const [table] = isOurs ? [] : (tables ?? [])
  const { data } = useQuery(
    {
      queryKey: ['first-query', organizationId, table?.field],
      queryFn: table ? () => queryForTable(access, organizationId, table) : skipToken,
      staleTime: Number.POSITIVE_INFINITY,
    },
    queries,
  )
  return data ?? FIRST_QUERY
}

/** Undefined for what is no JSON object; nothing stands for none. */
function readVariables(text: string): Record<string, unknown> | undefined {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function asApiError(error: unknown): ApiError {
  return error instanceof ApiError ? error : new ApiError('The answer could not be read.', 'unreachable')
}

/** As if it were typed, so that the browser's undo brings back what was there. */
function typeInto(field: HTMLTextAreaElement, text: string): void {
  field.focus()
  field.select()
  document.execCommand('insertText', false, text)
  field.setSelectionRange(0, 0)
  field.scrollTop = 0
}

function AskAs({
  apiKey,
  onChange,
}: {
  apiKey: string | undefined
  onChange: (key: string | undefined) => void
}) {
  const name = useId()
  const choice = (label: string, isChosen: boolean, value: string | undefined) => (
    <label className="flex items-center gap-2 text-sm">
      <input
        type="radio"
        name={name}
        className="size-4 accent-primary"
        checked={isChosen}
        onChange={() => onChange(value)}
      />
      {label}
    </label>
  )
  return (
    <fieldset className="space-y-3">
      <legend className="sr-only">Ask as</legend>
      <div className="flex flex-wrap gap-x-5 gap-y-2">
        {choice('As yourself', apiKey === undefined, undefined)}
        {choice('With an API key', apiKey !== undefined, '')}
      </div>
      {apiKey === undefined ? null : (
        <Field
          label="API key"
          type="password"
          value={apiKey}
          onChange={({ target }) => onChange(target.value.trim())}
          autoComplete="off"
          spellCheck={false}
          hint="It is kept in this page’s memory until you leave it."
        />
      )}
    </fieldset>
  )
}

function Answer({ run, isKey, onRetry }: { run: Run; isKey: boolean; onRetry: () => void }) {
  return (
    <Card>
      <CardHeader
        title="Answer"
        actions={
          run.state === 'answered' && run.answer.data !== null ? (
            <div className="-my-1.5">
              <CopyButton text={printed(run.answer.data)} what="the answer" />
            </div>
          ) : undefined
        }
      />
      <div aria-busy={run.state === 'running'} className="space-y-4 p-5">
        {run.state === 'idle' || run.state === 'stopped' ? (
          <Empty title={run.state === 'stopped' ? 'It was stopped' : 'Nothing was asked yet'}>
            {run.state === 'stopped'
              ? 'A change that was under way may have been made. Look before you repeat it.'
              : 'The query beside works as it is: run it, then change it.'}
          </Empty>
        ) : run.state === 'running' ? (
          <Running since={run.since} />
        ) : run.state === 'refused' ? (
          <>
            <Failure
              error={isKey && run.error.code === 'unauthorized' ? keyRefused(run.error) : run.error}
              onRetry={onRetry}
            />
            <Numbers code={run.error.code} requestId={run.error.requestId} />
          </>
        ) : (
          <Answered answer={run.answer} />
        )}
      </div>
    </Card>
  )
}

const keyRefused = ({ message, code, requestId }: ApiError) =>
  new ApiError(message, `key_${code}`, requestId ? { requestId } : {})

const SLOW_MS = 1_500

function Running({ since }: { since: number }) {
  const now = useNow(500)
  const ms = now - since
  return (
    <div role="status" className="flex items-center gap-3 text-sm text-muted-foreground">
      <Spinner />
      {ms < SLOW_MS
        ? 'Asking …'
        : `Asking for ${duration(Math.floor(ms / 1_000) * 1_000)}. A database that sleeps wakes with the first query, which takes a moment.`}
    </div>
  )
}

function Answered({ answer }: { answer: TenantAnswer }) {
  const { data, errors, versionsBehind } = answer
  return (
    <>
      <p role="status" className="text-sm text-muted-foreground">
        {timeText(answer)}
      </p>
      {errors.map((error) => (
        <QueryFailure key={`${error.code} ${error.path} ${error.message}`} error={error} />
      ))}
      {versionsBehind > 0 ? (
        <Notice tone="warning">
          The tables are of an older version, and are brought up to date by themselves. What is new is missing
          until then.
        </Notice>
      ) : null}
      {data === null ? null : <Json value={data} />}
    </>
  )
}

function timeText({ tookMs, connectMs, errors }: TenantAnswer): string {
  const took = `${errors.length > 0 ? 'An answer with errors' : 'Answered'} in ${milliseconds(tookMs)}.`
  if (connectMs <= 0) return `${took} The database was awake.`
  return `${took} Opening a connection took ${milliseconds(connectMs)} of it: a database that sleeps wakes in that time, and the next query is quicker.`
}

function QueryFailure({ error }: { error: TenantError }) {
  const { at, code, requestId } = error
  return (
    <Notice tone="danger" title={at ? `Line ${at.line}, column ${at.column}` : 'The query was not answered'}>
      <p>{tenantErrorText(error)}</p>
      <Numbers code={code} requestId={requestId} />
    </Notice>
  )
}

/** With which support finds the request in the log. */
function Numbers({ code, requestId }: { code: string; requestId: string | undefined }) {
  return (
    <p className="mt-1 font-mono text-xs break-all text-muted-foreground">
      {code}
      {requestId ? ` · request ${requestId}` : ''}
    </p>
  )
}

const printed = (value: unknown) => JSON.stringify(value, null, 2)

/** More than anybody reads, and less than slows the page down. */
const SHOWN_CHARACTERS = 100_000

function Json({ value }: { value: unknown }) {
  const text = printed(value)
  return (
    <>
      <Scrollable label="Data" className="max-h-[36rem] overflow-auto rounded-md bg-muted p-3">
        <pre className="font-mono text-[0.8125rem] leading-6">{text.slice(0, SHOWN_CHARACTERS)}</pre>
      </Scrollable>
      {text.length > SHOWN_CHARACTERS ? (
        <p className="text-sm text-muted-foreground">The rest is in what is copied.</p>
      ) : null}
    </>
  )
}

interface TablesProps {
  readonly access: ProjectAccess
  readonly organizationId: string
  readonly tables: UseQueryResult<TenantTable[], ApiError>
  onQuery(query: string): void
}

/** What there is to ask for. */
function Tables({ access, organizationId, tables, onQuery }: TablesProps) {
  const [busy, setBusy] = useState<string>()
  const [error, setError] = useState<ApiError>()
  const choose = (table: TenantTable) => {
    setBusy(table.field)
    setError(undefined)
    const made =
      table.field === FIRST_TABLE
        ? Promise.resolve(FIRST_QUERY)
        : queryForTable(access, organizationId, table)
    made.then(onQuery, (cause: unknown) => setError(asApiError(cause))).finally(() => setBusy(undefined))
  }
  let content: ReactNode
  if (tables.error && !tables.data)
    content =
      tables.error.code === 'forbidden' ? (
        <p className="text-sm text-muted-foreground">
          The list is switched off for this project. The schema that you were given has it.
        </p>
      ) : (
        <Failure error={tables.error} onRetry={() => void tables.refetch()} />
      )
  else if (!tables.data) content = <Loading what="the tables" rows={2} />
  else if (tables.data.length === 0)
    content = <p className="text-sm text-muted-foreground">This database has no tables to ask for.</p>
  else
    content = (
      <ul className="flex flex-wrap gap-2">
        {tables.data.map((table) => (
          <li key={table.field}>
            <Button
              size="small"
              variant="outline"
              className="font-mono text-xs"
              disabled={busy !== undefined}
              onClick={() => choose(table)}
            >
              {busy === table.field ? <Spinner /> : null}
              {table.field}
            </Button>
          </li>
        ))}
      </ul>
    )
  return (
    <Card>
      <CardHeader title="Tables">
        Choose one for a query of its first rows. Undo brings back what you had written.
      </CardHeader>
      <div className="space-y-3 p-5">
        {error ? <Failure error={error} /> : null}
        {content}
      </div>
    </Card>
  )
}

function FromProgram({ url }: { url: string }) {
  const text = [
    `curl ${endpointOf(url)} \\`,
    `  -H "Authorization: Bearer $TENANT_API_KEY" -H 'Content-Type: application/json' \\`,
    `  -d '{"query": "{ users(first: 10) { totalCount nodes { fullName } } }"}'`,
  ].join('\n')
  return (
    <Card>
      <CardHeader title="From your program" actions={<CopyButton text={text} what="the command" />}>
        The same with an API key, which Infrastructure makes.
      </CardHeader>
      <div className="p-5">
        <Scrollable label="Command" className="overflow-x-auto rounded-md bg-muted p-3">
          <pre className="font-mono text-[0.8125rem] leading-6">{text}</pre>
        </Scrollable>
      </div>
    </Card>
  )
}
