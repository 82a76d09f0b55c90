import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { projectRoot } from '../../tools/project.ts'
import { findProgram, type Machine } from './browser.ts'

let folder: string
let chrome: string
let bare: Machine

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'browsers-'))
  chrome = path.join(folder, 'chrome')
  await writeFile(chrome, '')
  bare = {
    platform: 'darwin',
    arch: 'arm64',
    environment: {},
    installed: [path.join(folder, 'none')],
    packed: path.join(folder, 'none'),
  }
})

afterAll(() => rm(folder, { recursive: true, force: true }))

it('the browser of the tests is the one that CHROME_PATH names, or else one that is installed', async () => {
  expect(await findProgram({ ...bare, installed: [...bare.installed, chrome] })).toEqual({
    executablePath: chrome,
  })
  const other = path.join(folder, 'other')
  await writeFile(other, '')
  const named = { ...bare, installed: [chrome], environment: { CHROME_PATH: other } }
  expect(await findProgram(named)).toEqual({ executablePath: other })
})

it.runIf(process.platform === 'linux' && process.arch === 'x64')(
  'comes with npm on Linux x64, with libraries and fonts of its own',
  async () => {
    const packed = path.join(projectRoot, 'node_modules/@sparticuz/chromium')
    const found = await findProgram({ ...bare, platform: 'linux', arch: 'x64', installed: [chrome], packed })
    expect(found.executablePath).toMatch(/[/\\]\.local[/\\]chromium-[\d.]+[/\\]chromium$/)
    expect(Object.keys(found.env ?? {})).toEqual(['LD_LIBRARY_PATH', 'FONTCONFIG_FILE'])
  },
)

it.each([
  ['darwin', 'arm64'],
  ['win32', 'x64'],
  ['linux', 'arm64'],
  // Of an installation that has left it out.
  ['linux', 'x64'],
])('says on %s %s, where there is none, how to get one', async (platform, arch) => {
  await expect(findProgram({ ...bare, platform, arch })).rejects.toThrow(
    `there is none for ${platform} ${arch}. On Linux x64 one comes with npm ci; elsewhere, install Chrome, or set CHROME_PATH`,
  )
})

it('says so when CHROME_PATH names what is not there, and takes no other in its place', async () => {
  const named = { ...bare, installed: [chrome], environment: { CHROME_PATH: '/no/such/chrome' } }
  await expect(findProgram(named)).rejects.toThrow('CHROME_PATH names /no/such/chrome, which is not there.')
})
