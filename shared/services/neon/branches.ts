import { type Api, EndpointType } from '@neondatabase/api-client'
import type { AssertLease } from '../../engine/step.ts'
import { type Result, success } from '../../kernel/result.ts'
import type { GuardedCall } from '../guard.ts'
import { unlessGone } from './http-error.ts'

type Neon = Pick<
  Api<unknown>,
  'listProjectBranches' | 'createProjectBranch' | 'deleteProjectBranch' | 'getConnectionUri'
>

export interface BranchSpec {
  readonly projectId: string
  /** By which it is found again; one of a kind in its project. */
  readonly name: string
  readonly databaseName: string
  readonly roleName: string
  /** When Neon deletes it, should nobody have done so before. */
  readonly expiresAt: Date
}

/** A branch beside a project's first one, with a compute of its own. */
export interface Branch {
  readonly branchId: string
  readonly host: string
  readonly port: number
}

export interface ListedBranch {
  readonly branchId: string
  readonly name: string
  /** ISO 8601. */
  readonly createdAt: string
}

/** All whose name contains this text. */
export async function listBranches(
  neon: Neon,
  call: GuardedCall,
  projectId: string,
  search: string,
): Promise<Result<ListedBranch[]>> {
  const { data } = await call('GET /projects/{id}/branches', () =>
    neon.listProjectBranches({ projectId, search }),
  )
  return success(
    data.branches.map(({ id: branchId, name, created_at: createdAt }) => ({ branchId, name, createdAt })),
  )
}

/** The branch with this name, made when there is none: a copy of the project's first one as it is now. */
export async function openBranch(
  neon: Neon,
  call: GuardedCall,
  spec: BranchSpec,
  assertLease: AssertLease,
): Promise<Result<Branch>> {
  const { projectId, name, databaseName, roleName } = spec
  const listed = await listBranches(neon, call, projectId, name)
  if (!listed.ok) return listed
  const known = listed.value.find((each) => each.name === name)
  const branchId = known?.branchId ?? (await createBranch(neon, call, spec, assertLease))
  const { data } = await call('GET /projects/{id}/connection_uri', () =>
    neon.getConnectionUri({
      projectId,
      branch_id: branchId,
      database_name: databaseName,
      role_name: roleName,
    }),
  )
  const uri = new URL(data.uri)
  return success({ branchId, host: uri.hostname, port: Number(uri.port || 5432) })
}

async function createBranch(
  neon: Neon,
  call: GuardedCall,
  { projectId, name, expiresAt }: BranchSpec,
  assertLease: AssertLease,
): Promise<string> {
  const request = {
    // To the second, as Neon wants it.
    branch: { name, expires_at: expiresAt.toISOString().replace(/\.\d+Z$/, 'Z') },
    endpoints: [{ type: EndpointType.ReadWrite }],
  }
  const { data } = await call(
    'POST /projects/{id}/branches',
    () => neon.createProjectBranch(projectId, request),
    assertLease,
  )
  return data.branch.id
}

/** Succeeds for one that is gone. */
export async function deleteBranch(
  neon: Neon,
  call: GuardedCall,
  projectId: string,
  branchId: string,
  assertLease: AssertLease,
): Promise<Result<void>> {
  await call(
    'DELETE /projects/{id}/branches/{id}',
    () => neon.deleteProjectBranch({ projectId, branchId }).catch(unlessGone),
    assertLease,
  )
  return success(undefined)
}
