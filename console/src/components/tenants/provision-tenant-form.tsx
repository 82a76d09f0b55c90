import { useMutation, useQuery } from '@tanstack/react-query'
import { type FormEvent, type ReactNode, useId, useState } from 'react'
import { CREATE_ORGANIZATION, PROVISION_TENANT, type ProvisioningOptionsQuery } from './generated/operations'
import { bytes, money, plain } from './lib/amounts'
import { type ApiError, type ProjectAccess, request } from './lib/api'
import { cn } from './lib/classes'
import { provisioningOptions } from './lib/options'
import { distanceKm, placeOfZone } from './lib/places'
import { duration } from './lib/time'
import { serviceTitle } from './lib/words'
import { Button } from './ui/button'
import { Badge, Card, CardHeader, Empty, Failure, Field, Loading, Spinner } from './ui/parts'
import { withQueries } from './with-queries'

type Options = ProvisioningOptionsQuery['provisioningOptions']

export interface ProvisionTenantFormProps extends ProjectAccess {
  /** The organization that is to get a tenant; without one, another organization is made. */
  readonly organization?: { readonly id: string; readonly plan: string }
  /** Of organizations that are made here. */
  readonly newPlan?: string
  /** Called when the provisioning has begun. */
  readonly onBegun: (organizationId: string, slug: string | undefined) => void
}

/** Where a tenant's database is to be, and how large. */
export const ProvisionTenantForm = withQueries(Form)

function Form({ organization, newPlan = 'free', onBegun, ...access }: ProvisionTenantFormProps) {
  const options = useQuery(provisioningOptions(access))
  const begin = useMutation<{ id: string; slug: string | undefined }, ApiError, Wishes>({
    mutationFn: async ({ name, ...wishes }) => {
      if (organization) {
        await request(access, PROVISION_TENANT, { organizationId: organization.id, ...wishes })
        return { id: organization.id, slug: undefined }
      }
      const made = (await request(access, CREATE_ORGANIZATION, { name, ...wishes })).createOrganization
      return { id: made.organizationId, slug: made.organization?.slug }
    },
    onSuccess: ({ id, slug }) => onBegun(id, slug),
  })
  if (options.error && !options.data)
    return <Failure error={options.error} onRetry={() => void options.refetch()} />
  if (!options.data)
    return (
      <Card>
        <Loading what="what can be chosen" rows={8} />
      </Card>
    )
  if (options.data.provisioningOptions.regions.length === 0)
    return (
      <Card>
        <Empty title="Nothing is offered at the moment">
          There is no region in which a database could be made. Try again later, or ask the support.
        </Empty>
      </Card>
    )
  return (
    <Choices
      options={options.data.provisioningOptions}
      plan={organization?.plan ?? newPlan}
      asksName={!organization}
      isBusy={begin.isPending}
      error={begin.error}
      onSubmit={(wishes) => begin.mutate(wishes)}
    />
  )
}

interface Wishes {
  readonly name: string
  readonly dataRegion: string
  readonly databaseSize: string
  /** Where the plan leaves a choice. */
  readonly tier?: string
}

interface ChoicesProps {
  readonly options: Options
  readonly plan: string
  readonly asksName: boolean
  readonly isBusy: boolean
  readonly error: ApiError | null
  onSubmit(wishes: Wishes): void
}

