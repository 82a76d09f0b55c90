import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { blocked } from './blocked.ts'
import { queuedDoorbells } from './doorbells.ts'
import { withSettings } from './engine.ts'
import { HealthFleet, INTERVAL_MS, result, type Status } from './health-fleet.ts'
import { only, openProject, type Project } from './project.ts'

const URL_NAME = 'alert_webhook_url'

let project: Project
let fleet: HealthFleet

beforeAll(async () => {
  project = await openProject()
  fleet = new HealthFleet(project)
})

beforeEach(async () => {
  await fleet.clear()
  await project.sql`delete from vault.secrets where name = ${URL_NAME}`
})

afterAll(async () => {
  await project.close()
})

/** Letters stand for results: h(ealthy), s(leeping), d(egraded), u(nhealthy), ? (unknown). */
const STATUSES: Readonly<Record<string, Status>> = {
  h: 'healthy',
  s: 'sleeping',
  d: 'degraded',
  u: 'unhealthy',
  '?': 'unknown',
}
const statuses = (letters: string) => [...letters].map((letter) => STATUSES[letter] ?? 'unknown')

const alertsOf = (id: string) =>
  project.sql<{ severity: string; message: string; open: boolean; escalated: boolean; metadata: unknown }[]>`
    select severity, message, resolved_at is null as open, escalated_at is not null as escalated, metadata
    from public.tenant_alerts where organization_id = ${id} and kind = 'tenant_health' order by opened_at, resolved_at`

describe('the alerts of a tenant whose checks are', () => {
  it.each<[string, readonly string[]]>([
    ['hhhh', []],
    ['dd', []],
    ['uu', []],
    // One bad check, or one now and then, opens nothing.
    ['dhdhdhdhuhuhuh', []],
    ['ddsddsdds', []],
    ['ddd', ['open warning']],
    ['uuu', ['open critical']],
    ['dud', ['open warning']],
    ['udu', ['open warning']],
    ['duu', ['open warning']],
    ['dduuu', ['open critical, escalated']],
    // What is critical stays so until it is over.
    ['uuuddd', ['open critical']],
    // One good check, or one now and then, resolves nothing.
    ['dddh', ['open warning']],
    ['dddhdhdhdhd', ['open warning']],
    ['dddhh', ['resolved warning']],
    ['dddss', ['resolved warning']],
    ['uuusu', ['open critical']],
    ['dddhhhhh', ['resolved warning']],
    ['dddhhddd', ['resolved warning', 'open warning']],
    // What could not be found out says nothing for or against.
    ['d?d?d', ['open warning']],
    ['???', []],
    ['ddd?h?h', ['resolved warning']],
    ['ddd???', ['open warning']],
  ])('%s: %j', async (letters, expected) => {
    const id = await fleet.addOne()
    await fleet.recordAll(id, statuses(letters))
    const alerts = await alertsOf(id)
    expect(
      alerts.map(
        ({ severity, open, escalated }) =>
          `${open ? 'open' : 'resolved'} ${severity}${escalated ? ', escalated' : ''}`,
      ),
    ).toEqual(expected)
  })

  it('counted as the policies and settings say', async () => {
    await project.sql`update provisioning.alert_policies set open_after_checks = case severity when 'warning' then 1 else 2 end`
    await fleet.set({ health_resolve_after_checks: 1 })
    const id = await fleet.addOne()
    await fleet.recordAll(id, statuses('u'), Date.now() - 60_000)
    expect(await alertsOf(id)).toMatchObject([{ severity: 'warning', open: true }])
    await fleet.recordAll(id, statuses('u'), Date.now() - 30_000)
    expect(await alertsOf(id)).toMatchObject([{ severity: 'critical', escalated: true }])
    await fleet.recordAll(id, statuses('h'))
    expect(await alertsOf(id)).toMatchObject([{ open: false }])
  })

  it('asked for again and again within a moment open and resolve nothing', async () => {
    const id = await fleet.addOne()
    const begun = Date.now() - 600_000
    const askOften = async (status: Status, from: number) => {
      for (let time = 0; time < 10; time++)
        await fleet.record([result(id, status, { at: from + time * 100 })])
    }
    await askOften('unhealthy', begun)
    expect(await alertsOf(id)).toEqual([])
    expect(await fleet.of(id)).toMatchObject({ status: 'unhealthy', troubled_checks: 1, unhealthy_checks: 1 })
    await askOften('unhealthy', begun + INTERVAL_MS)
    await askOften('unhealthy', begun + 2 * INTERVAL_MS)
    expect(await alertsOf(id)).toMatchObject([{ severity: 'critical', open: true }])
    await askOften('healthy', begun + 3 * INTERVAL_MS)
    expect(await alertsOf(id)).toMatchObject([{ open: true }])
    expect(await fleet.of(id)).toMatchObject({ status: 'healthy', calm_checks: 1 })
  })

  it('written by several workers at once are one alert', async () => {
    const ids = await fleet.add(5)
    const batches = Array.from({ length: 6 }, (_, index) =>
      ids.map((id) => result(id, 'unhealthy', { at: Date.now() + index * INTERVAL_MS })),
    )
    for (const batch of batches) await Promise.all([fleet.record(batch), fleet.record([...batch].reverse())])
    for (const id of ids) expect(await alertsOf(id)).toHaveLength(1)
  })
})

