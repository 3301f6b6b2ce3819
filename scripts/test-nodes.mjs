/**
 * Runs the unit and kernel tests with other Node versions, fetched from npm into build/nodes/.
 * Not part of `npm test`, since each is a download of some 190 MB.
 *
 *   node scripts/test-nodes.mjs             22, 24 and 26
 *   node scripts/test-nodes.mjs 24 26.10.0
 */

import { fetchNode } from './node-versions.mjs';
import { say } from './process.mjs';
import { setup } from './setup.mjs';
import { runVitest } from './vitest.mjs';

const versions = process.argv.length > 2 ? process.argv.slice(2) : ['22', '24', '26'];

await setup();
const lines = [];
for (const version of versions) {
  const node = fetchNode(version);
  if (node === undefined) {
    lines.push(`node ${version}: not available`);
    process.exitCode = 1;
    continue;
  }
  for (const project of ['unit', 'kernel']) {
    say(`\n=== node ${version}: ${project}`);
    const isolated = project === 'kernel';
    const result = await runVitest(`${project}-node-${version}`, { projects: [project], isolated, node });
    const { ok, passed, failed, skipped } = result;
    lines.push(`node ${version}: ${project}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
    if (!ok) process.exitCode = 1;
  }
}
process.stdout.write(`\n${lines.join('\n')}\n`);
