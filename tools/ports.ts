import { type AddressInfo, createServer, type ListenOptions, type Server } from 'node:net'

/** What a port is for, and the setting that chooses another one. */
export interface PortUse {
  readonly purpose: string
  readonly setting: string
}

export const PORT_USES = {
  database: { purpose: 'database', setting: 'LOCAL_DB_PORT' },
  api: { purpose: 'API gateway', setting: 'LOCAL_API_PORT' },
  console: { purpose: 'console', setting: 'LOCAL_CONSOLE_PORT' },
  neon: { purpose: 'Neon emulator', setting: 'LOCAL_NEON_PORT' },
  tenants: { purpose: 'tenant databases', setting: 'LOCAL_NEON_POSTGRES_PORT' },
  supabase: { purpose: 'Supabase emulator', setting: 'LOCAL_SUPABASE_PORT' },
  projects: { purpose: 'databases of projects', setting: 'LOCAL_SUPABASE_POSTGRES_PORT' },
  stripe: { purpose: 'Stripe emulator', setting: 'LOCAL_STRIPE_PORT' },
  n8n: { purpose: 'n8n emulator', setting: 'LOCAL_N8N_PORT' },
  github: { purpose: 'GitHub emulator', setting: 'LOCAL_GITHUB_PORT' },
  vercel: { purpose: 'Vercel emulator', setting: 'LOCAL_VERCEL_PORT' },
} as const satisfies Record<string, PortUse>

export type PortSetting = (typeof PORT_USES)[keyof typeof PORT_USES]['setting']

export const PORT_SETTINGS: readonly PortSetting[] = Object.values(PORT_USES).map(({ setting }) => setting)

/** A port that something else listens on. The message says which, and how to choose another. */
export class PortTakenError extends Error {
  readonly code = 'PORT_TAKEN'
  constructor(port: number, { purpose, setting }: PortUse) {
    super(
      `Port ${port} (${purpose}) is already in use. Stop the program that uses it, or choose another port: ` +
        `set ${setting}=NUMBER in .env or in front of the command.`,
    )
  }
}

export async function freePort(): Promise<number> {
  return listenBriefly(0, { purpose: 'any', setting: 'none' })
}

/** A free port for everything that the local stack may listen on, by the setting that chooses it. */
export async function freePorts(): Promise<Readonly<Record<PortSetting, number>>> {
  const ports = await Promise.all(PORT_SETTINGS.map(async (setting) => [setting, await freePort()] as const))
  return Object.fromEntries(ports) as Record<PortSetting, number>
}

/** Throws PortTakenError unless 127.0.0.1:port can be listened on. */
export async function assertPortFree(port: number, use: PortUse): Promise<void> {
  await listenBriefly(port, use)
}

/**
 * Listens on 127.0.0.1, or where the options say. What was free when the stack began to start may be taken by now.
 * @returns the port @throws PortTakenError
 */
export function listen(
  server: Server,
  options: ListenOptions & { port: number },
  use: PortUse,
): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? new PortTakenError(options.port, use) : error)
    })
    server.listen({ host: '127.0.0.1', ...options }, () => resolve((server.address() as AddressInfo).port))
  })
}

async function listenBriefly(port: number, use: PortUse): Promise<number> {
  const server = createServer()
  const assigned = await listen(server, { port }, use)
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return assigned
}
