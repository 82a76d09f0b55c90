import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import path from 'node:path'
import { type ConsoleProject, consoleDist } from '../tools/console/build.ts'
import { contentSecurityPolicy, FIXED_HEADERS } from '../tools/console/headers.ts'
import { listen, PORT_USES } from '../tools/ports.ts'

export interface ConsoleServer {
  readonly url: string
  stop(): Promise<void>
}

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}

/**
 * Serves the built console for a project, with the headers that a host is to send.
 * @param port 0 takes any free one @throws PortTakenError
 */
export async function startConsole(project: ConsoleProject, port: number): Promise<ConsoleServer> {
  const policy = contentSecurityPolicy(project.url)
  const server = createServer((request, response) => void answer(project, policy, request, response))
  const taken = await listen(server, { port }, PORT_USES.console)
  return {
    url: `http://127.0.0.1:${taken}`,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(
  project: ConsoleProject,
  policy: string,
  { method, url = '/' }: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (method !== 'GET' && method !== 'HEAD') {
    response.writeHead(405).end()
    return
  }
  const { pathname } = new URL(url, 'http://console')
  const isAsset = pathname.startsWith('/assets/')
  const file = fileOf(pathname)
  const body =
    pathname === '/config.json'
      ? Buffer.from(JSON.stringify(project))
      : ((await readFile(file).catch(() => undefined)) ??
        // Addresses of pages are known to the program alone.
        (isAsset ? undefined : await readFile(path.join(consoleDist, 'index.html')).catch(() => undefined)))
  const type = TYPES[path.extname(pathname)] ?? TYPES['.html']
  response.writeHead(body ? 200 : 404, {
    ...FIXED_HEADERS,
    'Content-Security-Policy': policy,
    ...(type ? { 'Content-Type': type } : {}),
    'Cache-Control': isAsset ? 'public, max-age=31536000, immutable' : 'no-cache',
  })
  response.end(method === 'HEAD' ? undefined : body)
}

/** A file of the build; for an address that leads out of it, index.html. */
function fileOf(pathname: string): string {
  const file = path.join(consoleDist, path.normalize(decodeURI(pathname)))
  const isInside = file.startsWith(consoleDist + path.sep) && path.extname(file) in TYPES
  return isInside ? file : path.join(consoleDist, 'index.html')
}
