/**
 * Serves one function on a given port. Deno 2.1 knows neither DENO_SERVE_ADDRESS nor --preload, with which the local stack
 * does the same. Arguments: the port, and the address of the function's index.ts.
 */
type Handler = (request: Request) => Response | Promise<Response>
declare const Deno: {
  readonly args: readonly string[]
  serve: {
    (handler: Handler): unknown
    (options: { readonly hostname: string; readonly port: number }, handler: Handler): unknown
  }
}

const [port, entrypoint] = Deno.args
if (!port || !entrypoint) throw new Error('The arguments are a port and the address of a function.')
const serve = Deno.serve
Deno.serve = (...parameters: unknown[]) => {
  const [handler] = parameters
  if (typeof handler !== 'function') throw new Error('A function calls Deno.serve with its handler alone.')
  return serve({ hostname: '127.0.0.1', port: Number(port) }, (request) => handler(request))
}
await import(entrypoint)