function Choices({ options, plan: planName, asksName, isBusy, error, onSubmit }: ChoicesProps) {
  const plan = options.plans.find((each) => each.plan === planName)
  const regions = nearestFirst(options.regions)
  const [name, setName] = useState('')
  const [isTouched, setTouched] = useState(false)
  const [region, setRegion] = useState(regions[0]?.dataRegion ?? options.defaultDataRegion)
  const [size, setSize] = useState(plan?.defaultSize ?? options.sizes[0]?.size ?? '')
  const allowedTiers = options.tiers.filter((each) => plan?.tiers.includes(each.tier) ?? true)
  const [tier, setTier] = useState(
    (allowedTiers.find((each) => each.tier === options.defaultTier) ?? allowedTiers[0])?.tier ?? '',
  )
  const [isUnderstood, setUnderstood] = useState(false)
  const [wasSent, setSent] = useState(false)
  const nameProblem = asksName && name.trim() === '' ? 'Give your organization a name.' : undefined
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    setSent(true)
    if (!nameProblem && isUnderstood)
      onSubmit({
        name: name.trim(),
        dataRegion: region,
        databaseSize: size,
        ...(allowedTiers.length > 1 ? { tier } : {}),
      })
  }
  const regionId = useId()
  const errorId = useId()
  return (
    <form onSubmit={submit} noValidate className="space-y-6">
      {asksName ? (
        <Card className="p-5">
          <Field
            label="Name of the organization"
            value={name}
            maxLength={100}
            autoComplete="organization"
            error={isTouched || wasSent ? nameProblem : undefined}
            onChange={({ target }) => {
              setName(target.value)
              setTouched(true)
            }}
          />
        </Card>
      ) : null}
      <Card>
        <CardHeader title="Region">Your data stays there. The nearest to you comes first.</CardHeader>
        <fieldset className="grid gap-3 p-5 sm:grid-cols-2 lg:grid-cols-3">
          <legend className="sr-only">Region</legend>
          {regions.map(({ dataRegion, label, city, country, km }) => (
            <Choice
              key={dataRegion}
              name={regionId}
              value={dataRegion}
              isChosen={region === dataRegion}
              onChoose={setRegion}
            >
              <span className="block font-medium">{city ? placeName(city, country) : label}</span>
              <span className="block text-muted-foreground">
                {dataRegion}
                {km === undefined ? '' : ` · ${distanceText(km)}`}
              </span>
            </Choice>
          ))}
        </fieldset>
      </Card>
      <Card>
        <CardHeader title="Size">
          {plan ? <PlanText plan={plan} currency={options.currency} /> : 'What your plan allows.'}
        </CardHeader>
        <fieldset className="grid gap-3 p-5 sm:grid-cols-2 lg:grid-cols-3">
          <legend className="sr-only">Size</legend>
          {options.sizes.map((each) => {
            const isAllowed = plan?.sizes.includes(each.size) ?? true
            return (
              <Choice
                key={each.size}
                name={`${regionId}-size`}
                value={each.size}
                isChosen={size === each.size}
                onChoose={setSize}
                isDisabled={!isAllowed}
              >
                <span className="flex flex-wrap items-center gap-2 font-medium">
                  <span className="capitalize">{each.size}</span>
                  {isAllowed ? null : (
                    <Badge>{cheapestWith(options, ({ sizes }) => sizes.includes(each.size))}</Badge>
                  )}
                </span>
                <span className="block text-muted-foreground">{each.label}</span>
                <span className="block text-muted-foreground">
                  {each.minComputeUnits === each.maxComputeUnits
                    ? `${plain(each.maxComputeUnits)} vCPU, ${plain(each.maxComputeUnits * 4)} GB memory`
                    : `${plain(each.minComputeUnits)} to ${plain(each.maxComputeUnits)} vCPU, up to ${plain(each.maxComputeUnits * 4)} GB memory`}
                </span>
                <span className="block text-muted-foreground">
                  {each.suspendAfterSeconds === null
                    ? 'Never sleeps'
                    : `Sleeps after ${duration(each.suspendAfterSeconds * 1000)} without a query`}
                </span>
              </Choice>
            )
          })}
        </fieldset>
      </Card>
      {options.tiers.length > 1 ? (
        <Card>
          <CardHeader title="What you get">How far it is kept apart from others.</CardHeader>
          <fieldset className="grid gap-3 p-5 sm:grid-cols-2 lg:grid-cols-3">
            <legend className="sr-only">What you get</legend>
            {options.tiers.map((each) => {
              const isAllowed = allowedTiers.includes(each)
              return (
                <Choice
                  key={each.tier}
                  name={`${regionId}-tier`}
                  value={each.tier}
                  isChosen={tier === each.tier}
                  onChoose={setTier}
                  isDisabled={!isAllowed}
                >
                  <span className="flex flex-wrap items-center gap-2 font-medium">
                    {each.label}
                    {isAllowed ? null : (
                      <Badge>{cheapestWith(options, ({ tiers }) => tiers.includes(each.tier))}</Badge>
                    )}
                  </span>
                  <span className="block text-muted-foreground">
                    {each.services.map(serviceTitle).join(', ')}
                  </span>
                </Choice>
              )
            })}
          </fieldset>
        </Card>
      ) : null}
      <Card className="space-y-3 p-5">
        <label className="flex items-start gap-3 text-sm">
          <input
            type="checkbox"
            className="mt-0.5 size-4 accent-primary"
            checked={isUnderstood}
            aria-invalid={wasSent && !isUnderstood ? true : undefined}
            aria-describedby={wasSent && !isUnderstood ? errorId : undefined}
            onChange={() => setUnderstood(!isUnderstood)}
          />
          <span>
            <strong className="font-semibold">
              {allowedTiers.length > 1
                ? 'The region and what you get cannot be changed later.'
                : 'The region cannot be changed later.'}
            </strong>{' '}
            The size can, at any time. I want the database in{' '}
            {regions.find(({ dataRegion }) => dataRegion === region)?.city ?? region}.
          </span>
        </label>
        {wasSent && !isUnderstood ? (
          <p id={errorId} role="alert" className="text-sm text-destructive">
            Confirm this first.
          </p>
        ) : null}
        {error ? <Failure error={error} /> : null}
        <Button type="submit" disabled={isBusy}>
          {isBusy ? <Spinner /> : null}
          {asksName ? 'Create and set up' : 'Set up'}
        </Button>
      </Card>
    </form>
  )
}

