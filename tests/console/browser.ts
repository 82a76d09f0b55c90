import { execFile } from 'node:child_process'
import { access, chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { promisify } from 'node:util'
import { brotliDecompress } from 'node:zlib'
import { type Browser, chromium } from 'playwright-core'
import { localDirectory, makeLocal } from '../../tools/local-directory.ts'
import { projectRoot } from '../../tools/project.ts'

const run = promisify(execFile)
const decompress = promisify(brotliDecompress)

const INSTALLED = [
  '/usr/bin/google-chrome',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
]

/** A browser that runs, and what it needs for it. */
interface Program {
  readonly executablePath: string
  readonly env?: Readonly<Record<string, string>>
}

/** The machine that a browser is looked for on. */
export interface Machine {
  readonly platform: string
  readonly arch: string
  /** Of CHROME_PATH, the program of a Chrome or Chromium. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Programs of browsers where they are usually installed. */
  readonly installed: readonly string[]
  /** Of the package with a Chromium for Linux on x64. */
  readonly packed: string
}

const HERE: Machine = {
  platform: process.platform,
  arch: process.arch,
  environment: process.env,
  installed: INSTALLED,
  packed: path.join(projectRoot, 'node_modules/@sparticuz/chromium'),
}

/** @throws Error that says how to get a browser, where there is none */
export async function launchBrowser(): Promise<Browser> {
  const { executablePath, env } = await findProgram(HERE)
  return chromium.launch({
    executablePath,
    headless: true,
    args: ['--no-sandbox', '--disable-background-networking', '--disable-dev-shm-usage'],
    ...(env ? { env: { ...definedOf(process.env), ...env } } : {}),
  })
}

/** The one that somebody names, then the one from npm, then one that is installed. @throws Error that says how to get one */
export async function findProgram({
  platform,
  arch,
  environment,
  installed,
  packed,
}: Machine): Promise<Program> {
  const { CHROME_PATH } = environment
  if (CHROME_PATH && !(await exists(CHROME_PATH)))
    throw new Error(
      `CHROME_PATH names ${CHROME_PATH}, which is not there. Set it to the program of a Chrome or Chromium.`,
    )
  if (CHROME_PATH) return { executablePath: CHROME_PATH }
  if (platform === 'linux' && arch === 'x64' && (await exists(packed))) return unpackedChromium(packed)
  for (const executablePath of installed) if (await exists(executablePath)) return { executablePath }
  throw new Error(
    `The tests of the console need a browser, and there is none for ${platform} ${arch}. On Linux x64 one comes with npm ci; elsewhere, install Chrome, or set CHROME_PATH to the program of a Chrome or Chromium.`,
  )
}

/** Chromium from npm, with the libraries and fonts that a bare system lacks, in a folder that is there whole or not at all. */
async function unpackedChromium(packed: string): Promise<Program> {
  const { version } = JSON.parse(await readFile(path.join(packed, 'package.json'), 'utf8'))
  const home = path.join(localDirectory, `chromium-${version}`)
  if (!(await exists(home))) await unpack(path.join(packed, 'bin'), home)
  return {
    executablePath: path.join(home, 'chromium'),
    env: {
      LD_LIBRARY_PATH: [path.join(home, 'lib'), process.env.LD_LIBRARY_PATH ?? ''].filter(Boolean).join(':'),
      FONTCONFIG_FILE: path.join(home, 'fonts.conf'),
    },
  }
}

async function unpack(packed: string, home: string): Promise<void> {
  await makeLocal(path.dirname(home))
  const draft = await mkdtemp(`${home}-`)
  try {
    await writeFile(
      path.join(draft, 'chromium'),
      await decompress(await readFile(path.join(packed, 'chromium.br'))),
    )
    await chmod(path.join(draft, 'chromium'), 0o755)
    for (const name of ['al2023', 'fonts']) {
      const archive = path.join(draft, `${name}.tar`)
      await writeFile(archive, await decompress(await readFile(path.join(packed, `${name}.tar.br`))))
      await run('tar', ['-xf', archive, '-C', draft])
      await rm(archive)
    }
    // The one of the package names folders of another machine.
    await writeFile(
      path.join(draft, 'fonts.conf'),
      `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig><dir>${home}/fonts</dir><cachedir>${home}/cache</cachedir></fontconfig>`,
    )
    await rename(draft, home)
  } catch (error) {
    await rm(draft, { recursive: true, force: true })
    // Another process may have been first.
    if (!(await exists(home))) throw error
  }
}

const exists = (file: string) =>
  access(file).then(
    () => true,
    () => false,
  )

function definedOf(variables: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(variables).filter((entry): entry is [string, string] => entry[1] !== undefined),
  )
}
