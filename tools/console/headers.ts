/** What every page of the console is served with, beside the policy. */
export const FIXED_HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
  'Referrer-Policy': 'no-referrer',
  'Permissions-Policy': 'camera=(), geolocation=(), microphone=()',
  'Cross-Origin-Opener-Policy': 'same-origin',
}

/**
 * The console loads what is beside it, asks its project, and runs no text as a program.
 * @param url of the project; without, any host over https may be asked, until somebody writes it in
 */
export function contentSecurityPolicy(url?: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "font-src 'self'",
    "img-src 'self'",
    `connect-src 'self' ${url ? new URL(url).origin : 'https:'}`,
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
}

/** For hosts that read a `_headers` file, such as Netlify and Cloudflare Pages. */
export function headersFile(policy: string): string {
  const lines = Object.entries({ 'Content-Security-Policy': policy, ...FIXED_HEADERS })
  return [
    '/*',
    ...lines.map(([name, value]) => `  ${name}: ${value}`),
    '/assets/*',
    '  Cache-Control: public, max-age=31536000, immutable',
    '',
  ].join('\n')
}

/** To be included in a `server` block of nginx whose root is this directory. */
export function nginxSnippet(policy: string): string {
  const headers = Object.entries({ 'Content-Security-Policy': policy, ...FIXED_HEADERS })
    .map(([name, value]) => `add_header ${name} "${value}" always;`)
    .join('\n')
  return [
    '# In a server block: root /path/to/these/files; include /path/to/these/files/nginx.conf;',
    headers,
    'location / { try_files $uri /index.html; }',
    'location ~ ^/(_headers|_redirects|nginx\\.conf|\\.built-from)$ { return 404; }',
    // A location with add_header of its own inherits none; expires is not one.
    'location /assets/ { expires 1y; }',
    '',
  ].join('\n')
}