interface ChoiceProps {
  readonly name: string
  readonly value: string
  readonly isChosen: boolean
  readonly isDisabled?: boolean
  onChoose(value: string): void
  readonly children: ReactNode
}

function Choice({ name, value, isChosen, isDisabled = false, onChoose, children }: ChoiceProps) {
  return (
    <label
      className={cn(
        'flex items-start gap-3 rounded-lg border p-4 text-sm',
        isChosen && 'border-primary bg-primary/5 outline outline-primary',
        isDisabled ? 'cursor-not-allowed bg-muted/50' : 'cursor-pointer hover:border-input',
      )}
    >
      <input
        type="radio"
        className="mt-1 accent-primary"
        name={name}
        value={value}
        checked={isChosen}
        disabled={isDisabled}
        onChange={() => onChoose(value)}
      />
      <span className="min-w-0 space-y-0.5">{children}</span>
    </label>
  )
}

function PlanText({ plan, currency }: { plan: Options['plans'][number]; currency: string }) {
  const { label, storageBytes, historySeconds } = plan
  const storage = storageBytes === null ? 'storage without limit' : `${bytes(storageBytes)} of storage`
  return (
    <>
      {label} plan: {priceOf(plan, currency)}, {storage}, can be restored to any moment of the last{' '}
      {duration(historySeconds * 1000)}.
    </>
  )
}

/** The cheapest plan that allows something: they come in that order. */
function cheapestWith(
  { plans, currency }: Options,
  allows: (plan: Options['plans'][number]) => boolean,
): string {
  const plan = plans.find(allows)
  return plan ? `With ${plan.label}, ${priceOf(plan, currency)}` : 'On request'
}

function priceOf({ monthlyPrice }: Pick<Options['plans'][number], 'monthlyPrice'>, currency: string): string {
  if (monthlyPrice === null) return 'price on request'
  return monthlyPrice === 0 ? 'free of charge' : `${money(monthlyPrice, currency)} a month`
}

/** The nearest to whoever looks first, as far as the zone of their clock tells where they are. */
function nearestFirst(regions: Options['regions']) {
  const here = placeOfZone(Intl.DateTimeFormat().resolvedOptions().timeZone)
  const withDistance = regions.map((region) => ({
    ...region,
    km:
      here && region.latitude !== null && region.longitude !== null
        ? distanceKm(here, { latitude: region.latitude, longitude: region.longitude })
        : undefined,
  }))
  return withDistance.sort((a, b) => (a.km ?? Number.MAX_VALUE) - (b.km ?? Number.MAX_VALUE))
}

const distanceText = (km: number) =>
  km < 100 ? 'near you' : `about ${plain(Math.round(km / 50) * 50)} km from you`

/** A city that is a country, too, is named once. */
function placeName(city: string, country: string | null): string {
  const name = countryName(country)
  return name === '' || name === city ? city : `${city}, ${name}`
}

const countries = new Intl.DisplayNames(undefined, { type: 'region' })
const countryName = (code: string | null) => (code ? (countries.of(code) ?? code) : '')
