import { useQuery } from '@tanstack/react-query'
import { SCHEMA_VERSION, type SchemaVersionQuery } from './generated/operations'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { Ago } from './lib/time'
import { Card, CardHeader, Failure, Loading } from './ui/parts'

/** Which version of the tables the tenant's database has. */
export function SchemaCard({ access, organizationId }: { access: ProjectAccess; organizationId: string }) {
  const schema = useQuery<SchemaVersionQuery, ApiError>({
    queryKey: ['schema-version', organizationId],
    queryFn: ({ signal }) => request(access, SCHEMA_VERSION, { organizationId }, signal),
  })
  const { metrics, connectedAt } = schema.data?.tenantHealth ?? {}
  const version = metrics?.schemaVersion ?? null
  const differences = metrics?.schemaDifferences ?? []
  return (
    <Card>
      <CardHeader title="Schema version">
        The tables that every database has. A new version comes by itself, and keeps your data.
      </CardHeader>
      {schema.error && !schema.data ? (
        <div className="p-5">
          <Failure error={schema.error} onRetry={() => void schema.refetch()} />
        </div>
      ) : schema.isPending ? (
        <Loading what="the schema version" rows={1} />
      ) : version === null ? (
        <p className="px-5 py-4 text-sm text-muted-foreground">
          Not known yet: it is read when the database is looked at next.
        </p>
      ) : (
        <div className="space-y-2 px-5 py-4 text-sm">
          <p>
            <strong className="font-semibold">Version {version}</strong>
            {connectedAt ? (
              <span className="text-muted-foreground">
                , read <Ago at={connectedAt} />
              </span>
            ) : null}
          </p>
          {differences.length > 0 ? (
            <>
              <p>It was changed by hand since:</p>
              <ul className="list-disc space-y-1 pl-5">
                {differences.map((difference) => (
                  <li key={difference} className="break-words">
                    {difference}
                  </li>
                ))}
              </ul>
            </>
          ) : null}
        </div>
      )}
    </Card>
  )
}
