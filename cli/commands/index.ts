import type { Command } from 'commander'
import type { Define } from '../session.ts'
import { registerAccess } from './access.ts'
import { registerBackfill } from './backfill.ts'
import { registerConnection } from './connection.ts'
import { registerDeploy } from './deploy.ts'
import { registerDoctor } from './doctor.ts'
import { registerExpect } from './expect.ts'
import { registerHealth } from './health.ts'
import { registerAlerts, registerEvents } from './history.ts'
import { registerInit } from './init.ts'
import { registerKeys } from './keys.ts'
import { registerList } from './list.ts'
import { registerMigrate } from './migrate.ts'
import { registerMove } from './move.ts'
import { registerOptions } from './options.ts'
import { registerPause, registerPauses, registerResume } from './pauses.ts'
import { registerProviders } from './providers.ts'
import { registerProvision, registerRetry } from './provision.ts'
import { registerCancel, registerDeprovision, registerReadmit } from './removal.ts'
import { registerRetryFailed } from './retry-failed.ts'
import { registerRotate, registerRotateKeys } from './rotation.ts'
import { registerSeed } from './seed.ts'
import { registerStatus } from './status.ts'
import { registerUninstall } from './uninstall.ts'
import { registerWatch } from './watch.ts'

/** Every command, in the order of --help. */
export function registerCommands(program: Command, define: Define): void {
  registerStatus(program, define)
  registerList(program, define)
  registerWatch(program, define)
  registerEvents(program, define)
  registerHealth(program, define)
  registerAlerts(program, define)
  registerConnection(program, define)
  registerKeys(program, define)
  registerAccess(program, define)
  registerRotate(program, define)
  registerRotateKeys(program, define)
  registerExpect(program, define)
  registerOptions(program, define)
  registerProvision(program, define)
  registerRetry(program, define)
  registerRetryFailed(program, define)
  registerCancel(program, define)
  registerDeprovision(program, define)
  registerReadmit(program, define)
  registerBackfill(program, define)
  registerMigrate(program, define)
  registerMove(program, define)
  registerSeed(program, define)
  registerPause(program, define)
  registerResume(program, define)
  registerPauses(program, define)
  registerProviders(program, define)
  registerDoctor(program, define)
  registerInit(program, define)
  registerDeploy(program, define)
  registerUninstall(program, define)
}
