import type { Command } from 'commander'
import { z } from 'zod'
import { labelled } from '../../tools/terminal.ts'
import { connectionForms } from '../connection-forms.ts'
import { type Define, exit } from '../session.ts'

const connectionSchema = z.looseObject({
  host: z.string(),
  pooled_host: z.string().nullable(),
  pooled_port: z.number().nullable(),
  port: z.number().nullable(),
  database: z.string().nullable(),
  role: z.string().nullable(),
  ssl_mode: z.string(),
  password: z.string().nullable(),
})

export function registerConnection(program: Command, define: Define): void {
  define(
    program
      .command('connection')
      .description('how to connect to a tenant’s database')
      .argument('<tenant>', 'slug, e-mail address or id')
      .option('--reveal', 'with the password, which the audit log notes')
      .option('--pooled', 'the texts to copy go through the pooler, for many short connections'),
    async (session, subject: string, options: { readonly reveal?: true; readonly pooled?: true }) => {
      const api = await session.connect()
      const { organization_id: organizationId } = await api.find(subject)
      const reveal = options.reveal ?? false
      const call = api.client.rpc('database_connection', {
        organization_id: organizationId,
        reveal_password: reveal,
      })
      if (reveal)
        session.standing = 'No password was shown, but the audit log may note that it was asked for.'
      const connection = connectionSchema.parse(await api.read('The connection', call))
      session.print(connection, () => screen(connection, reveal, options.pooled ?? false))
      return exit.fine
    },
  )
}

function screen(connection: z.infer<typeof connectionSchema>, reveal: boolean, isPooled: boolean): string {
  const {
    host,
    pooled_host: pooled,
    port,
    pooled_port: pooledPort,
    database,
    role,
    ssl_mode: ssl,
    password,
  } = connection
  const entries: [string, string][] = [
    ['host', host],
    ['pooled host', pooled ?? '–'],
    ['port', pooledPort === port ? String(port ?? 5432) : `${port} (pooled: ${pooledPort})`],
    ['database', database ?? '–'],
    ['role', role ?? '–'],
    ['ssl mode', ssl],
    [
      'password',
      reveal ? (password ?? 'none in Vault') : 'not shown; --reveal shows it, and the audit log notes that',
    ],
  ]
  const address =
    isPooled && pooled ? { host: pooled, port: pooledPort ?? port ?? 5432 } : { host, port: port ?? 5432 }
  const forms =
    reveal && password && database && role
      ? connectionForms({ ...address, database, user: role, password, sslMode: ssl })
      : []
  return [...entries, ...forms].map(([name, value]) => labelled(name, value, 14)).join('\n')
}
