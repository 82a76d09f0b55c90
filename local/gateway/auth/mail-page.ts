import type { Call, Reply } from '../exchange.ts'
import type { Mail, Mailbox } from './mailbox.ts'

/** `/mail` for people, `/mail.json` for scripts; both show the newest first. Undefined for other paths. */
export async function mailReply(mailbox: Mailbox, call: Call): Promise<Reply | undefined> {
  if (call.method !== 'GET' && call.method !== 'HEAD') return undefined
  if (call.path === '/mail.json') return { status: 200, body: await mailbox.list() }
  if (call.path !== '/mail') return undefined
  return {
    status: 200,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      // Addresses and metadata come from whoever signs up.
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'",
    },
    body: page(await mailbox.list()),
  }
}

function page(mails: readonly Mail[]): string {
  const list = mails.length === 0 ? '<p>No mail yet.</p>' : `<ol reversed>${mails.map(item).join('')}</ol>`
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Mail of the local stack</title>
<style>body{font:16px/1.5 system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}code{font-size:1.2em}</style>
<h1>Mail of the local stack</h1>
<p>Nothing is really sent. Reload to see new messages.</p>
${list}
</html>`
}

function item(mail: Mail): string {
  return `<li><p><strong>${escaped(mail.subject)}</strong><br>to ${escaped(mail.to)}, <time>${escaped(mail.at)}</time><br>
<a href="${escaped(mail.link)}">Open the link</a>, or type the code <code>${escaped(mail.code)}</code></p></li>`
}

function escaped(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
