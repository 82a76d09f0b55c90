import { z } from 'zod'
import type { Clock } from '../clock.ts'
import type { Reply } from '../http/exchange.ts'
import { InvalidTuningError } from '../http/tuning.ts'
import { type ProjectRecord, SERVICES, statusOf } from './project.ts'
import type { ProjectStore } from './project-store.ts'

const changesSchema = z.strictObject({
  /** Somebody has renamed it in the dashboard. */
  name: z.string().min(1).max(256).optional(),
  /** true: what the project is becoming takes for ever. false: it has become it. */
  hangs: z.boolean().optional(),
  /** It hangs in this state; null undoes that. */
  status: z
    .enum(['COMING_UP', 'PAUSING', 'RESTORING', 'INIT_FAILED', 'ACTIVE_UNHEALTHY', 'INACTIVE'])
    .nullable()
    .optional(),
  /** Services that are not healthy from now on. */
  unhealthy: z.array(z.enum(SERVICES)).optional(),
})

export type ProjectChanges = z.input<typeof changesSchema>

/** What at the vendor only time and mishaps bring about. @throws InvalidTuningError */
export function changeProject(
  { store, clock }: { readonly store: ProjectStore; readonly clock: Clock },
  project: ProjectRecord,
  wanted: unknown,
): ProjectRecord {
  const changes = changesSchema.safeParse(wanted)
  if (!changes.success) throw new InvalidTuningError(z.prettifyError(changes.error))
  const { name = project.name, hangs, status, unhealthy = project.unhealthy } = changes.data
  const endsAt = hangs === undefined ? project.transition.endsAt : hangs ? null : clock()
  return store.save({
    ...project,
    name,
    unhealthy,
    transition: { ...project.transition, endsAt },
    forcedStatus: status === undefined ? project.forcedStatus : (status ?? undefined),
  })
}

/** `PATCH /_emulator/projects/{ref}` */
export function answerProjectControl(
  parts: { readonly store: ProjectStore; readonly clock: Clock },
  method: string,
  path: string,
  body: unknown,
): Reply | undefined {
  const ref = method === 'PATCH' ? /^\/projects\/([^/]+)$/.exec(path)?.[1] : undefined
  if (ref === undefined) return undefined
  const project = parts.store.get(ref)
  if (project === undefined) return { status: 404, body: { error: `There is no project ${ref}.` } }
  return { status: 200, body: { ref, status: statusOf(changeProject(parts, project, body), parts.clock()) } }
}
