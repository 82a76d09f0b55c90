import {
  columnsOf,
  concerns,
  functionName,
  GONE,
  isHarmless,
  keyOf,
  type Made,
  replacing,
  resultOf,
  type Schema,
  schemaOf,
  TABLE,
} from './sql-objects.ts'
import { listOf } from './sql-parts.ts'
import { tableChanges } from './table-changes.ts'

export interface Upgrade {
  /** A migration that makes of what the older files have made what the newer ones make; undefined when that is the same. */
  readonly text: string | undefined
  /** Why there cannot be one, as sentences. */
  readonly problems: readonly string[]
}

/**
 * What a database lacks that has applied older files than these. Functions, triggers, policies, indexes, comments, rights and cron
 * jobs are replaced, tables get columns and constraints, and rows of ours are added. Whatever would lose or guess at data is refused.
 * @param before texts of the files that the project has, in their order, earlier upgrades among them
 * @param after texts of the newest files, in their order
 * @param added those of them that the project gets as files of their own, after the upgrade
 * @param isMapped whether tables of the project are read instead of ours: they get the triggers and rights of today, too
 */
export function upgradeBetween(
  before: readonly string[],
  after: readonly string[],
  added: readonly string[],
  isMapped = false,
): Upgrade {
  const work = new Work(schemaOf(before), schemaOf(after), schemaOf(added))
  work.remove()
  work.make()
  return { text: work.text(isMapped), problems: work.problems }
}

class Work {
  readonly #before: Schema
  readonly #after: Schema
  readonly #added: Schema
  readonly problems: string[] = []
  /** Statements that stand in no file: before the others, and after them. */
  readonly #first: string[] = []
  readonly #last: string[] = []
  /** What the next upgrade has to know of these. */
  readonly #notes: string[] = []
  readonly #made: string[] = []
  /** Objects whose rights and comments are given again. */
  readonly #renewed = new Set<string>()

  constructor(before: Schema, after: Schema, added: Schema) {
    this.#before = before
    this.#after = after
    this.#added = added
  }

