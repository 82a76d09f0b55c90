import { isoSeconds } from '../clock.ts'
import { type ProjectKey, type ProjectRecord, SERVICES, serviceStatusOf, statusOf } from './project.ts'

/** What a representation needs to know besides the record. */
export interface View {
  readonly now: number
  readonly organizationSlug: string
  readonly host: string
  readonly pooledHost: string
  readonly postgresPort: number
  readonly servicesMs: number
}

export function projectJson(project: ProjectRecord, view: View) {
  return {
    id: project.ref,
    ref: project.ref,
    organization_id: view.organizationSlug,
    organization_slug: view.organizationSlug,
    name: project.name,
    region: project.region,
    created_at: isoSeconds(project.createdAt),
    status: statusOf(project, view.now),
  }
}

export function projectWithDatabaseJson(project: ProjectRecord, view: View) {
  const database = { host: view.host, version: '17.6.1.001', postgres_engine: '17', release_channel: 'ga' }
  return { ...projectJson(project, view), database }
}

export function organizationProjectJson(project: ProjectRecord, view: View) {
  const status = statusOf(project, view.now)
  return {
    ref: project.ref,
    name: project.name,
    cloud_provider: 'AWS',
    region: project.region,
    is_branch: false,
    status,
    inserted_at: isoSeconds(project.createdAt),
    databases: [
      {
        infra_compute_size: project.instanceSize,
        region: project.region,
        status: DATABASE_STATUSES.find((known) => known === status) ?? 'UNKNOWN',
        cloud_provider: 'AWS',
        identifier: project.ref,
        type: 'PRIMARY',
      },
    ],
  }
}

/** A database has fewer states than a project. */
const DATABASE_STATUSES = ['ACTIVE_HEALTHY', 'ACTIVE_UNHEALTHY', 'COMING_UP', 'INIT_FAILED', 'RESTORING']

export function healthJson(project: ProjectRecord, services: readonly string[], view: View) {
  return SERVICES.filter((service) => services.includes(service)).map((name) => {
    const status = serviceStatusOf(project, name, view.servicesMs, view.now)
    const error = status === 'UNHEALTHY' ? { error: 'Service is not healthy' } : {}
    return { name, healthy: status === 'ACTIVE_HEALTHY', status, ...error }
  })
}

/** Without `reveal`, what is secret is shown by its beginning. */
export function keyJson({ id, type, name, key, createdAt }: ProjectKey, reveal: boolean) {
  const isSecret = type === 'secret' || name === 'service_role'
  const createdIso = new Date(createdAt).toISOString()
  return {
    ...{ id, type, name },
    api_key: isSecret && !reveal ? `${key.slice(0, 15)}···` : key,
    prefix: type === 'legacy' ? null : key.slice(0, 15),
    description: null,
    inserted_at: createdIso,
    updated_at: createdIso,
  }
}

/**
 * The vendor's database and role are both `postgres`, and a project's own host leads to them. All of ours stand on one host, so that
 * they have names of their own. As at the vendor, who comes through the pooler says the project's ref behind the name of the role.
 */
export function poolerJson({ ref, physicalName }: ProjectRecord, view: View) {
  const user = `${physicalName}.${ref}`
  const uri = `postgresql://${user}:[YOUR-PASSWORD]@${view.pooledHost}:${view.postgresPort}/${physicalName}`
  return {
    identifier: ref,
    database_type: 'PRIMARY',
    is_using_scram_auth: true,
    db_user: user,
    db_host: view.pooledHost,
    db_port: view.postgresPort,
    db_name: physicalName,
    connection_string: uri,
    connectionString: uri,
    default_pool_size: 15,
    max_client_conn: 200,
    pool_mode: 'transaction',
  }
}
