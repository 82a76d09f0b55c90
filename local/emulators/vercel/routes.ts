import { createRouter, type Matched as Match } from '../http/routes.ts'

/** Operations by the ids of Vercel's OpenAPI description, with method and path. */
const ROUTES = [
  ['getTeam', 'GET', '/v2/teams/{team}'],
  ['createProject', 'POST', '/v11/projects'],
  ['getProjects', 'GET', '/v10/projects'],
  ['getProject', 'GET', '/v9/projects/{project}'],
  ['deleteProject', 'DELETE', '/v9/projects/{project}'],
  ['createProjectEnv', 'POST', '/v10/projects/{project}/env'],
  ['filterProjectEnvs', 'GET', '/v10/projects/{project}/env'],
  ['createDeployment', 'POST', '/v13/deployments'],
  ['getDeployment', 'GET', '/v13/deployments/{deployment}'],
  ['getDeployments', 'GET', '/v7/deployments'],
] as const

export type OperationId = (typeof ROUTES)[number][0]

export type Matched = Match<OperationId>

export const matchRoute = createRouter<OperationId>(ROUTES)
