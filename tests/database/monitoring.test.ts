import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GAUGES, type Reading } from '../../shared/metrics/gauges.ts'
import { failureCatalogue } from '../../shared/services/failures.ts'
import { ALERTS } from '../../tools/monitoring/alerts.ts'
import { MONITORING_FILES } from '../../tools/monitoring/files.ts'
import { projectRoot } from '../../tools/project.ts'
import { openProject, type Project } from './project.ts'

let project: Project
beforeAll(async () => {
  project = await openProject()
})
afterAll(() => project?.close())

const NAMES = Object.keys(GAUGES)
const FILES = Object.entries(MONITORING_FILES)

/** The gauges that a text names, with what it asks of their labels. */
function selectorsIn(text: string): { name: string; matchers: string[][] }[] {
  return [...text.matchAll(/\b(provisioning_\w+)(?:\{([^}]*)\})?/g)].map(([, name = '', matchers = '']) => ({
    name,
    matchers: [...matchers.matchAll(/(\w+)\s*(=~|!=|=)\s*"([^"]*)"/g)].map((match) => match.slice(1)),
  }))
}

/** Everything that alerts and dashboard ask for, in words of PromQL. */
function expressions(): string[] {
  const { panels } = JSON.parse(MONITORING_FILES['docs/monitoring/grafana-dashboard.json']())
  const targets = panels.flatMap((panel: { targets?: { expr: string }[] }) => panel.targets ?? [])
  return [...ALERTS.map(({ expression }) => expression), ...targets.map(({ expr }: { expr: string }) => expr)]
}

/** Which values a label can have: those that the database gives now, and those that it gives when something is wrong. */
async function possibleValues(): Promise<(name: string, label: string) => string[]> {
  const readings = await project.sql<Reading[]>`select metric, labels, value from provisioning.metrics()`
  const later: Readonly<Record<string, readonly string[]>> = {
    severity: ['warning', 'critical'],
    quantile: ['0.5', '0.95'],
    outcome: ['succeeded', 'failed', 'retrying'],
    code: Object.keys(failureCatalogue),
    kind: (await project.sql`select kind from provisioning.job_kinds`).map(({ kind }) => kind),
  }
  return (name, label) => [
    ...(later[label] ?? []),
    ...readings.flatMap(({ metric, labels }) => (metric === name ? (labels[label] ?? []) : [])),
  ]
}

describe('the alerts and the dashboard', () => {
  it.each(FILES)('%s is up to date (npm run monitoring)', async (name, print) => {
    expect(await readFile(path.join(projectRoot, name), 'utf8')).toBe(print())
  })

  it('name only metrics that there are, in every place where one is named', () => {
    const named = FILES.flatMap(([, print]) => selectorsIn(print()).map(({ name }) => name))
    expect(named.length).toBeGreaterThan(60)
    expect(named.filter((name) => !NAMES.includes(name))).toEqual([])
  })

  it('ask for labels that the metric has, with values that it can have', async () => {
    const valuesOf = await possibleValues()
    const asked = expressions().flatMap(selectorsIn)
    const matchers = asked.flatMap(({ name, matchers: each }) =>
      each
        // The project: Prometheus gives it to everything that it reads.
        .filter(([label]) => label !== 'instance')
        .map(([label = '', , value = '']) => ({ name, label, value })),
    )
    expect(matchers.length).toBeGreaterThan(15)
    expect(
      matchers.filter(
        ({ name, label, value }) =>
          !valuesOf(name, label).some((each) => new RegExp(`^(?:${value})$`).test(each)),
      ),
    ).toEqual([])
  })

  it('group by labels that the metric has', () => {
    const wrong = expressions().flatMap((expression) =>
      [...expression.matchAll(/(?:by|without) \(([^)]*)\) \((provisioning_\w+)/g)].flatMap(
        ([, labels = '', name = '']) => {
          const known: readonly string[] =
            Object.entries(GAUGES).find(([each]) => each === name)?.[1].labels ?? []
          return labels.split(', ').filter((label) => !known.includes(label))
        },
      ),
    )
    expect(wrong).toEqual([])
  })

  it('show every metric on the dashboard', () => {
    const shown = new Set(
      selectorsIn(MONITORING_FILES['docs/monitoring/grafana-dashboard.json']()).map(({ name }) => name),
    )
    expect(NAMES.filter((name) => !shown.has(name))).toEqual([])
  })

  it('have an entry of the runbook each, to which the alert leads', async () => {
    const runbook = MONITORING_FILES['docs/alerts.md']()
    const rules = MONITORING_FILES['docs/monitoring/alert-rules.yml']()
    const names = ALERTS.map(({ name }) => name)
    expect(new Set(names).size).toBe(names.length)
    for (const name of names) {
      expect(runbook).toContain(`\n## ${name}\n`)
      expect(rules).toContain(`runbook: 'docs/alerts.md#${name.toLowerCase()}'`)
    }
  })
})
