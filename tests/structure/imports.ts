import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { projectRoot } from '../../tools/project.ts'

/** The files that each file imports, by paths from the project's root; packages are left out. */
export type ImportGraph = ReadonlyMap<string, readonly string[]>

const IMPORT = /(?:\bfrom|\bimport|\bimport\()\s*'(\.[^']+)'/g

export async function readImports(folders: readonly string[]): Promise<ImportGraph> {
  const files = (await Promise.all(folders.map(typescriptFiles))).flat().sort()
  return new Map(
    await Promise.all(
      files.map(async (file): Promise<[string, string[]]> => {
        const text = await readFile(path.join(projectRoot, file), 'utf8')
        return [file, importsOf(file, text)]
      }),
    ),
  )
}

export function importsOf(file: string, text: string): string[] {
  return [...text.matchAll(IMPORT)].map(([, target = '']) =>
    path.posix.join(path.posix.dirname(file), target),
  )
}

async function typescriptFiles(folder: string): Promise<string[]> {
  const names = await readdir(path.join(projectRoot, folder), { recursive: true })
  return names.filter((name) => name.endsWith('.ts')).map((name) => path.posix.join(folder, name))
}

/** One circle of files for each file that can reach itself, each circle once, beginning with its first name. */
export function circlesOf(graph: ImportGraph): string[] {
  const circles = new Set<string>()
  for (const start of graph.keys()) {
    const way = wayBack(graph, start)
    if (way && [...way].sort()[0] === start) circles.add([...way, start].join(' → '))
  }
  return [...circles]
}

/** The shortest way from a file through its imports to itself. */
function wayBack(graph: ImportGraph, start: string): string[] | undefined {
  const seen = new Set<string>()
  let ways: string[][] = [[start]]
  while (ways.length > 0) {
    const next: string[][] = []
    for (const way of ways)
      for (const target of graph.get(way.at(-1) ?? '') ?? []) {
        if (target === start) return way
        if (seen.has(target)) continue
        seen.add(target)
        next.push([...way, target])
      }
    ways = next
  }
  return undefined
}
