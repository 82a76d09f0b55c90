/**
 * fetch, except that a request with a body reaches the network at most once. Deno 2.9 repeats a request by itself, a POST
 * too, when a kept-alive connection breaks, even if the server has acted on it already (2.1 does not). It cannot repeat a
 * body that is a stream. Needed wherever a provider has no idempotency keys.
 */
export const sendOnce: typeof fetch = (input, init) => {
  const request = new Request(input, init)
  if (!request.body) return fetch(request)
  const { method, headers, signal, redirect } = request
  const body = request.body.pipeThrough(new TransformStream())
  // `duplex` is part of the standard and wanted by Node; the types of neither runtime know it.
  const options: RequestInit & { duplex: 'half' } = {
    method,
    headers,
    signal,
    redirect,
    body,
    duplex: 'half',
  }
  return fetch(request.url, options)
}
