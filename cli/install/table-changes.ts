import { inParentheses, listOf } from './sql-parts.ts'

export interface TableChanges {
  /** Of `alter table`, in an order that works. */
  readonly actions: readonly string[]
  /** Why they are not all. */
  readonly problem?: string
}

const CONSTRAINT = /^constraint (\w+) /
const UNNAMED = /^(?:primary|unique|check|foreign|exclude|like) /
const DEFAULT = / default (?:'(?:[^']|'')*'(?:::[\w.]+)?|[\w.]+(?:\([^()]*\))?)/

/** What makes of a table, as one `create table` has it, the one that another has, without losing or guessing at a value. */
export function tableChanges(before: string, after: string): TableChanges {
  const [old, now] = [inParentheses(before), inParentheses(after)]
  const [oldItems, items] = [listOf(old.inside), listOf(now.inside)]
  const refuse = (problem: string): TableChanges => ({ actions: [], problem })
  if (old.after.trim() !== now.after.trim()) return refuse('it is stored in another way')
  const byName = new Map(oldItems.map((item) => [nameOf(item), item]))
  const names = new Set(items.map(nameOf))
  const lost = oldItems.find((item) => !names.has(nameOf(item)) && !CONSTRAINT.test(item))
  if (lost) return refuse(`“${lost}” is gone`)
  const drops: string[] = []
  const adds: string[] = []
  for (const item of oldItems)
    if (!items.includes(item) && CONSTRAINT.test(item))
      drops.push(`drop ${CONSTRAINT.exec(item)?.[0].trim()}`)
  for (const item of items) {
    const same = byName.get(nameOf(item))
    if (same === item) continue
    if (CONSTRAINT.test(item)) adds.push(`add ${item}`)
    else if (same === undefined) {
      if (UNNAMED.test(item) || (/ not null\b/.test(item) && !/ (?:default|generated) /.test(`${item} `)))
        return refuse(`“${item}” is new, and rows that are there have no value for it`)
      adds.push(`add column ${item}`)
    } else if (same.replace(DEFAULT, '') === item.replace(DEFAULT, ''))
      adds.push(
        `alter column ${nameOf(item)} ${DEFAULT.test(item) ? `set${DEFAULT.exec(item)?.[0]}` : 'drop default'}`,
      )
    else return refuse(`“${same}” is “${item}” now`)
  }
  // A constraint may name a column that is new.
  const isConstraint = (action: string) => action.startsWith('add constraint')
  return { actions: [...drops, ...adds.filter((each) => !isConstraint(each)), ...adds.filter(isConstraint)] }
}

/** Of a column or a constraint; of one without a name, all of it. */
function nameOf(item: string): string {
  const constraint = CONSTRAINT.exec(item)?.[1]
  if (constraint) return `constraint ${constraint}`
  return UNNAMED.test(item) ? item : item.slice(0, item.indexOf(' '))
}
