export const TARGETS = ['production', 'preview', 'development'] as const
export type Target = (typeof TARGETS)[number]
export const VARIABLE_TYPES = ['plain', 'encrypted', 'sensitive', 'system', 'secret'] as const

export interface VariableRecord {
  readonly id: string
  readonly key: string
  readonly value: string
  readonly type: (typeof VARIABLE_TYPES)[number]
  readonly target: readonly Target[]
  readonly createdAt: number
  readonly updatedAt: number
}

/** What the emulator keeps of a project. Times are milliseconds since the Unix epoch, as in Vercel's replies. */
export interface ProjectRecord {
  readonly id: string
  readonly name: string
  readonly framework: string | null
  readonly link: { readonly org: string; readonly repo: string; readonly repoId: number } | null
  readonly createdAt: number
  readonly updatedAt: number
  readonly variables: readonly VariableRecord[]
}

export interface DeploymentRecord {
  readonly id: string
  readonly projectId: string
  readonly name: string
  readonly url: string
  readonly target: 'production' | null
  readonly meta: Readonly<Record<string, string>>
  readonly ref: string
  readonly createdAt: number
  readonly buildingAt: number
  readonly endsAt: number
  readonly canceledAt: number | null
  /** Why its build fails; null for one that succeeds. */
  readonly failure: { readonly code: string; readonly message: string } | null
}

export type ReadyState = 'QUEUED' | 'BUILDING' | 'READY' | 'ERROR' | 'CANCELED'

export function stateOf(deployment: DeploymentRecord, now: number): ReadyState {
  if (deployment.canceledAt !== null) return 'CANCELED'
  if (now < deployment.buildingAt) return 'QUEUED'
  if (now < deployment.endsAt) return 'BUILDING'
  return deployment.failure ? 'ERROR' : 'READY'
}

export function productionHost({ name }: Pick<ProjectRecord, 'name'>): string {
  return `${name}.vercel.app`
}

const RESOURCES = { fluid: true, functionDefaultRegions: ['iad1'], buildMachineSelection: 'elastic' }

export function projectJson(project: ProjectRecord, accountId: string) {
  const { id, name, framework, link, createdAt, updatedAt } = project
  return {
    id,
    name,
    accountId,
    framework,
    createdAt,
    updatedAt,
    directoryListing: false,
    deploymentExpiration: {},
    resourceConfig: RESOURCES,
    defaultResourceConfig: RESOURCES,
    nodeVersion: '24.x',
    live: false,
    passwordProtection: null,
    ssoProtection: null,
    trustedIps: null,
    optionsAllowlist: null,
    alias: [],
    latestDeployments: [],
    targets: {},
    ...(link && {
      link: {
        type: 'github',
        ...link,
        productionBranch: 'main',
        deployHooks: [],
        gitCredentialId: 'cred_local',
        sourceless: false,
        createdAt,
        updatedAt: createdAt,
      },
    }),
  }
}

/** A sensitive one never shows its value again, the others do only to who asks for one by its id. */
export function variableJson({ value, ...variable }: VariableRecord) {
  return {
    ...variable,
    value: variable.type === 'plain' ? value : '',
    configurationId: null,
    securityIssues: [],
  }
}

export function deploymentJson(deployment: DeploymentRecord, project: ProjectRecord, now: number) {
  const { id, name, url, target, meta, failure, createdAt } = deployment
  const readyState = stateOf(deployment, now)
  const isReady = readyState === 'READY'
  return {
    id,
    uid: id,
    name,
    url,
    projectId: project.id,
    target,
    meta,
    readyState,
    status: readyState,
    state: readyState,
    createdAt,
    created: createdAt,
    ...(now >= deployment.buildingAt ? { buildingAt: deployment.buildingAt } : {}),
    ...(isReady ? { ready: deployment.endsAt } : {}),
    alias: isReady && target === 'production' ? [productionHost(project)] : [],
    aliasAssigned: isReady && target === 'production' ? deployment.endsAt : null,
    type: 'LAMBDAS',
    source: 'git',
    ...(readyState === 'ERROR' && failure
      ? { errorCode: failure.code, errorMessage: failure.message, errorStep: 'buildStep' }
      : {}),
    inspectorUrl: `https://vercel.com/local/${name}/${id.slice('dpl_'.length)}`,
    creator: { uid: 'user_local', username: 'local' },
  }
}

/** Lists name no domains. */
export function deploymentListItemJson(deployment: DeploymentRecord, project: ProjectRecord, now: number) {
  const { alias: _alias, ...listed } = deploymentJson(deployment, project, now)
  return listed
}
