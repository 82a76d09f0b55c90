import path from 'node:path'
import type { Configuration } from '../../tools/configuration.ts'
import { PORT_USES, type PortUse } from '../../tools/ports.ts'
import { type GithubEmulator, type GithubEmulatorOptions, startGithubEmulator } from './github/emulator.ts'
import { type N8nEmulator, type N8nEmulatorOptions, startN8nEmulator } from './n8n/emulator.ts'
import { type NeonEmulator, type NeonEmulatorOptions, startNeonEmulator } from './neon/emulator.ts'
import { type StripeEmulator, type StripeEmulatorOptions, startStripeEmulator } from './stripe/emulator.ts'
import {
  type SupabaseEmulator,
  type SupabaseEmulatorOptions,
  startSupabaseEmulator,
} from './supabase/emulator.ts'
import { startVercelEmulator, type VercelEmulator, type VercelEmulatorOptions } from './vercel/emulator.ts'

/** What the emulator of each service is, by the service's name. */
interface Kinds {
  readonly stripe: { readonly options: StripeEmulatorOptions; readonly emulator: StripeEmulator }
  readonly neon: { readonly options: NeonEmulatorOptions; readonly emulator: NeonEmulator }
  readonly github: { readonly options: GithubEmulatorOptions; readonly emulator: GithubEmulator }
  readonly vercel: { readonly options: VercelEmulatorOptions; readonly emulator: VercelEmulator }
  readonly n8n: { readonly options: N8nEmulatorOptions; readonly emulator: N8nEmulator }
  readonly supabase: { readonly options: SupabaseEmulatorOptions; readonly emulator: SupabaseEmulator }
}
export type EmulatorName = keyof Kinds
export type EmulatorOptions = { readonly [Name in EmulatorName]?: Partial<Kinds[Name]['options']> }
/** Without those whose real service is used. */
export type Emulators = { readonly [Name in EmulatorName]?: Kinds[Name]['emulator'] }

/** As the Neon emulator's options have it. */
type LocalServer = Pick<NeonEmulatorOptions, 'adminUrl' | 'poolerPort'>

interface EmulatorHook<Options, Running> {
  /** Where it listens in the local stack. */
  ports(configuration: Configuration): readonly (readonly [port: number, use: PortUse])[]
  /** What keeps it at its ports and in the stack's directory. */
  atHome(configuration: Configuration, directory: string): Partial<Options>
  /**
   * @param key the only one that it accepts
   * @param server the local one, for a service that makes databases
   * @param running those that were started before
   */
  start(key: string, server: LocalServer, options: Partial<Options>, running: Emulators): Promise<Running>
}

/** Every emulator of the local stack. One for another service is a folder beside this file and an entry here. */
export const emulators: {
  readonly [Name in EmulatorName]: EmulatorHook<Kinds[Name]['options'], Kinds[Name]['emulator']>
} = {
  stripe: {
    ports: (configuration) => [[configuration.LOCAL_STRIPE_PORT, PORT_USES.stripe]],
    atHome: ({ LOCAL_STRIPE_PORT: port }, directory) => ({
      port,
      stateFile: path.join(directory, 'stripe.jsonl'),
    }),
    start: (apiKey, _server, options) => startStripeEmulator({ apiKey, ...options }),
  },
  neon: {
    ports: (configuration) => [
      [configuration.LOCAL_NEON_PORT, PORT_USES.neon],
      [configuration.LOCAL_NEON_POSTGRES_PORT, PORT_USES.tenants],
    ],
    atHome: ({ LOCAL_NEON_PORT: apiPort, LOCAL_NEON_POSTGRES_PORT: postgresPort }, directory) => ({
      apiPort,
      postgresPort,
      stateFile: path.join(directory, 'neon.jsonl'),
    }),
    start: (apiKey, server, options) => startNeonEmulator({ ...server, apiKey, ...options }),
  },
  github: {
    ports: (configuration) => [[configuration.LOCAL_GITHUB_PORT, PORT_USES.github]],
    atHome: ({ LOCAL_GITHUB_PORT: port }, directory) => ({
      port,
      stateFile: path.join(directory, 'github.jsonl'),
    }),
    start: (apiKey, _server, options) => startGithubEmulator({ apiKey, ...options }),
  },
  vercel: {
    ports: (configuration) => [[configuration.LOCAL_VERCEL_PORT, PORT_USES.vercel]],
    atHome: ({ LOCAL_VERCEL_PORT: port }, directory) => ({
      port,
      stateFile: path.join(directory, 'vercel.jsonl'),
    }),
    // Vercel sees the repositories of the emulated GitHub, and with a real one only their names.
    start: (apiKey, _server, options, { github }) =>
      startVercelEmulator({
        apiKey,
        ...(github && { repositoryId: (name: string) => github.repositoryId(name) }),
        ...options,
      }),
  },
  n8n: {
    ports: (configuration) => [[configuration.LOCAL_N8N_PORT, PORT_USES.n8n]],
    atHome: ({ LOCAL_N8N_PORT: port }, directory) => ({
      port,
      stateFile: path.join(directory, 'n8n.jsonl'),
    }),
    start: (apiKey, _server, options) => startN8nEmulator({ apiKey, ...options }),
  },
  supabase: {
    ports: (configuration) => [
      [configuration.LOCAL_SUPABASE_PORT, PORT_USES.supabase],
      [configuration.LOCAL_SUPABASE_POSTGRES_PORT, PORT_USES.projects],
    ],
    atHome: (configuration, directory) => ({
      apiPort: configuration.LOCAL_SUPABASE_PORT,
      postgresPort: configuration.LOCAL_SUPABASE_POSTGRES_PORT,
      stateFile: path.join(directory, 'supabase.jsonl'),
    }),
    start: (accessToken, server, options) => startSupabaseEmulator({ ...server, accessToken, ...options }),
  },
}

export function isEmulated(name: string): name is EmulatorName {
  return Object.hasOwn(emulators, name)
}
