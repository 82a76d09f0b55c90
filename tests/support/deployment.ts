import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { z } from 'zod'
import { supabaseCli } from '../../tools/supabase-cli.ts'

const PROJECT = 'abcdefghijklmnopqrst'

export interface Upload {
  readonly metadata: Metadata
  readonly files: ReadonlyMap<string, string>
}

const metadataSchema = z.object({
  entrypoint_path: z.string(),
  import_map_path: z.string(),
  verify_jwt: z.boolean(),
})
type Metadata = z.infer<typeof metadataSchema>

/**
 * Has the real Supabase CLI deploy functions of a project, to a Management API that only keeps what it is sent.
 * @param workdir the directory that has supabase/config.toml
 */
export async function deploy(
  workdir: string,
  functions: readonly string[],
): Promise<ReadonlyMap<string, Upload>> {
  const uploads = new Map<string, Upload>()
  const home = await mkdtemp(path.join(tmpdir(), 'deploy-'))
  const managementApi = await startManagementApi(uploads)
  const profile = path.join(home, 'profile.yaml')
  const url = `http://127.0.0.1:${addressOf(managementApi).port}`
  try {
    await writeFile(profile, `name: test\napi_url: ${url}\ndashboard_url: ${url}\nproject_host: 127.0.0.1\n`)
    const args = ['--use-api', '--yes', `--remote=${PROJECT}`, '--profile', profile]
    await supabaseCli(['functions', 'deploy', ...functions, ...args], {
      workdir,
      env: { SUPABASE_ACCESS_TOKEN: `sbp_${'0'.repeat(40)}`, HOME: home },
    })
    return uploads
  } finally {
    managementApi.close()
    managementApi.closeAllConnections()
    await rm(home, { recursive: true, force: true })
  }
}

/** As much of the Management API as a deployment calls; remembers what was uploaded. */
async function startManagementApi(uploads: Map<string, Upload>): Promise<Server> {
  const server = createServer(async (request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    const slug = url.searchParams.get('slug')
    const deploys = request.method === 'POST' && url.pathname === `/v1/projects/${PROJECT}/functions/deploy`
    if (deploys && slug) uploads.set(slug, await readUpload(request))
    response.setHeader('content-type', 'application/json')
    response.statusCode = deploys ? 201 : 200
    response.end(
      JSON.stringify(deploys ? deployedFunction(slug) : url.pathname.endsWith(PROJECT) ? project : []),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

const project = {
  id: PROJECT,
  ref: PROJECT,
  name: 'test',
  organization_id: 'test',
  region: 'eu-central-1',
  status: 'ACTIVE_HEALTHY',
  created_at: '2026-01-01T00:00:00Z',
  database: { host: '127.0.0.1', version: '17', postgres_engine: '17', release_channel: 'ga' },
}

function deployedFunction(slug: string | null) {
  return { id: slug, slug, name: slug, version: 1, status: 'ACTIVE', created_at: 1, updated_at: 1 }
}

async function readUpload(request: IncomingMessage): Promise<Upload> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(Buffer.from(chunk))
  const body = Buffer.concat(chunks)
  const form = await new Response(body, {
    headers: { 'content-type': request.headers['content-type'] ?? '' },
  }).formData()
  const files = new Map<string, string>()
  for (const part of form.getAll('file'))
    if (typeof part !== 'string') files.set(part.name, await part.text())
  const metadata = form.get('metadata')
  const text = typeof metadata === 'string' ? metadata : await metadata?.text()
  return { files, metadata: metadataSchema.parse(JSON.parse(text ?? 'null')) }
}

function addressOf(server: Server): AddressInfo {
  const address = server.address()
  if (address === null || typeof address === 'string')
    throw new Error('The server does not listen on a port.')
  return address
}
