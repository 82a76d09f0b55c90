import type { Step } from '../../../engine/step.ts'
import { failure } from '../../../kernel/failures.ts'
import type { DatabaseHost } from '../host.ts'
import { moveCheck } from './check.ts'
import { moveCopy } from './copy.ts'
import { reopenDatabase } from './reopen.ts'
import { type MoveContext, moveContext } from './source.ts'
import { moveSwitch } from './switch.ts'

/** What a move has beside the steps of the tier that it goes to. */
export function moveSteps(hosts: readonly DatabaseHost[]): Readonly<Record<string, Step>> {
  const moving =
    (step: (context: MoveContext) => ReturnType<Step>): Step =>
    async (context) => {
      const known = await moveContext(hosts, context)
      return known ? step(known) : { type: 'failed', failure: failure('organization_gone') }
    }
  return {
    move_check: moving(moveCheck),
    move_copy: moving(moveCopy),
    move_switch: moving(moveSwitch),
    reopen_database: moving(reopenDatabase),
  }
}