describe('an alert', () => {
  it('says why in words, and names the reasons; not what changes nothing', async () => {
    const id = await fleet.addOne()
    const reasons = [
      { code: 'storage_high', severity: 'unhealthy', message: '96 % of the storage quota is used.' },
      { code: 'schema_outdated', severity: 'info', message: 'The schema is at version 1 of 2.' },
      { code: 'slow_queries', severity: 'degraded', message: 'A round trip takes 900 ms.' },
    ]
    for (const ago of [3, 2, 1])
      await fleet.record([result(id, 'unhealthy', { at: Date.now() - ago * INTERVAL_MS, reasons })])
    expect(await alertsOf(id)).toMatchObject([
      {
        message: '96 % of the storage quota is used. A round trip takes 900 ms.',
        metadata: { status: 'unhealthy', codes: ['storage_high', 'slow_queries'] },
      },
    ])
  })

  it('that was a warning for as long as its policy says becomes critical', async () => {
    const id = await fleet.addOne()
    await fleet.recordAll(id, statuses('ddd'), Date.now() - 60_000)
    await project.sql`update public.tenant_alerts set opened_at = now() - interval '59 minutes'`
    await fleet.recordAll(id, statuses('d'), Date.now() - 30_000)
    expect(await alertsOf(id)).toMatchObject([{ severity: 'warning', escalated: false }])
    await project.sql`update public.tenant_alerts set opened_at = now() - interval '61 minutes'`
    await fleet.recordAll(id, statuses('d'))
    expect(await alertsOf(id)).toMatchObject([{ severity: 'critical', escalated: true }])
  })

  it('stays a warning for ever where its policy says so', async () => {
    await project.sql`update provisioning.alert_policies set escalate_after_minutes = null`
    const id = await fleet.addOne()
    await fleet.recordAll(id, statuses('ddd'), Date.now() - 60_000)
    await project.sql`update public.tenant_alerts set opened_at = now() - interval '1 year'`
    await fleet.recordAll(id, statuses('d'))
    expect(await alertsOf(id)).toMatchObject([{ severity: 'warning', escalated: false }])
  })
})

interface Claimed {
  readonly id: string
  readonly attempts: number
  readonly url: string | null
  readonly secret: string
  readonly type: string
  readonly data: Readonly<Record<string, unknown>>
}

const claim = () =>
  project.sql<Claimed[]>`
    select id, attempts, url, secret, payload ->> 'type' as type, payload -> 'data' as data
    from provisioning.claim_alert_deliveries(10)`
const finish = (id: string, error: string | null = null) =>
  project.sql`select provisioning.finish_alert_delivery(${id}, ${error})`
const enqueued = async () =>
  (
    await project.sql<
      { event: string }[]
    >`select event from provisioning.alert_deliveries order by created_at`
  ).map(({ event }) => event)
const setUrl = () => project.sql`select vault.create_secret('https://hooks.example.com/tenants', ${URL_NAME})`
const allDue = () =>
  project.sql`update provisioning.alert_deliveries set next_attempt_at = now() where next_attempt_at is not null`

