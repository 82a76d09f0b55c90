/** One event of a stream of server-sent events. */
export interface StreamEvent {
  readonly event: string
  readonly data: string
}

/**
 * The events of a response, as they come. A stream that has said nothing for `silenceMs`, no comment either, is taken for dead: a
 * connection that is half open reports no error by itself.
 * @throws Error when it breaks, or is silent
 */
export async function* eventsOf(
  body: ReadableStream<Uint8Array>,
  silenceMs: number,
): AsyncGenerator<StreamEvent> {
  const reader = body
    .pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>)
    .getReader()
  let text = ''
  try {
    while (true) {
      const { done, value } = await withinTime(reader.read(), silenceMs)
      if (done) return
      text += value.replaceAll('\r\n', '\n')
      let end = text.indexOf('\n\n')
      while (end >= 0) {
        const event = parse(text.slice(0, end))
        text = text.slice(end + 2)
        if (event) yield event
        end = text.indexOf('\n\n')
      }
    }
  } finally {
    void reader.cancel().catch(() => undefined)
  }
}

function parse(block: string): StreamEvent | undefined {
  let event = 'message'
  const data: string[] = []
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) event = line.slice(6).trim()
    else if (line.startsWith('data:')) data.push(line.slice(5).trimStart())
  }
  return data.length > 0 || event !== 'message' ? { event, data: data.join('\n') } : undefined
}

function withinTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('The stream is silent.')), ms)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
