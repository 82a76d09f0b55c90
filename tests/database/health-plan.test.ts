import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { HealthFleet } from './health-fleet.ts'
import { only, openProject, type Project } from './project.ts'

let project: Project
let fleet: HealthFleet

beforeAll(async () => {
  project = await openProject()
  fleet = new HealthFleet(project)
})

beforeEach(() => fleet.clear())

afterAll(async () => {
  await project.close()
})

describe('a plan', () => {
  it('is to do nothing when nobody is due', async () => {
    const ids = await fleet.add(3)
    await fleet.backdate(ids, -600)
    expect(await fleet.plan()).toEqual({ mode: 'none', token: null, cursor: null })
  })

  it('is to ask for each when that costs no more calls than the list has pages', async () => {
    await fleet.add(3)
    await project.sql`update provisioning.fleet_read set projects = 1200`
    expect(await fleet.plan()).toMatchObject({ mode: 'each' })
    await fleet.addOne()
    expect(await fleet.plan()).toMatchObject({ mode: 'fleet', cursor: null })
  })

  it('lets one of many workers read the list', async () => {
    await fleet.add(5)
    const plans = await Promise.all(Array.from({ length: 8 }, () => fleet.plan()))
    expect(plans.map(({ mode }) => mode).sort()).toEqual([...Array(7).fill('busy'), 'fleet'])
  })

  it('hands the read of a silent worker on, at the page where it was, and refuses the silent one', async () => {
    const ids = await fleet.add(5)
    const { token } = await fleet.plan()
    expect(await fleet.advance(token, { next: 'page 2', listed: ids.slice(0, 2) })).toBe(true)
    expect(await fleet.plan()).toMatchObject({ mode: 'busy' })
    await project.sql`update provisioning.fleet_read set lease_expires_at = now() - interval '1 second'`
    const successor = await fleet.plan()
    expect(successor).toMatchObject({ mode: 'fleet', cursor: 'page 2' })
    expect(await fleet.advance(token, { next: 'page 3', listed: [] })).toBe(false)
    expect(await fleet.advance(successor.token, { listed: ids.slice(2) })).toBe(false)
    for (const id of ids) expect(await fleet.of(id)).toMatchObject({ awake: false })
  })

  it('is not to read the list again right after its end, whoever is due still', async () => {
    await fleet.add(5)
    const { token } = await fleet.plan()
    await fleet.advance(token, { incomplete: true })
    expect(await fleet.plan()).toMatchObject({ mode: 'none' })
    await project.sql`update provisioning.fleet_read set finished_at = now() - interval '16 seconds'`
    expect(await fleet.plan()).toMatchObject({ mode: 'fleet', cursor: null })
  })

  it('waits for as long as a reader has put the read off', async () => {
    await fleet.add(5)
    const { token } = await fleet.plan()
    await project.sql`select provisioning.abandon_fleet_read(${token}, 40)`
    expect(await fleet.plan()).toMatchObject({ mode: 'busy' })
    await project.sql`select provisioning.abandon_fleet_read(${token}, 0)`
    expect(await fleet.plan()).toMatchObject({ mode: 'fleet' })
  })
})

