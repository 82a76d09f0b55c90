/**
 * Loaded into every function's Deno process before the function itself (`deno run --preload`): gives it what the
 * hosted Edge Runtime gives, takes away what only the local stack put into its environment, and ends it in order.
 */
interface DenoServer {
  readonly addr: { readonly port: number }
  shutdown(): Promise<void>
}
declare const Deno: {
  env: {
    get(name: string): string | undefined
    set(name: string, value: string): void
    delete(name: string): void
  }
  stdin: { read(buffer: Uint8Array): Promise<number | null> }
  exit(code: number): never
  addSignalListener(signal: 'SIGTERM', listener: () => void): void
  serve: (...parameters: unknown[]) => DenoServer
}

const background = new Set<Promise<unknown>>()
const servers = new Set<DenoServer>()

const edgeRuntime = {
  /** Keeps the process alive for work that goes on after the reply; a failure is logged, not thrown. */
  waitUntil<T>(promise: Promise<T>): Promise<T> {
    const settled = Promise.resolve(promise)
      .catch((error: unknown) => console.error('Background task failed:', error))
      .finally(() => background.delete(settled))
    background.add(settled)
    return promise
  },
}
Object.defineProperty(globalThis, 'EdgeRuntime', { value: edgeRuntime, enumerable: true })

const address = Deno.env.get('DENO_SERVE_ADDRESS') ?? ''
for (const name of ['DENO_SERVE_ADDRESS', 'DENO_DIR', 'DENO_NODE_SHIM_ACTIVE', 'HOME', 'NO_COLOR', 'PATH'])
  Deno.env.delete(name)

const serve = Deno.serve
Deno.serve = (...parameters) => {
  // Deno reads the address at this moment; the function itself never sees the variable.
  Deno.env.set('DENO_SERVE_ADDRESS', address)
  try {
    const server = serve(...parameters)
    servers.add(server)
    // Deno's words for it, which a function can keep it from saying. The gateway reads them.
    console.error(`Listening on http://127.0.0.1:${server.addr.port}/`)
    // Not earlier: Deno waits for a pending read before it runs the function's own module.
    void exitWithParent()
    return server
  } finally {
    Deno.env.delete('DENO_SERVE_ADDRESS')
  }
}

/** Standard input is a pipe from the gateway: its end means that the gateway is gone, however it went. */
async function exitWithParent(): Promise<void> {
  const buffer = new Uint8Array(64)
  while ((await Deno.stdin.read(buffer)) !== null);
  Deno.exit(0)
}

/** No new requests, then the open ones and the background work to their end; the gateway's SIGKILL is the limit. */
async function drain(): Promise<void> {
  globalThis.dispatchEvent(new Event('beforeunload'))
  await Promise.allSettled([...servers].map((server) => server.shutdown()))
  while (background.size > 0) await Promise.allSettled(background)
  Deno.exit(0)
}
Deno.addSignalListener('SIGTERM', () => void drain())

export {}
