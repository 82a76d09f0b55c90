import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from '../project.ts'

export const REGISTRY = 'registry.json'
const FOLDER = 'console/src/components/tenants'
/** In the application that takes a component; below src/ where it has one. */
const TARGET = 'components/tenants'

/** Each component that others may take, by the name of its file. */
export const COMPONENTS: Readonly<Record<string, { readonly title: string; readonly description: string }>> =
  {
    'provisioning-status': {
      title: 'ProvisioningStatus',
      description:
        'The steps of a tenant’s provisioning, live, with duration, attempts, next try and reason.',
    },
    'provision-tenant-form': {
      title: 'ProvisionTenantForm',
      description:
        'Region, size and tier of a new tenant, as far as its plan allows; what cannot be changed later is confirmed.',
    },
    'tenant-settings': {
      title: 'TenantSettings',
      description:
        'Connection, API keys, another password, schema version, members, name and deletion of a tenant.',
    },
    'health-dashboard': {
      title: 'HealthDashboard',
      description:
        'State with reasons, measurements, availability, charts and alerts of a tenant’s database.',
    },
    'tenant-monitor': {
      title: 'TenantMonitor',
      description:
        'For operators: all tenants of a project, with filters, counts, verification and bulk retry.',
    },
  }

/** What the components have beside shadcn's own variables. */
const COLOURS = {
  light: { success: '#046c4e', warning: '#8a3b08', info: '#1d4ed8', 'destructive-foreground': '#ffffff' },
  dark: { success: '#6ee7b7', warning: '#fcd34d', info: '#93c5fd', 'destructive-foreground': '#3b0a06' },
}

/** The registry of which `npx shadcn add` takes the components, each with all files and packages that it needs. */
export async function printRegistry(): Promise<string> {
  const { name, devDependencies } = JSON.parse(await readFile(path.join(projectRoot, 'package.json'), 'utf8'))
  const items = await Promise.all(
    Object.entries(COMPONENTS).map(async ([file, texts]) => {
      const { files, packages } = await closureOf(`${FOLDER}/${file}.tsx`)
      return {
        name: file,
        type: 'registry:block',
        ...texts,
        dependencies: packages
          .filter((each) => each !== 'react')
          .map((each) => `${each}@${devDependencies[each]}`),
        files: files.map((each) => ({
          path: each,
          type: each === `${FOLDER}/${file}.tsx` ? 'registry:component' : 'registry:file',
          target: `${TARGET}/${path.posix.relative(FOLDER, each)}`,
        })),
        cssVars: COLOURS,
      }
    }),
  )
  const registry = {
    $schema: 'https://ui.shadcn.com/schema/registry.json',
    name,
    homepage: 'docs/console.md',
    items,
  }
  return `${JSON.stringify(registry, null, 2)}\n`
}

/** A file with all that it imports, directly or by way of others: files, and packages. */
export async function closureOf(entry: string): Promise<{ files: string[]; packages: string[] }> {
  const files = new Set<string>()
  const packages = new Set<string>()
  const open = [entry]
  for (let file = open.pop(); file !== undefined; file = open.pop()) {
    if (files.has(file)) continue
    files.add(file)
    for (const specifier of importsOf(await readFile(path.join(projectRoot, file), 'utf8')))
      if (specifier.startsWith('.'))
        open.push(await fileOf(path.posix.join(path.posix.dirname(file), specifier)))
      else packages.add(packageOf(specifier))
  }
  return { files: [...files].sort(), packages: [...packages].sort() }
}

const importsOf = (text: string) =>
  [...text.matchAll(/^(?:(?:import|export) .*|\} )from '([^']+)'$/gm)].map(([, specifier = '']) => specifier)

const packageOf = (specifier: string) => specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')

/** @throws Error when there is no such file, or when it is outside of the folder that is taken */
async function fileOf(name: string): Promise<string> {
  if (!name.startsWith(`${FOLDER}/`)) throw new Error(`${name} is imported, and is not below ${FOLDER}.`)
  for (const ending of ['.ts', '.tsx'])
    if (await readFile(path.join(projectRoot, name + ending)).catch(() => undefined)) return name + ending
  throw new Error(`There is no file for the import ${name}.`)
}
