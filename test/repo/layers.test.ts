import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

import { describe, expect, it } from 'vitest';

import { root } from './source-files.ts';

interface Report {
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

function violations(folder: string): string[] {
  const program = join(root, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
  const config = join(root, '.dependency-cruiser.cjs');
  const cwd = join(root, folder);
  const { stdout } = spawnSync(process.execPath, [program, 'src', '--config', config, '--output-type', 'json'], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 << 20,
  });
  const report = JSON.parse(stdout) as Report;
  return report.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} -> ${to}`).toSorted();
}

describe('import direction', () => {
  // The fixture breaks every rule of .dependency-cruiser.cjs once, save for files that do not exist.
  it('is refused where it goes upwards, around an index, in a circle, or out of a pure folder', () => {
    expect(violations('test/repo/fixtures/layers')).toMatchInlineSnapshot(`
      [
        "commander-in-cli: src/tun/index.ts -> ../../../../node_modules/commander/index.js",
        "index-below-cli: src/index.ts -> src/cli/main.ts",
        "known-folder: src/extra/index.ts -> src/link/index.ts",
        "layer-base: src/base/low.ts -> src/wire/index.ts",
        "layer-host: src/host/index.ts -> src/tun/index.ts",
        "no-circle: src/wire/left.ts -> src/wire/right.ts",
        "pure: src/wire/index.ts -> fs",
        "through-index: src/link/index.ts -> src/base/low.ts",
      ]
    `);
  });
});
