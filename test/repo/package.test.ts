import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { readText, root, sourceFiles } from './source-files.ts';

interface Manifest {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | { readonly types: string; readonly default: string }>>;
  readonly scripts: Readonly<Record<string, string>>;
}

const manifest = JSON.parse(readText('package.json')) as Manifest;
const typedoc = JSON.parse(readText('typedoc.json')) as { readonly entryPoints: readonly string[] };
const publicSources = Object.values(manifest.exports)
  .filter((target) => typeof target === 'object')
  .map((target) => target.default.replace('./dist/', 'src/').replace(/\.js$/, '.ts'));

describe('the npm package', () => {
  it('offers every folder of src but the native binding and the command', () => {
    const indexes = sourceFiles().filter((path) => /^src\/([^/]+\/)?index\.ts$/.test(path));
    const internal = ['src/native/index.ts', 'src/cli/index.ts'];
    expect(publicSources.toSorted()).toEqual(indexes.filter((path) => !internal.includes(path)));
  });

  it('has types beside each entry point', () => {
    for (const target of Object.values(manifest.exports)) {
      if (typeof target === 'object') expect(target.types).toBe(target.default.replace(/\.js$/, '.d.ts'));
    }
  });

  it('documents what it offers', () => {
    expect(typedoc.entryPoints.toSorted()).toEqual(publicSources.toSorted());
  });

  it('depends on nothing but what the command, configuration files and WebSockets need', () => {
    expect(Object.keys(manifest.dependencies)).toEqual(['commander', 'ws', 'yaml']);
  });

  it('runs nothing when it is installed', () => {
    const hooks = ['preinstall', 'install', 'postinstall', 'prepare', 'prepublish'];
    expect(hooks.filter((hook) => hook in manifest.scripts)).toEqual([]);
  });

  it('has scripts that exist', () => {
    const files = Object.values(manifest.scripts).flatMap(
      (script) => script.match(/\b(scripts|bench)\/\S+\.mjs/g) ?? [],
    );
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});
