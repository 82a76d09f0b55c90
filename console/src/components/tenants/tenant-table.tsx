import type { TenantRowFragment } from './generated/operations'
import { Ago } from './lib/time'
import { sentenceCase } from './lib/words'
import { Badge } from './ui/parts'
import { HEALTH_TONES, HEALTH_WORDS, STATE_TONES, STATE_WORDS } from './ui/states'

export function TenantTable({
  rows,
  isOld,
  onOpen,
}: {
  rows: readonly TenantRowFragment[]
  isOld: boolean
  onOpen(row: TenantRowFragment): void
}) {
  return (
    <div aria-busy={isOld} className="overflow-x-auto">
      <table className="w-full text-left text-sm">
        <caption className="sr-only">Tenants</caption>
        <thead className="hidden text-muted-foreground md:table-header-group">
          <tr className="border-b">
            {['Tenant', 'State', 'Health', 'Alerts', 'Plan', 'Region', 'Since'].map((title) => (
              <th key={title} scope="col" className="px-5 py-2.5 font-medium whitespace-nowrap">
                {title}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="divide-y">
          {rows.map((row) => (
            <tr key={row.id} className="block px-5 py-3 hover:bg-muted/50 md:table-row md:px-0 md:py-0">
              <th scope="row" className="block max-w-80 font-normal md:table-cell md:px-5 md:py-3">
                <button
                  type="button"
                  className="text-left font-medium break-words underline-offset-4 hover:underline"
                  onClick={() => onOpen(row)}
                >
                  {row.name}
                </button>
                <span className="block break-all text-muted-foreground">{row.ownerEmail ?? row.slug}</span>
              </th>
              <td className="inline-block py-1 pr-2 md:table-cell md:px-5 md:py-3">
                <Badge tone={STATE_TONES[row.status]}>{STATE_WORDS[row.status]}</Badge>
              </td>
              <td className="inline-block py-1 pr-2 md:table-cell md:px-5 md:py-3">
                <Badge tone={HEALTH_TONES[row.health]}>{HEALTH_WORDS[row.health]}</Badge>
              </td>
              <td className="inline-block py-1 pr-2 tabular-nums md:table-cell md:px-5 md:py-3">
                {row.openAlerts > 0 ? <Badge tone="danger">{row.openAlerts}</Badge> : null}
              </td>
              <td className="inline-block py-1 pr-3 text-muted-foreground md:table-cell md:px-5 md:py-3">
                {sentenceCase(row.plan)}
              </td>
              <td className="inline-block py-1 pr-3 whitespace-nowrap text-muted-foreground md:table-cell md:px-5 md:py-3">
                {row.dataRegion}
              </td>
              <td className="inline-block py-1 whitespace-nowrap text-muted-foreground md:table-cell md:px-5 md:py-3">
                <Ago at={row.createdAt} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  )
}
