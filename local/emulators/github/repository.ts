import type { Endpoints } from '@octokit/types'
import { isoSeconds } from '../clock.ts'
import type { BoxKeys } from './sealed-boxes.ts'

/** What the emulator keeps of a repository. Times are milliseconds since the Unix epoch. */
export interface RepositoryRecord {
  readonly id: number
  readonly owner: string
  readonly name: string
  readonly description: string | null
  readonly private: boolean
  readonly archived: boolean
  readonly isTemplate: boolean
  /** The template that it was made from. */
  readonly templateId: number | null
  readonly defaultBranch: string
  readonly createdAt: number
  readonly updatedAt: number
  /** When the template's content is in it. Until then it has no branch. */
  readonly filledAt: number
  readonly keys: BoxKeys
  readonly variables: Readonly<Record<string, Entry & { readonly value: string }>>
  readonly secrets: Readonly<Record<string, Entry & { readonly sealed: string }>>
  /** Under which it is found no more, but redirected from, until another takes the name. */
  readonly formerNames: readonly string[]
}

export interface Entry {
  readonly createdAt: number
  readonly updatedAt: number
}

type Full = Endpoints['GET /repos/{owner}/{repo}']['response']['data']
type Minimal = Endpoints['GET /orgs/{org}/repos']['response']['data'][number]
type Template = NonNullable<Full['template_repository']>
type Owner = Full['owner']

export function fullName({ owner, name }: RepositoryRecord): string {
  return `${owner}/${name}`
}

/** As GitHub's description of `full-repository` has it. */
export function fullJson(
  repository: RepositoryRecord,
  template: RepositoryRecord | undefined,
  origin: string,
): Full {
  return {
    ...commonJson(repository, origin),
    license: null,
    ...(template === undefined ? {} : { template_repository: templateJson(template, origin) }),
    allow_squash_merge: true,
    allow_merge_commit: true,
    allow_rebase_merge: true,
    subscribers_count: 1,
    network_count: 0,
  }
}

export function minimalJson(repository: RepositoryRecord, origin: string): Minimal {
  return { ...commonJson(repository, origin), license: null }
}

function templateJson(repository: RepositoryRecord, origin: string): Template {
  return { ...commonJson(repository, origin), license: null }
}

function commonJson(repository: RepositoryRecord, origin: string) {
  const { id, name, description, archived, defaultBranch, isTemplate } = repository
  const html = `https://github.com/${fullName(repository)}`
  return {
    ...apiUrls(`${origin}/repos/${fullName(repository)}`),
    id,
    node_id: `R_${id}`,
    name,
    full_name: fullName(repository),
    owner: ownerJson(repository.owner, origin),
    private: repository.private,
    visibility: repository.private ? 'private' : 'public',
    html_url: html,
    description,
    fork: false,
    git_url: `git://github.com/${fullName(repository)}.git`,
    ssh_url: `git@github.com:${fullName(repository)}.git`,
    clone_url: `${html}.git`,
    svn_url: html,
    mirror_url: null,
    homepage: null,
    language: null,
    // GitHub counts it in the background: a new one with content says 0, too.
    size: 0,
    default_branch: defaultBranch,
    is_template: isTemplate,
    archived,
    disabled: false,
    ...NO_ACTIVITY,
    created_at: isoSeconds(repository.createdAt),
    updated_at: isoSeconds(repository.updatedAt),
    pushed_at: isoSeconds(Math.max(repository.createdAt, repository.filledAt)),
    permissions: { admin: true, maintain: true, push: true, triage: true, pull: true },
  }
}

const NO_ACTIVITY = {
  forks: 0,
  forks_count: 0,
  watchers: 0,
  watchers_count: 0,
  stargazers_count: 0,
  open_issues: 0,
  open_issues_count: 0,
  topics: [] as string[],
  has_issues: true,
  has_projects: true,
  has_wiki: true,
  has_pages: false,
  has_downloads: true,
  has_discussions: false,
}

function apiUrls(url: string) {
  return {
    url,
    archive_url: `${url}/{archive_format}{/ref}`,
    assignees_url: `${url}/assignees{/user}`,
    blobs_url: `${url}/git/blobs{/sha}`,
    branches_url: `${url}/branches{/branch}`,
    collaborators_url: `${url}/collaborators{/collaborator}`,
    comments_url: `${url}/comments{/number}`,
    commits_url: `${url}/commits{/sha}`,
    compare_url: `${url}/compare/{base}...{head}`,
    contents_url: `${url}/contents/{+path}`,
    contributors_url: `${url}/contributors`,
    deployments_url: `${url}/deployments`,
    downloads_url: `${url}/downloads`,
    events_url: `${url}/events`,
    forks_url: `${url}/forks`,
    git_commits_url: `${url}/git/commits{/sha}`,
    git_refs_url: `${url}/git/refs{/sha}`,
    git_tags_url: `${url}/git/tags{/sha}`,
    hooks_url: `${url}/hooks`,
    issue_comment_url: `${url}/issues/comments{/number}`,
    issue_events_url: `${url}/issues/events{/number}`,
    issues_url: `${url}/issues{/number}`,
    keys_url: `${url}/keys{/key_id}`,
    labels_url: `${url}/labels{/name}`,
    languages_url: `${url}/languages`,
    merges_url: `${url}/merges`,
    milestones_url: `${url}/milestones{/number}`,
    notifications_url: `${url}/notifications{?since,all,participating}`,
    pulls_url: `${url}/pulls{/number}`,
    releases_url: `${url}/releases{/id}`,
    stargazers_url: `${url}/stargazers`,
    statuses_url: `${url}/statuses/{sha}`,
    subscribers_url: `${url}/subscribers`,
    subscription_url: `${url}/subscription`,
    tags_url: `${url}/tags`,
    teams_url: `${url}/teams`,
    trees_url: `${url}/git/trees{/sha}`,
  }
}

function ownerJson(login: string, origin: string): Owner {
  const url = `${origin}/users/${login}`
  return {
    login,
    id: 1,
    node_id: `O_${login}`,
    avatar_url: 'https://avatars.githubusercontent.com/u/1',
    gravatar_id: '',
    url,
    html_url: `https://github.com/${login}`,
    followers_url: `${url}/followers`,
    following_url: `${url}/following{/other_user}`,
    gists_url: `${url}/gists{/gist_id}`,
    starred_url: `${url}/starred{/owner}{/repo}`,
    subscriptions_url: `${url}/subscriptions`,
    organizations_url: `${url}/orgs`,
    repos_url: `${url}/repos`,
    events_url: `${url}/events{/privacy}`,
    received_events_url: `${url}/received_events`,
    type: 'Organization',
    site_admin: false,
  }
}
