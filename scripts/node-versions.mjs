/** Node binaries of other versions and architectures, from npm, kept in build/nodes/. */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { capture, inRoot, say } from './process.mjs';

/**
 * Path of a Node binary, downloaded on first use (150 to 190 MB), or undefined with the reason told.
 *
 * @param {string} version for example `22` for the newest 22, or `20.20.2`
 * @param {'x64' | 'arm64'} arch
 */
export function fetchNode(version, arch = process.arch) {
  const packageName = `node-linux-${arch}`;
  const folder = inRoot('build/nodes', `${arch}-${version}`);
  const binary = join(folder, 'node_modules', packageName, 'bin/node');
  if (existsSync(binary)) return binary;
  say(`fetching ${packageName}@${version} from npm`);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true }\n');
  // --force: npm refuses a package for another CPU otherwise.
  const install = [
    'npm',
    'install',
    '--ignore-scripts',
    '--force',
    '--no-audit',
    '--no-fund',
    `${packageName}@${version}`,
  ];
  const result = capture(install, { cwd: folder });
  if (result.ok && existsSync(binary)) return binary;
  say(result.output.trimEnd());
  return undefined;
}
