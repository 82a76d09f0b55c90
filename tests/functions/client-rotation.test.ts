import { expect, it } from 'vitest'
import { operatorOf, tenantsJson } from '../cli/cli.ts'
import { startTestProject } from '../support/project.ts'

it('a rotation of a client with a project of its own tells repository, deployment and workflows of the new key', async () => {
  await using project = await startTestProject({ settings: { default_tier: 'project' } })
  const { supabase, github, vercel } = project.services
  if (!supabase || !github || !vercel) throw new Error('all services are emulated')
  supabase.setLimits({ requestsPerMinute: Number.POSITIVE_INFINITY })
  const person = await project.signUp()
  await project.waitFor(person.organizationId, 'ready', 60_000)
  const secrets = async () => {
    const [row] = await project.sql<{ secrets: Record<string, string> }[]>`
      select provisioning.project_secrets(${person.organizationId}) as secrets`
    return row?.secrets ?? {}
  }
  const before = await secrets()
  const deployments = vercel.deployments.length
  const { code } = await tenantsJson(operatorOf(project), 'rotate', person.organizationId)
  expect(code).toBe(0)
  await project.whileTimePasses(
    'end of the rotation',
    async () => {
      const [job] = await project.sql<{ status: string }[]>`
        select status from public.provisioning_jobs
        where organization_id = ${person.organizationId} and kind = 'rotate_credentials'`
      if (job?.status === 'failed') throw new Error('the rotation has failed')
      return job?.status === 'succeeded' || undefined
    },
    person.organizationId,
  )
  const { secretKey, databasePassword } = await secrets()
  expect(secretKey).toMatch(/^sb_secret_/)
  expect(secretKey).not.toBe(before.secretKey)
  expect(databasePassword).not.toBe(before.databasePassword)
  expect(github.secret(github.repositories[0]?.id ?? 0, 'SUPABASE_SECRET_KEY')).toBe(secretKey)
  const given = vercel.projects.flatMap(({ variables }) =>
    variables.filter(({ key }) => key === 'SUPABASE_SECRET_KEY').map(({ value }) => value),
  )
  expect(new Set(given)).toEqual(new Set([secretKey]))
  expect(vercel.deployments).toHaveLength(deployments + 1)
  const credentials = project.n8nEmulator.contents.credentials.filter(({ type }) => type === 'supabaseApi')
  expect(credentials.map(({ data }) => data.serviceRole)).toEqual([secretKey])
}, 180_000)