describe('a read of the list', () => {
  it('that the provider refuses to go on with ends, and the next one begins at the first page', async () => {
    const [seen = '', unseen = ''] = await fleet.add(5)
    const { token } = await fleet.plan()
    await fleet.advance(token, { next: 'page 2', listed: [seen] })
    await project.sql`select provisioning.end_fleet_read(${crypto.randomUUID()})`
    expect(await fleet.plan()).toMatchObject({ mode: 'busy' })
    await project.sql`select provisioning.end_fleet_read(${token})`
    expect(await fleet.of(unseen)).toMatchObject({ awake: false })
    expect(await fleet.plan()).toMatchObject({ mode: 'fleet', cursor: null })
  })

  it('makes those due that are awake and due, and leaves the rest', async () => {
    const [awake = '', asleep = '', later = ''] = await fleet.add(3)
    await fleet.backdate([later], -600)
    const { token } = await fleet.plan()
    await fleet.advance(token, { listed: [awake, asleep, later], awake: [awake, later] })
    expect(await fleet.claim(10, true)).toEqual([awake])
    expect(await fleet.of(later)).toMatchObject({ awake: false })
  })

  it('ends when every tenant has been seen, and goes on while one has not', async () => {
    const ids = await fleet.add(3)
    const { token } = await fleet.plan()
    expect(await fleet.advance(token, { next: 'page 2', listed: ids.slice(0, 2), seen: 400 })).toBe(true)
    expect(await fleet.advance(token, { next: 'page 3', listed: ids.slice(2), seen: 400 })).toBe(false)
    expect(only(await project.sql`select projects, token from provisioning.fleet_read`)).toEqual({
      projects: 800,
      token: null,
    })
    for (const id of ids) expect(await fleet.of(id)).toMatchObject({ awake: false })
  })

  it('counts the projects of all its pages, for the next plan', async () => {
    await fleet.add(3)
    const { token } = await fleet.plan()
    await fleet.advance(token, { next: 'page 2', seen: 400 })
    await fleet.advance(token, { seen: 17 })
    expect(only(await project.sql`select projects, token from provisioning.fleet_read`)).toEqual({
      projects: 417,
      token: null,
    })
  })

  it('deals with sleepers who are due soon, too, but not with one that a worker has', async () => {
    const [soon = '', later = '', claimed = ''] = await fleet.add(3)
    await project.sql`update public.tenant_health set next_check_at = now() + make_interval(secs => case organization_id
      when ${soon} then 100 when ${later} then 130 else -1 end)`
    expect(await fleet.claim(1)).toEqual([claimed])
    const dueSoon = async () => {
      const rows = await project.sql<{ id: string }[]>`
        select f.organization_id as id from provisioning.fleet_tenants(array(
          select neon_project_id from public.organization_databases)) f where f.due_soon`
      return rows.map(({ id }) => id)
    }
    expect(await dueSoon()).toEqual([soon])
    // Also towards the end of its lease.
    await fleet.backdate([claimed], 100)
    expect(await dueSoon()).toEqual([soon])
    await fleet.backdate([claimed], 21)
    expect(await dueSoon()).toEqual(expect.arrayContaining([soon, claimed]))
  })

  it('leaves a tenant that it lacks to the worker that has it', async () => {
    const [there = '', claimed = ''] = await fleet.add(2)
    const { token } = await fleet.plan()
    await project.sql`select from provisioning.claim_health_checks(1, false, ${claimed})`
    await fleet.advance(token, { listed: [there] })
    expect(await fleet.of(claimed)).toMatchObject({ awake: false })
    expect(await fleet.claim(10)).toEqual([there])
  })

  it('makes whom a complete list lacks due at once, each for a closer look', async () => {
    const [there = '', lost = ''] = await fleet.add(2)
    await fleet.add(1)
    await project.sql`update public.tenant_health set next_check_at = now() + interval '10 minutes'
      where organization_id = ${lost}`
    const { token } = await fleet.plan()
    await fleet.advance(token, { listed: [there] })
    expect(await fleet.of(lost)).toMatchObject({ awake: true })
    expect(await fleet.claim(10, true)).toContain(lost)
    expect(await fleet.claim(10, true)).not.toContain(there)
  })

  it.each([
    ['the first page', [true, false]],
    ['the last page', [false, true]],
  ])('concludes nothing from a list that was incomplete on %s', async (_, [first = false, last = false]) => {
    const [there = '', lost = ''] = await fleet.add(2)
    const { token } = await fleet.plan()
    await fleet.advance(token, { next: 'page 2', listed: [there], incomplete: first })
    await fleet.advance(token, { incomplete: last })
    expect(await fleet.of(lost)).toMatchObject({ awake: false })
  })

  it('has whom incomplete lists have lacked for long asked for all the same', async () => {
    const [there = '', lost = '', lostLately = ''] = await fleet.add(3)
    await fleet.backdate([lost], 901)
    const { token } = await fleet.plan()
    await fleet.advance(token, { listed: [there], incomplete: true })
    expect(await fleet.of(lost)).toMatchObject({ awake: true })
    expect(await fleet.of(lostLately)).toMatchObject({ awake: false })
  })

  it('overlooks nobody who came while it was read', async () => {
    await fleet.add(2)
    const { token } = await fleet.plan()
    const late = await fleet.addOne()
    await fleet.advance(token, {})
    expect(await fleet.of(late)).toMatchObject({ awake: false })
  })
})
