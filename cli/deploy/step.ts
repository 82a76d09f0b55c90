/** Why a step cannot be done, and what to do about it. */
export class DeployProblem extends Error {
  readonly code: string
  readonly remedy: string
  constructor(code: string, message: string, remedy: string) {
    super(message)
    this.code = code
    this.remedy = remedy
  }
}

/** What a step has found. */
export interface Look {
  /** How it is, in a few words. */
  readonly found: string
  /** Each change that is still to be made, as a line; none when there is nothing to do. */
  readonly effects: readonly string[]
}

/** A part of a deployment. The same list serves the dry run, which only looks, and the run. */
export interface Step {
  readonly id: string
  readonly title: string
  /** Changes nothing. @throws DeployProblem */
  look(): Promise<Look>
  /** Makes the changes that the last look has named; never called when there were none. @throws DeployProblem */
  act?(): Promise<void>
}

export interface StepResult {
  readonly id: string
  readonly title: string
  readonly state: 'ok' | 'done' | 'to do' | 'failed'
  readonly found: string
  readonly effects: readonly string[]
  readonly problem?: { readonly code: string; readonly message: string; readonly remedy: string }
}

/**
 * Goes through the steps in their order and stops at the first failure. A step that has nothing to do is passed over, so that another run
 * goes on where this one has stopped.
 * @param dryRun only looks
 * @param told of each step as it ends, and of the one that begins
 */
export async function runSteps(
  steps: readonly Step[],
  dryRun: boolean,
  stop: AbortSignal,
  told: { begins(step: Step): void; ended(result: StepResult): void },
): Promise<StepResult[]> {
  const results: StepResult[] = []
  for (const step of steps) {
    stop.throwIfAborted()
    told.begins(step)
    const result = await resultOf(step, dryRun, stop)
    results.push(result)
    told.ended(result)
    if (result.state === 'failed') break
  }
  return results
}

async function resultOf(step: Step, dryRun: boolean, stop: AbortSignal): Promise<StepResult> {
  const { id, title } = step
  let look: Look = { found: '', effects: [] }
  try {
    look = await step.look()
    if (look.effects.length === 0) return { id, title, state: 'ok', ...look }
    if (dryRun) return { id, title, state: 'to do', ...look }
    await step.act?.()
    return { id, title, state: 'done', ...look }
  } catch (error) {
    stop.throwIfAborted()
    if (!(error instanceof DeployProblem)) throw error
    const { code, message, remedy } = error
    return { id, title, state: 'failed', ...look, problem: { code, message, remedy } }
  }
}