  text(isMapped: boolean): string | undefined {
    const isNothing = [this.#first, this.#made, this.#last].every((list) => list.length === 0)
    if (isNothing) return undefined
    const touchesUsers = [...this.#first, ...this.#made].some((statement) =>
      statement.includes(' on auth.users'),
    )
    return `${[
      '-- Written by init: brings what earlier files of tenant provisioning have made up to the newest ones.',
      // Functions may name what a later statement makes.
      'set check_function_bodies = off;',
      ...(touchesUsers ? ['select provisioning.lock_users();'] : []),
      ...[
        ...block(this.#first),
        ...this.#made,
        // Before functions are dropped, because triggers on the project's tables may still call one of them.
        ...block(isMapped ? [MAP_AGAIN] : []),
        ...block(this.#last),
      ].map((statement) => `${statement};`),
      'reset check_function_bodies;',
      "notify pgrst, 'reload schema';",
      ...this.#notes,
    ].join('\n')}\n`
  }

  remove(): void {
    for (const [key, made] of this.#before) {
      if (this.#after.has(key)) continue
      const statement = this.#removal(made)
      if (statement) (made.kind === 'function' ? this.#last : this.#first).push(statement)
      this.#notes.push(`${GONE}${JSON.stringify(key)}`)
    }
  }

  #removal(made: Made): string | undefined {
    const { kind, name, text } = made
    switch (kind) {
      case 'function':
        this.#renewed.add(functionName(name))
        return this.#isUsed(name) ? undefined : `drop function ${name}`
      case 'trigger':
      case 'policy':
      case 'index':
        return `drop ${kind} ${name}`
      case 'schedule':
        return `perform cron.unschedule('${name}')`
      case 'comment':
        return this.#isRemoved(name) ? undefined : `comment on ${name} is null`
      case 'table':
        return this.#refuse(`the table ${name} is gone, and its rows would be lost`)
      case 'row':
        return isHarmless(made) ? undefined : this.#refuse(`“${beginningOf(text)}” is gone`)
      default:
        return this.#removalOfOther(text)
    }
  }

  #removalOfOther(text: string): string | undefined {
    const [, privileges, objects = '', roles] = RIGHTS.exec(text) ?? []
    if (!privileges) return this.#refuse(`there is no way back from “${beginningOf(text)}”`)
    if (this.#isRemoved(objects)) return undefined
    // Of the same object, another statement says what is right.
    const names = listOf(objects.replace(/^(?:function|schema|sequence|table) /, '')).map(functionName)
    for (const name of names) this.#renewed.add(name)
    if (text.startsWith('grant')) return `revoke ${privileges} on ${objects} from ${roles}`
    const isRevoked = [...this.#after.values()].some(
      ({ text: other }) => other.startsWith('revoke') && names.some((name) => concerns(other, name)),
    )
    return isRevoked ? undefined : this.#refuse(`“${beginningOf(text)}” is gone`)
  }

  make(): void {
    for (const [key, made] of this.#after) {
      const old = this.#before.get(key)
      if (this.#added.has(key)) {
        if (old) this.#refuse(`${key} is made by another file now`)
      } else if (!old) this.#makeNew(made)
      else if (old.text !== made.text) this.#change(old, made)
      else if ([...this.#renewed].some((name) => concerns(made.text, name))) this.#made.push(made.text)
    }
  }

  #makeNew(made: Made): void {
    if (made.kind === 'function') this.#renewed.add(functionName(made.name))
    this.#made.push(made.kind === 'row' ? replacing(made) : made.text)
  }

  #change(old: Made, made: Made): void {
    const { kind, name, text } = made
    if (kind === 'table') {
      this.#changeTable(old, made)
      return
    }
    const lost = kind === 'row' && columnsOf(old).find((column) => !columnsOf(made).includes(column))
    if (lost) {
      this.#refuse(`“${beginningOf(text)}” says nothing of ${lost} any more`)
      return
    }
    const isSame = kind === 'function' && resultOf(old.definition) === resultOf(made.definition)
    const isConstraint = [old.text, text].some((each) => each.startsWith('create constraint '))
    const isReplaced = isSame || kind === 'row' || (kind === 'trigger' && !isConstraint)
    if (isReplaced) this.#made.push(replacing(made))
    else if (kind === 'comment' || kind === 'schedule') this.#made.push(text)
    else {
      if (kind === 'function') {
        if (this.#isUsed(name)) return
        this.#renewed.add(functionName(name))
      }
      this.#first.push(`drop ${kind} ${name}`)
      this.#made.push(text)
    }
  }

  #changeTable(old: Made, made: Made): void {
    const { actions, problem } = tableChanges(old.text, made.text)
    if (problem) this.#refuse(`the table ${made.name}: ${problem}`)
    // In their place among the others: a column may have a type that is new, too.
    this.#made.push(...block(actions.map((action) => `alter table ${made.name} ${action}`)))
    this.#notes.push(`${TABLE}${JSON.stringify(made.text)}`)
  }

  /** Whether a policy or something like it calls a function that goes: Postgres would not let it go then. */
  #isUsed(name: string): boolean {
    const call = `${functionName(name)}(`
    const user = [...this.#after.values()].find(
      ({ kind, text }) =>
        (['policy', 'index', 'table'].includes(kind) || (kind === 'other' && DEFINES.test(text))) &&
        text.includes(call),
    )
    if (user) this.#refuse(`the function ${name} is another one now, and ${keyOf(user)} calls it`)
    return user !== undefined
  }

  /** Whether all that a comment or a right is about goes, which takes it along. */
  #isRemoved(objects: string): boolean {
    const removed = [...this.#before].filter(([key]) => !this.#after.has(key)).map(([, made]) => made)
    return removed.some(
      ({ kind, name }) =>
        (kind === 'function' && objects.startsWith(`function ${functionName(name)}(`)) ||
        (['trigger', 'policy', 'index'].includes(kind) && objects === `${kind} ${name}`),
    )
  }

  #refuse(what: string): undefined {
    this.problems.push(
      `A database that has applied the files of the project cannot be brought up to these: ${what}.`,
    )
  }
}

/** Apart from the statements of the files, so that the next upgrade does not take them for such. */
const block = (statements: readonly string[]): string[] =>
  statements.length === 0
    ? []
    : [
        [
          'do $upgrade$',
          'begin',
          ...statements.map((statement) => `  ${statement};`),
          'end',
          '$upgrade$',
        ].join('\n'),
      ]

const MAP_AGAIN =
  "perform provisioning.map_tables(coalesce((select mapping from provisioning.settings), '{}'))"

const RIGHTS = /^(?:grant|revoke) (.*?) on (.*) (?:to|from) (.*)$/
/** Other statements whose objects Postgres ties to the functions that they call. */
const DEFINES = /^(?:create|alter) /

const beginningOf = (text: string) => (text.length > 90 ? `${text.slice(0, 90)}…` : text)
