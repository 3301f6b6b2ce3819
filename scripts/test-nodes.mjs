/**
 * Runs the unit and kernel tests with another Node, fetched from npm into build/nodes/ (150 to 190 MB each), and the
 * native core that the npm package carries: one file has to serve all of them.
 *
 *   node scripts/test-nodes.mjs             22, 24 and 26, all tests; `npm test` leaves some out, for their time
 *   node scripts/test-nodes.mjs 24 26.10.0
 */

import { fileURLToPath } from 'node:url';

import { buildPrebuilds, prebuiltFile } from './build-native.mjs';
import { fetchNode } from './node-versions.mjs';
import { say } from './process.mjs';
import { setup } from './setup.mjs';
import { runVitest } from './vitest.mjs';

/** What takes long and hardly depends on Node: pure codecs on many inputs, long runs, what tests the kernel and programs. */
const leftOut = [
  'test/{fuzz,interop}/**',
  '**/*.soak.test.ts',
  'test/netns/{faults,queues-offload,offload-mask,qdiscs}.test.ts',
  'src/host/plain-echo.test.ts',
  'src/{framing,middleware,mtu,host,wire}/*.test.ts',
  'test/conformance/pair-{middleware,wrappers,controlled}.test.ts',
  'src/native/offload.test.ts',
  // Netlink and files of /proc, by calls of the core that the others make too.
  'test/netns/{netlink,policy,bridging,masquerade,apply,surface}.test.ts',
];

/**
 * @param {string} version
 * @param {string[]} [filters] only test files whose path contains one of these
 * @param {object} [options]
 * @param {boolean} [options.whole] also what `npm test` leaves out, for its time
 * @param {string[]} [options.projects] of vitest.config.ts; default unit and kernel
 */
export async function runOnNode(version, filters = [], options = {}) {
  const { whole = filters.length > 0, projects = ['unit', 'kernel'] } = options;
  const node = fetchNode(version);
  if (node === undefined) return { ok: false, failed: 1 };
  buildPrebuilds([process.arch]);
  return runVitest(`node-${version}`, {
    projects,
    // The rules of test/repo are about the sources, whatever runs them.
    filters: [...filters, ...['test/repo/**', ...(whole ? [] : leftOut)].map((pattern) => `--exclude=${pattern}`)],
    isolated: true,
    env: { VNIC_NATIVE: prebuiltFile(process.arch), VNIC_TEST_SOAK_SHARE: 0.5 },
    node,
  });
}

async function testNodes(versions) {
  await setup();
  const lines = [];
  for (const version of versions) {
    say(`\n=== node ${version}`);
    const { ok, passed = 0, failed = 0, skipped = 0 } = await runOnNode(version, [], { whole: true });
    lines.push(`node ${version}: ${passed} passed, ${failed} failed, ${skipped} skipped`);
    if (!ok) process.exitCode = 1;
  }
  process.stdout.write(`\n${lines.join('\n')}\n`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await testNodes(process.argv.length > 2 ? process.argv.slice(2) : ['22', '24', '26']);
}
