import { createRouter, type Matched as Match } from '../http/routes.ts'

/** Operations by the ids of GitHub's OpenAPI description, with method and path. */
const ROUTES = [
  ['apps/get-authenticated', 'GET', '/app'],
  ['apps/get-org-installation', 'GET', '/orgs/{org}/installation'],
  ['apps/create-installation-access-token', 'POST', '/app/installations/{installation}/access_tokens'],
  ['rate-limit/get', 'GET', '/rate_limit'],
  ['repos/list-for-org', 'GET', '/orgs/{org}/repos'],
  ['repos/get', 'GET', '/repos/{owner}/{repo}'],
  ['repos/update', 'PATCH', '/repos/{owner}/{repo}'],
  ['repos/delete', 'DELETE', '/repos/{owner}/{repo}'],
  ['repos/get-branch', 'GET', '/repos/{owner}/{repo}/branches/{branch}'],
  ['repos/create-using-template', 'POST', '/repos/{owner}/{repo}/generate'],
  ['actions/list-repo-variables', 'GET', '/repos/{owner}/{repo}/actions/variables'],
  ['actions/create-repo-variable', 'POST', '/repos/{owner}/{repo}/actions/variables'],
  ['actions/update-repo-variable', 'PATCH', '/repos/{owner}/{repo}/actions/variables/{name}'],
  ['actions/list-repo-secrets', 'GET', '/repos/{owner}/{repo}/actions/secrets'],
  ['actions/get-repo-public-key', 'GET', '/repos/{owner}/{repo}/actions/secrets/public-key'],
  ['actions/create-or-update-repo-secret', 'PUT', '/repos/{owner}/{repo}/actions/secrets/{name}'],
  // Not in the description: it is where GitHub redirects to from the former name of a repository, and is as stable as its id.
  ['repos/get-by-id', 'GET', '/repositories/{id}'],
] as const

export type OperationId = (typeof ROUTES)[number][0]

export type Matched = Match<OperationId>

export const matchRoute = createRouter<OperationId>(ROUTES)
