import { expect, it } from 'vitest'
import './states/views.ts'
import './states/organizations.ts'
import './states/progress.ts'
import './states/query.ts'
import './states/settings.ts'
import './states/health.ts'
import './states/auth.ts'
import './states/display.ts'
import { trouble } from './states/stage.ts'

it('broke no rule of the policy, and threw nothing', () => {
  expect(trouble.found).toEqual([])
})
