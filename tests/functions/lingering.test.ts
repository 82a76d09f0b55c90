import { afterAll, beforeAll, it } from 'vitest'
import { startTestProject, type TestProject } from '../support/project.ts'

let project: TestProject

beforeAll(async () => {
  project = await startTestProject({
    settings: { worker_linger_milliseconds: 15_000, doorbell_interval_milliseconds: 250 },
  })
})

afterAll(() => project?.stop())

it('a worker that has just been at work serves a sign-up whose doorbell does not come', async () => {
  const first = await project.signUp()
  await project.waitFor(first.organizationId)
  await project.whileHeld(async () => {
    const second = await project.signUp()
    await project.waitFor(second.organizationId)
  })
})
