import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { projectRoot } from '../../tools/project.ts'
import { runProgram } from '../../tools/run-program.ts'

/** Somebody else's application, made with Vite, React, TypeScript and Tailwind. */
export interface Consumer {
  readonly directory: string
  /** Puts packages that are installed here into its node_modules. */
  link(packages: readonly string[]): Promise<void>
  write(file: string, text: string): Promise<void>
  /** Checks its types as strictly as Vite's template, and builds it. @throws Error with what they say */
  build(): Promise<void>
  remove(): Promise<void>
}

const TOOLS = ['vite', '@vitejs/plugin-react', 'tailwindcss', '@tailwindcss/vite', 'typescript']
const OWN = ['react', 'react-dom', '@types/react', '@types/react-dom']

const FILES: Readonly<Record<string, string>> = {
  'package.json': JSON.stringify({ name: 'consumer', private: true, type: 'module' }),
  'package-lock.json': JSON.stringify({ name: 'consumer', lockfileVersion: 3, packages: {} }),
  'index.html': '<div id="root"></div><script type="module" src="/src/main.tsx"></script>',
  'vite.config.ts': `import path from 'node:path'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

export default defineConfig({
  plugins: [react(), tailwindcss()],
  resolve: { alias: { '@': path.resolve(import.meta.dirname, 'src') } },
})
`,
  'tsconfig.json': JSON.stringify({
    compilerOptions: {
      target: 'es2023',
      lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable'],
      module: 'esnext',
      moduleResolution: 'bundler',
      jsx: 'react-jsx',
      strict: true,
      noEmit: true,
      verbatimModuleSyntax: true,
      noUnusedLocals: true,
      noUnusedParameters: true,
      erasableSyntaxOnly: true,
      types: ['vite/client'],
      paths: { '@/*': ['./src/*'] },
    },
    include: ['src'],
  }),
  // With the variables of a project that `shadcn init` has set up, as far as the components use them.
  'src/index.css': `@import "tailwindcss";

@custom-variant dark (&:is(.dark *));

:root {
  --radius: 0.625rem;
  --background: oklch(1 0 0);
  --foreground: oklch(0.145 0 0);
}

.dark {
  --background: oklch(0.145 0 0);
  --foreground: oklch(0.985 0 0);
}

@theme inline {
  --color-background: var(--background);
  --color-foreground: var(--foreground);
}
`,
}

export async function makeConsumer(): Promise<Consumer> {
  const directory = await mkdtemp(path.join(tmpdir(), 'consumer-'))
  const write = async (file: string, text: string) => {
    await mkdir(path.dirname(path.join(directory, file)), { recursive: true })
    await writeFile(path.join(directory, file), text)
  }
  const link = async (packages: readonly string[]) => {
    for (const name of packages) {
      const place = path.join(directory, 'node_modules', name)
      await mkdir(path.dirname(place), { recursive: true })
      await symlink(path.join(projectRoot, 'node_modules', name), place)
    }
  }
  for (const [file, text] of Object.entries(FILES)) await write(file, text)
  await link([...TOOLS, ...OWN])
  const run = (program: string, ...args: string[]) =>
    runProgram(process.execPath, [path.join(projectRoot, 'node_modules', program), ...args], {
      cwd: directory,
      env: { PATH: process.env.PATH, HOME: process.env.HOME },
    })
  return {
    directory,
    link,
    write,
    build: async () => {
      await run('typescript/bin/tsc', '-p', '.')
      await run('vite/bin/vite.js', 'build')
    },
    remove: () => rm(directory, { recursive: true, force: true }),
  }
}

/** A page with all five components, as the docs tell to use them. @param from the module of each, by the name of its file */
export function pageWithAll(from: (file: string) => string): string {
  return `import { useState } from 'react'
import { createRoot } from 'react-dom/client'
import { HealthDashboard } from '${from('health-dashboard')}'
import { ProvisionTenantForm } from '${from('provision-tenant-form')}'
import { ProvisioningStatus } from '${from('provisioning-status')}'
import { type MonitorView, TenantMonitor } from '${from('tenant-monitor')}'
import { TenantSettings } from '${from('tenant-settings')}'
import './index.css'

const access = { url: 'https://abc.supabase.co', getAccessToken: async () => sessionStorage.getItem('token') }
const organization = { id: '1', name: 'Ann’s bakery', slug: 'ann' }

function Page() {
  const [view, setView] = useState<MonitorView>({})
  return (
    <>
      <ProvisioningStatus {...access} organizationId={organization.id} />
      <ProvisionTenantForm {...access} onBegun={(id, slug) => console.log(id, slug)} />
      <TenantSettings {...access} organization={organization} permissions={['READ_CONNECTION']} />
      <HealthDashboard {...access} organizationId={organization.id} />
      <TenantMonitor {...access} view={view} onView={setView} />
    </>
  )
}

const root = document.getElementById('root')
if (root) createRoot(root).render(<Page />)
`
}
