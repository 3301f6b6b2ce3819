import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { filesBelow, matchingLines, readText, root, sourceFiles } from './source-files.ts';

const folders = readdirSync(join(root, 'src'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map((entry) => entry.name);
const tests = [...filesBelow('src', '.test.ts'), ...filesBelow('test', '.ts')];
const thisFile = 'test/repo/sources.test.ts';

describe('src', () => {
  it.each(folders.filter((folder) => folder !== 'cli'))(
    '%s has an index.ts that opens with what the folder is for',
    (folder) => {
      expect(readText(`src/${folder}/index.ts`)).toMatch(/^\/\*\*[\s\S]+?\*\//);
    },
  );

  it('throws no plain Error', () => {
    expect(matchingLines(sourceFiles(), /throw new (Type|Range)?Error\(/)).toEqual([]);
  });

  it('has no silenced type checks', () => {
    expect(matchingLines(sourceFiles(), /@ts-(ignore|expect-error|nocheck)/)).toEqual([]);
  });

  it('keeps time and chance out of the pure folders', () => {
    const pure = sourceFiles().filter((path) => /^src\/(base|wire|host)\//.test(path));
    expect(matchingLines(pure, /\b(Math\.random|Date\.now|new Date|performance\.now|queueMicrotask)\(/)).toEqual([]);
  });

  it('has files that can be read in one sitting', () => {
    const long = sourceFiles().filter((path) => readText(path).split('\n').length > 450);
    expect(long).toEqual([]);
  });
});

describe('the checkout', () => {
  it('has no unfinished marks', () => {
    const own = [...sourceFiles(), ...tests, ...filesBelow('native', '.c'), ...filesBelow('scripts', '.mjs')];
    const others = own.filter((path) => path !== thisFile);
    expect(matchingLines(others, /\b(TODO|FIXME|XXX|HACK)\b/)).toEqual([]);
  });

  it('has no skipped, focused or empty test', () => {
    const others = tests.filter((path) => path !== thisFile);
    expect(matchingLines(others, /\b(it|test|describe)\.(skip|only|todo|fails)\b|\bskipIf\b|\brunIf\b/)).toEqual([]);
  });

  it('has tests that wait for events and not for time', () => {
    const others = tests.filter((path) => path !== thisFile);
    expect(matchingLines(others, /\bsleep\(|await new Promise\(\(?\w+\)? => setTimeout\(\w+, [1-9]/)).toEqual([]);
  });
});
