import { useQuery } from '@tanstack/react-query'
import { Search, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { HealthState, ProvisioningState, TenantSort } from './generated/operations'
import type { ProjectAccess } from './lib/api'
import { cn } from './lib/classes'
import { failureText } from './lib/failure-text'
import { provisioningOptions } from './lib/options'
import { sentenceCase } from './lib/words'
import { changed, type ViewProps } from './monitor-view'
import { Badge, inputClass } from './ui/parts'
import { HEALTH_WORDS, STATE_WORDS } from './ui/states'

const STATES: readonly ProvisioningState[] = ['PENDING', 'PROVISIONING', 'READY', 'FAILED', 'CANCELLED']
const HEALTHS: readonly HealthState[] = ['HEALTHY', 'SLEEPING', 'DEGRADED', 'UNHEALTHY', 'UNKNOWN']
const SORTS: Readonly<Record<TenantSort, string>> = {
  CREATED_AT_DESC: 'Newest first',
  CREATED_AT_ASC: 'Oldest first',
  NAME_ASC: 'Name, A to Z',
  NAME_DESC: 'Name, Z to A',
  SLUG_ASC: 'Slug, A to Z',
  SLUG_DESC: 'Slug, Z to A',
}
/** Within one word of somebody who types; the request of the letter before is given up. */
const AFTER_A_KEY_MS = 50

interface FiltersProps extends ViewProps {
  readonly access: ProjectAccess
  /** The list comes first: the names of regions and plans wait until it is there. */
  readonly isEnabled: boolean
}

export function Filters({ access, isEnabled, view, onView }: FiltersProps) {
  const options = useQuery({ ...provisioningOptions(access), enabled: isEnabled })
  const found = options.data?.provisioningOptions
  const [regions, plans] = [found?.regions ?? [], found?.plans ?? []]
  return (
    <div className="space-y-3 border-b px-5 py-4">
      <SearchField view={view} onView={onView} />
      <div className="grid grid-cols-2 gap-3 sm:flex sm:flex-wrap">
        <Choose
          label="State"
          all="Every state"
          value={view.status}
          options={STATES.map((value) => ({ value, title: STATE_WORDS[value] }))}
          onChoose={(status) => onView(changed(view, { status }))}
        />
        <Choose
          label="Health"
          all="Every health"
          value={view.health}
          options={HEALTHS.map((value) => ({ value, title: HEALTH_WORDS[value] }))}
          onChoose={(health) => onView(changed(view, { health }))}
        />
        <Choose
          label="Region"
          all="Every region"
          value={view.region}
          options={named(
            regions.map(({ dataRegion, label }) => ({ value: dataRegion, title: label })),
            view.region,
          )}
          onChoose={(region) => onView(changed(view, { region }))}
        />
        <Choose
          label="Plan"
          all="Every plan"
          value={view.plan}
          options={named(
            plans.map(({ plan, label }) => ({ value: plan, title: label })),
            view.plan,
          )}
          onChoose={(plan) => onView(changed(view, { plan }))}
        />
        <label className="col-span-2 sm:ml-auto">
          <span className="sr-only">Order</span>
          <select
            className={inputClass}
            value={view.sort ?? 'CREATED_AT_DESC'}
            onChange={({ target }) => onView(changed(view, { sort: target.value as TenantSort }))}
          >
            {Object.entries(SORTS).map(([sort, title]) => (
              <option key={sort} value={sort}>
                {title}
              </option>
            ))}
          </select>
        </label>
      </div>
      {view.code || view.alerts ? (
        <div className="flex flex-wrap gap-2">
          {view.code ? (
            <Chip
              title={`Failed: ${failureText(view.code)}`}
              onRemove={() => onView(changed(view, { code: undefined }))}
            />
          ) : null}
          {view.alerts ? (
            <Chip title="With open alerts" onRemove={() => onView(changed(view, { alerts: undefined }))} />
          ) : null}
        </div>
      ) : null}
    </div>
  )
}

interface Choice<Value extends string> {
  readonly value: Value
  readonly title: string
}

/** The choices, with the one of the address, which may name what is no longer there. */
function named(choices: readonly Choice<string>[], value: string | undefined): readonly Choice<string>[] {
  return value === undefined || choices.some((choice) => choice.value === value)
    ? choices
    : [...choices, { value, title: sentenceCase(value) }]
}

function SearchField({ view, onView }: ViewProps) {
  const [text, setText] = useState(view.search ?? '')
  useEffect(() => setText(view.search ?? ''), [view.search])
  useEffect(() => {
    const wanted = text.trim()
    if (wanted === (view.search ?? '')) return
    const timer = setTimeout(
      () => onView(changed(view, { search: wanted || undefined }), 'replace'),
      AFTER_A_KEY_MS,
    )
    return () => clearTimeout(timer)
  }, [text, view, onView])
  return (
    <label className="relative block">
      <span className="sr-only">Search by name, slug or billing address</span>
      <Search aria-hidden className="absolute top-3 left-3 size-4 text-muted-foreground" />
      <input
        type="search"
        className={cn(inputClass, 'pl-9')}
        placeholder="Name, slug or billing address"
        maxLength={200}
        value={text}
        onChange={({ target }) => setText(target.value)}
      />
    </label>
  )
}

function Chip({ title, onRemove }: { title: string; onRemove(): void }) {
  return (
    <Badge tone="info" className="max-w-full pr-1">
      <span className="truncate">{title}</span>
      <button
        type="button"
        aria-label={`Remove the filter ${title}`}
        onClick={onRemove}
        className="rounded-full p-1"
      >
        <X aria-hidden className="size-4" />
      </button>
    </Badge>
  )
}

interface ChooseProps<Value extends string> {
  readonly label: string
  readonly all: string
  readonly value: Value | undefined
  readonly options: readonly Choice<Value>[]
  onChoose(value: Value | undefined): void
}

function Choose<Value extends string>({ label, all, value, options, onChoose }: ChooseProps<Value>) {
  return (
    <label className="min-w-0 sm:max-w-48">
      <span className="sr-only">{label}</span>
      <select
        className={inputClass}
        value={value ?? ''}
        onChange={({ target }) => onChoose(options.find((each) => each.value === target.value)?.value)}
      >
        <option value="">{all}</option>
        {options.map((each) => (
          <option key={each.value} value={each.value}>
            {each.title}
          </option>
        ))}
      </select>
    </label>
  )
}
