import { ConnectionRefusal } from '../postgres/connection-refusal.ts'
import type { Admit } from '../postgres/proxy.ts'
import type { ComputeFleet } from './compute-fleet.ts'
import type { ProjectRecord } from './project.ts'
import type { ProjectStore } from './project-store.ts'

const ENDPOINT_OPTION = /(?:^|\s)(?:endpoint|project)(?:=|%3D)(\S+)/

/**
 * Finds the project as Neon's proxy does, and wakes its compute. Without TLS there is no host name to go by, so the project is found
 * by the startup option `endpoint=ep-…` or else by its database, whose name has to be unique then.
 */
export function admitToCompute(store: ProjectStore, fleet: ComputeFleet): Admit {
  return async (parameters, client) => {
    const project = findProject(store, parameters)
    return asPhysical(await fleet.admit(project, client), parameters)
  }
}

/** The startup parameters with the names that the project's database and roles have on the server. */
export function asPhysical(
  project: ProjectRecord,
  given: ReadonlyMap<string, string>,
): ReadonlyMap<string, string> {
  const parameters = new Map(given)
  const role = parameters.get('user') ?? ''
  parameters.set('user', physicalRole(project, role) ?? role)
  parameters.set('database', project.physicalName)
  const options = (parameters.get('options') ?? '').replace(ENDPOINT_OPTION, '').trim()
  if (options === '') parameters.delete('options')
  else parameters.set('options', options)
  return parameters
}

function findProject(store: ProjectStore, parameters: ReadonlyMap<string, string>): ProjectRecord {
  const role = parameters.get('user') ?? ''
  const database = parameters.get('database') ?? role
  const endpointId = ENDPOINT_OPTION.exec(parameters.get('options') ?? '')?.[1]
  if (endpointId !== undefined) return projectOfEndpoint(store, endpointId, role, database)
  const projects = store.byDatabase(database)
  const [project] = projects
  if (project === undefined) {
    const isKnown = store.all().some((each) => each.deletedAt === undefined && each.role.name === role)
    throw isKnown ? noSuchDatabase(database) : wrongPassword(role)
  }
  if (projects.length > 1) throw ambiguous(database, projects.length)
  if (physicalRole(project, role) === undefined) throw wrongPassword(role)
  return project
}

function projectOfEndpoint(
  store: ProjectStore,
  endpointId: string,
  role: string,
  database: string,
): ProjectRecord {
  const project = store.byEndpoint(endpointId.replace(/-pooler$/, ''))
  if (project === undefined || project.deletedAt !== undefined) {
    throw new ConnectionRefusal(
      'XX000',
      "The requested endpoint could not be found, or you don't have access to it. Please check the provided ID and try again.",
    )
  }
  if (physicalRole(project, role) === undefined) throw wrongPassword(role)
  if (project.database.name !== database) throw noSuchDatabase(database)
  return project
}

/**
 * What a role is called on the server. One that the project made by SQL can log in when it is named after the database,
 * as in `NAME_app`: from within, the database has its physical name, and so such a role too.
 */
function physicalRole({ role, database, physicalName }: ProjectRecord, name: string): string | undefined {
  if (name === role.name) return physicalName
  return name.startsWith(`${database.name}_`)
    ? `${physicalName}${name.slice(database.name.length)}`
    : undefined
}

const wrongPassword = (role: string) =>
  new ConnectionRefusal('28P01', `password authentication failed for user '${role}'`)

const noSuchDatabase = (database: string) =>
  new ConnectionRefusal('3D000', `database "${database}" does not exist`)

const ambiguous = (database: string, count: number) =>
  new ConnectionRefusal(
    '08P01',
    `Endpoint ID is not specified. ${count} projects have a database "${database}", and the ` +
      "emulator cannot tell them apart by host name. Pass the endpoint ID as a parameter: '?options=endpoint%3D<endpoint-id>', " +
      'or create projects with unique names of databases.',
  )
