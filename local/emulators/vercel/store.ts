import type { Journal, JournalEntry } from '../journal.ts'
import type { DeploymentRecord, ProjectRecord } from './records.ts'

/** All projects and their deployments. */
export class VercelStore {
  readonly #journal: Journal
  readonly #projects = new Map<string, ProjectRecord>()
  readonly #deployments = new Map<string, DeploymentRecord>()

  constructor(journal: Journal, entries: readonly JournalEntry[]) {
    this.#journal = journal
    for (const { type, id, value } of entries) {
      // Written by this class alone, so the journal is trusted to hold what it says.
      if (type === 'project') this.#projects.set(id, value as ProjectRecord)
      if (type === 'deployment') this.#deployments.set(id, value as DeploymentRecord)
    }
  }

  project(idOrName: string): ProjectRecord | undefined {
    return this.#projects.get(idOrName) ?? this.projects().find(({ name }) => name === idOrName)
  }

  /** The oldest first. */
  projects(): ProjectRecord[] {
    return [...this.#projects.values()]
  }

  deployment(idOrUrl: string): DeploymentRecord | undefined {
    return this.#deployments.get(idOrUrl) ?? this.deployments().find(({ url }) => url === idOrUrl)
  }

  /** The oldest first. */
  deployments(): DeploymentRecord[] {
    return [...this.#deployments.values()]
  }

  saveProject(project: ProjectRecord): ProjectRecord {
    this.#journal.append([{ type: 'project', id: project.id, value: project }])
    this.#projects.set(project.id, project)
    return project
  }

  saveDeployment(deployment: DeploymentRecord): DeploymentRecord {
    this.#journal.append([{ type: 'deployment', id: deployment.id, value: deployment }])
    this.#deployments.set(deployment.id, deployment)
    return deployment
  }

  /** With its deployments. */
  removeProject({ id }: ProjectRecord): void {
    const deployments = this.deployments().filter(({ projectId }) => projectId === id)
    this.#journal.append([
      { type: 'project', id, value: null },
      ...deployments.map((each) => ({ type: 'deployment', id: each.id, value: null })),
    ])
    this.#projects.delete(id)
    for (const deployment of deployments) this.#deployments.delete(deployment.id)
  }
}
