import {
  type FailureCatalogue,
  type FailureDefinition,
  generalFailures,
  type Remedy,
} from '../kernel/failures.ts'
import { tenantDatabaseFailures } from '../tenant-database/failures.ts'
import { moveFailures } from './database/move/failures.ts'
import { services } from './registry.ts'

/** Every code that a step's or a job's failure may have. */
export const failureCatalogue: FailureCatalogue = Object.assign(
  {},
  generalFailures,
  tenantDatabaseFailures,
  moveFailures,
  ...services.map(({ failures }) => failures),
)

/**
 * What a person does about a job or a step that has failed with this code for good.
 * @param service of the step that failed: a retry asks for it where the catalogue does not name another
 */
export function remedyFor(code: string | null, service?: string): Remedy {
  const remedy = remedyOf(code === null ? undefined : failureCatalogue[code])
  if (service === undefined) return remedy
  return {
    text: remedy.text,
    commands: remedy.commands.map((each) => (each.command === 'retry' ? { service, ...each } : each)),
  }
}

function remedyOf(definition: FailureDefinition | undefined): Remedy {
  if (definition?.remedy) return definition.remedy
  return definition?.retryable ? ATTEMPTS_USED_UP : UNKNOWN
}

const ATTEMPTS_USED_UP: Remedy = {
  text: 'Every attempt failed. When the cause has passed, retry.',
  commands: [{ command: 'retry' }],
}
/** For the codes of another version, and for those that have no remedy of their own. */
const UNKNOWN: Remedy = { text: 'Mend what the message names, then retry.', commands: [{ command: 'retry' }] }
