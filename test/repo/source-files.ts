/** The files of this checkout, for the rules of this folder. */

import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Root of the checkout. */
export const root: string = fileURLToPath(new URL('../../', import.meta.url));

/** Text of a file, by its path from the root. */
export function readText(path: string): string {
  return readFileSync(join(root, path), 'utf8');
}

/** Paths from the root of all files below `folder` whose name ends with `ending`, in order. */
export function filesBelow(folder: string, ending: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

/** The library's and the command's own sources, without tests. */
export function sourceFiles(): string[] {
  return filesBelow('src', '.ts').filter((path) => !path.endsWith('.test.ts'));
}

/** `path:line: text` of every line of the files that matches. */
export function matchingLines(paths: readonly string[], pattern: RegExp): string[] {
  return paths.flatMap((path) =>
    readText(path)
      .split('\n')
      .flatMap((text, i) => (pattern.test(text) ? [`${path}:${i + 1}: ${text.trim()}`] : [])),
  );
}
