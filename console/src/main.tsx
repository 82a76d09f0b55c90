import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { ProjectContext } from './app/project.ts'
import { createAppRouter } from './app/router.tsx'
import { Notice } from './components/tenants/ui/parts.tsx'
import { queries } from './components/tenants/with-queries.tsx'
import { createAuth } from './lib/auth.ts'
import { readConfig } from './lib/config.ts'
import './styles.css'

const element = document.getElementById('root')
if (!element) throw new Error('The page has no element "root".')
const root = createRoot(element)

// Also for what is asked outside of the components, each of which does this for itself: to go on when the connection is back.
queries.mount()

readConfig().then(
  (config) => {
    const auth = createAuth(config, {
      forget: () => queries.clear(),
      goOn: () => void queries.invalidateQueries(),
    })
    const project = { url: config.url, getAccessToken: auth.getAccessToken, auth }
    root.render(
      <StrictMode>
        <ProjectContext value={project}>
          <RouterProvider router={createAppRouter(project)} />
        </ProjectContext>
      </StrictMode>,
    )
  },
  (error: unknown) => {
    root.render(
      <main className="mx-auto max-w-lg p-6">
        <h1 className="mb-4 text-xl font-semibold">The console cannot start</h1>
        <Notice tone="danger">{error instanceof Error ? error.message : String(error)}</Notice>
      </main>,
    )
  },
)