describe('a delivery', () => {
  const trouble = async (letters: string, id?: string, base?: number) => {
    const tenant = id ?? (await fleet.addOne())
    await fleet.recordAll(tenant, statuses(letters), base)
    return tenant
  }

  it('is made for nothing while there is no address to send to', async () => {
    await trouble('dddhh')
    expect(await enqueued()).toEqual([])
  })

  it('is made for the opening, the escalation and the end of an alert, once each', async () => {
    await setUrl()
    await trouble('dddduuuuuhhhh')
    expect(await enqueued()).toEqual(['opened', 'escalated', 'resolved'])
  })

  it('is made for a job that failed, too', async () => {
    await setUrl()
    const id = await fleet.addOne()
    await project.sql`select provisioning.open_alert(${id}, 'provision_failed', 'critical', 'Stripe refused.')`
    expect(await claim()).toMatchObject([
      {
        type: 'tenant.alert.opened',
        data: { kind: 'provision_failed', message: 'Stripe refused.', organization: { id } },
      },
    ])
  })

  it('is made for no severity that the policies keep quiet, and for what follows only when it gets worse', async () => {
    await setUrl()
    await project.sql`update provisioning.alert_policies set notify = false where severity = 'warning'`
    await trouble('dddhh')
    expect(await enqueued()).toEqual([])
    await trouble('ddduuuhh')
    expect(await enqueued()).toEqual(['escalated', 'resolved'])
  })

  it('is made for the end of an alert whose opening was sent, though its severity is kept quiet by then', async () => {
    await setUrl()
    await project.sql`update provisioning.alert_policies set notify = false where severity = 'critical'`
    await trouble('ddduuuhh')
    expect(await enqueued()).toEqual(['opened', 'resolved'])
  })

  it('is not made for the end of an alert that opened before there was an address', async () => {
    const id = await trouble('ddd', undefined, Date.now() - 60_000)
    await setUrl()
    await trouble('hh', id)
    expect(await enqueued()).toEqual([])
  })

  it('is claimed by one of many workers, and by another one when that one was silent for a minute', async () => {
    await setUrl()
    for (const _ of Array(8)) await trouble('ddd')
    const claims = (await Promise.all([claim(), claim(), claim()])).flat()
    expect(new Set(claims.map(({ id }) => id)).size).toBe(claims.length)
    expect(claims.length + (await claim()).length).toBe(8)
    expect(await claim()).toEqual([])
    await project.sql`update provisioning.alert_deliveries set next_attempt_at = next_attempt_at - interval '61 seconds'`
    const again = await claim()
    expect(again).toHaveLength(8)
    expect(again.every(({ attempts }) => attempts === 2)).toBe(true)
  })

  it('waits for what happened to the same alert before it', async () => {
    await setUrl()
    await trouble('ddduuuhh')
    const order: string[] = []
    for (const _ of Array(3)) {
      const { id, type } = only(await claim())
      order.push(type)
      // Not even while the one before it waits for another try.
      await finish(id, 'The webhook answered 500.')
      expect(await claim()).toEqual([])
      await allDue()
      await finish(only(await claim()).id)
    }
    expect(order).toEqual(['tenant.alert.opened', 'tenant.alert.escalated', 'tenant.alert.resolved'])
    expect(await claim()).toEqual([])
  })

  it('tells who it is about and how the alert stands, and carries the key that signs it', async () => {
    await setUrl()
    const id = await trouble('ddd')
    const delivery = only(await claim())
    expect(delivery).toMatchObject({
      url: 'https://hooks.example.com/tenants',
      type: 'tenant.alert.opened',
      data: {
        kind: 'tenant_health',
        severity: 'warning',
        resolvedAt: null,
        organization: { id, slug: expect.stringMatching(/^tenant-/) },
      },
    })
    expect(delivery.secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
  })

  it('is tried again after half a minute, then ever later, and is given up after 20 times', async () => {
    await setUrl()
    await trouble('ddd')
    const waits: (number | null)[] = []
    for (let attempt = 1; attempt <= 20; attempt++) {
      await allDue()
      const { id, attempts } = only(await claim())
      expect(attempts).toBe(attempt)
      await finish(id, 'The webhook answered 500.')
      const { wait } = only(
        await project.sql<{ wait: number | null }[]>`
          select extract(epoch from next_attempt_at - clock_timestamp())::float8 as wait from provisioning.alert_deliveries`,
      )
      waits.push(wait === null ? null : Math.ceil(wait))
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1920, ...Array(12).fill(3600), null])
    await allDue()
    expect(await claim()).toEqual([])
    expect(
      only(await project.sql`select last_error, delivered_at from provisioning.alert_deliveries`),
    ).toEqual({
      last_error: 'The webhook answered 500.',
      delivered_at: null,
    })
  })

  it('that was taken is never tried again, whatever a slow worker says later', async () => {
    await setUrl()
    await trouble('ddd')
    const { id } = only(await claim())
    await finish(id)
    await finish(id, 'The webhook could not be reached.')
    await allDue()
    expect(await claim()).toEqual([])
    const { told } = only(await project.sql`select notified_at is not null as told from public.tenant_alerts`)
    expect(told).toBe(true)
  })

  it('that is told delivered waits for whoever removes its alert, and neither is refused for a deadlock', async () => {
    await setUrl()
    await trouble('ddd')
    const { id } = only(await claim())
    let told: Promise<unknown> | undefined
    await project.sql.begin(async (tx) => {
      await tx`select from public.tenant_alerts for update`
      told = finish(id).then(() => 'told')
      await blocked(project, 1)
      await tx`delete from public.tenant_alerts`
    })
    expect(await told).toBe('told')
    expect(await enqueued()).toEqual([])
  })

  it('has no address any more when that was taken out of Vault', async () => {
    await setUrl()
    await trouble('ddd')
    await project.sql`delete from vault.secrets where name = ${URL_NAME}`
    expect(await claim()).toMatchObject([{ url: null }])
  })
})

describe('the doorbell of alerts', () => {
  const rings = async () =>
    (await queuedDoorbells(project.sql)).map(({ url }) => url.slice(url.lastIndexOf('/') + 1))
  const open = (id: string) =>
    project.sql`select provisioning.open_alert(${id}, 'tenant_health', 'warning', 'It is slow.')`
  const tick = async () =>
    only(await project.sql<{ rung: number }[]>`select provisioning.alert_tick() as rung`).rung

  beforeEach(async () => {
    await project.sql`delete from net.http_request_queue`
    await project.sql`select setval('provisioning.rung_until_of_alerts', 1, false)`
  })

  it('rings as soon as there is something to deliver, and not before', async () => {
    const id = await fleet.addOne()
    await open(id)
    expect(await rings(), 'nobody is to be told').toEqual([])
    await setUrl()
    await project.sql`select provisioning.open_alert(${id}, 'provision_failed', 'critical', 'Stripe refused.')`
    expect(await rings()).toEqual(['deliver-alerts'])
  })

  it('rings once for a hundred alerts', async () => {
    await setUrl()
    const ids = await fleet.add(100)
    // Long enough for a slow machine.
    await withSettings(
      project,
      { doorbell_interval_milliseconds: 60_000 },
      () => project.sql`select provisioning.open_alert(id, 'tenant_health', 'warning', 'It is slow.')
        from unnest(${ids}::uuid[]) id`,
    )
    expect(await enqueued()).toHaveLength(100)
    expect(await rings()).toEqual(['deliver-alerts'])
  })

  it('is rung by the tick for what is to be tried again, and not while that waits', async () => {
    await setUrl()
    const id = await fleet.addOne()
    expect(await tick()).toBe(0)
    await open(id)
    expect(await tick()).toBe(1)
    await finish(only(await claim()).id, 'The webhook answered 500.')
    await project.sql`select provisioning.resolve_alert(${id}, 'tenant_health')`
    expect(await tick(), 'what follows is due, and waits for the first').toBe(0)
    await allDue()
    expect(await tick()).toBe(1)
  })

  it('is rung by cron every 30 seconds', async () => {
    const jobs =
      await project.sql`select schedule, command from cron.job where jobname = 'tenant-provisioning-alert-tick'`
    expect(jobs).toEqual([{ schedule: '30 seconds', command: 'select provisioning.alert_tick()' }])
  })
})
