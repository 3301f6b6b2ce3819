/** The stages of `npm test`, in order. Each resolves to `{ ok }`, with counts where it runs tests. */

import { buildGuest } from './build-guest.mjs';
import { compileProgram } from './build-native.mjs';
import { nativeFunctions, prepareChecker, tellReports } from './checkers.mjs';
import { checkPackage } from './pack-check.mjs';
import { capture, inRoot, runProgram, say } from './process.mjs';
import { compileExamples } from './setup.mjs';
import { runOnNode } from './test-nodes.mjs';
import { runVitest } from './vitest.mjs';

/** Runs a tool of node_modules with this node. */
async function tool(script, ...args) {
  return { ok: (await runProgram([process.execPath, `node_modules/${script}`, ...args])) === 0 };
}

/** What is short and finds most comes first; then the longest, so that none is left alone at the end. */
export const stages = [
  { name: 'typecheck', title: 'TypeScript, sources and tests', run: typecheck },
  {
    name: 'lint',
    title: 'Biome, rules and format',
    run: () => tool('@biomejs/biome/bin/biome', 'ci', '--error-on-warnings'),
  },
  {
    name: 'layers',
    title: 'import direction',
    run: () => tool('dependency-cruiser/bin/dependency-cruise.mjs', 'src', '--config', '.dependency-cruiser.cjs'),
  },
  { name: 'unused', title: 'unused files, exports and dependencies', run: () => tool('knip/bin/knip.js') },
  {
    name: 'docs',
    title: 'every public export is documented',
    run: () => tool('typedoc/bin/typedoc', '--emit', 'none'),
  },
  ...['22', '24', '26'].map((version) => ({
    name: `node-${version}`,
    title: `tests on Node ${version}, with the core that the package carries`,
    // Between its neighbours, what differs is Node's own: streams, TLS, the event loop.
    run: (filters) => runOnNode(version, filters, version === '24' ? { projects: ['unit'] } : {}),
  })),
  { name: 'memcheck', title: 'native core under Valgrind', run: (filters) => runChecked('memcheck', filters) },
  { name: 'sanitize', title: 'native core under ASan and UBSan', run: (filters) => runChecked('asan', filters) },
  {
    name: 'kernel',
    title: 'tests against the kernel, in a private network namespace',
    run: (filters) => runVitest('kernel', { projects: ['kernel'], filters, isolated: true }),
  },
  {
    name: 'links',
    title: 'vnic link against its peers, in a private network namespace',
    run: (filters) => {
      // Here, since the namespace of the tests has no network to fetch it from.
      buildGuest();
      return runCommandTests('links', filters, ['link', 'secure-link', 'run-links']);
    },
  },
  {
    name: 'e2e',
    title: 'the command, in a private network namespace',
    run: (filters) => runCommandTests('e2e', filters),
  },
  {
    name: 'tunnels',
    title: 'vnic tunnel and the MTU of links, in a private network namespace',
    run: (filters) => runCommandTests('tunnels', filters, ['tunnel', 'run-tunnels', 'mtu']),
  },
  { name: 'threads', title: 'native core under ThreadSanitizer', run: (filters) => runChecked('tsan', filters) },
  {
    name: 'without-io-uring',
    title: 'the data path where the kernel forbids io_uring',
    run: runWithoutIoUring,
  },
  {
    name: 'unit',
    title: 'tests without privilege',
    run: (filters) => runVitest('unit', { projects: ['unit'], filters }),
  },
  {
    name: 'bench',
    title: 'every bench runs to its end, whatever its figures',
    run: async (filters) => ({
      ok:
        (await runProgram([process.execPath, 'bench/run.mjs', '--smoke', ...filters], {
          stdio: ['inherit', 'ignore', 'inherit'],
        })) === 0,
    }),
  },
  {
    name: 'package',
    title: 'what npm would publish works without a compiler',
    run: async () => ({ ok: await checkPackage() }),
  },
  { name: 'examples', title: 'every example does what it says', run: runExamples },
];

/** Twice, since a compiler that emits nothing does not look for what isolatedDeclarations forbids. */
async function typecheck() {
  const emitted = await tool('typescript/bin/tsc', '-p', 'tsconfig.build.json');
  const tests = await tool('typescript/bin/tsc', '-p', 'tsconfig.json');
  return { ok: emitted.ok && tests.ok };
}

/** Files of test/e2e that have a stage of their own, by how they begin: together they would take too long for one. */
const apart = ['link', 'secure-link', 'run-links', 'tunnel', 'run-tunnels', 'mtu'];

/** @param {string[]} [files] how the names of the stage's files begin; left out, all that are in no other stage */
function runCommandTests(name, filters, files) {
  const own =
    files === undefined
      ? apart.map((begin) => `--exclude=test/e2e/${begin}*.test.ts`)
      : files.map((begin) => `test/e2e/${begin}`);
  return runVitest(name, { projects: ['e2e'], filters: filters.length > 0 ? filters : own, isolated: true });
}

/** Tests that do everything in programs that they start, which no checker watches, and whose memory checkers would falsify. */
const unwatchedTests = ['**/*.soak.test.ts', 'test/netns/{faults,refusals,offload-refused}.test.ts'];

/** What runs under each checker. */
const checkedTests = {
  // What only speaks netlink adds nothing to a few of its kind.
  asan: [
    ...['src/native', 'src/crypto', 'src/tun', 'src/journal', 'test/conformance/device', 'test/netns/namespaces'],
    ...['device', 'packet', 'offload.test', 'queues.test', 'udp', 'busy-poll', 'forward', 'surface'].map(
      (name) => `test/netns/${name}`,
    ),
  ],
  // What hands work to the pool, and what runs the core in several threads.
  tsan: [
    'src/crypto/threads',
    'test/netns/queues.test',
    'test/netns/device.test',
    'test/netns/packet-io',
    'test/conformance/device',
  ],
  memcheck: [
    ...['src/native', 'src/crypto/vectors', 'src/crypto/threads', 'src/journal'],
    ...['test/netns/namespaces', 'test/netns/device.test', 'test/netns/packet-io', 'test/netns/udp-faults'],
  ],
};

async function runChecked(name, filters) {
  const checker = prepareChecker(name);
  const result = await runVitest(name, {
    projects: ['unit', 'kernel'],
    filters: [
      ...(filters.length > 0 ? filters : checkedTests[name]),
      ...unwatchedTests.map((pattern) => `--exclude=${pattern}`),
      ...checker.options,
    ],
    isolated: true,
    env: checker.env,
  });
  const clean = tellReports(checker);
  const called = checker.calledFunctions();
  const missed = filters.length > 0 || name === 'tsan' ? [] : nativeFunctions().filter((one) => !called.has(one));
  if (missed.length > 0) say(`functions of the core that no test has called: ${missed.join(', ')}`);
  const ok = result.ok && clean && missed.length === 0;
  // Memcheck is too slow to bring much about in a time.
  if (filters.length > 0 || name === 'memcheck') return { ...result, ok };
  const soak = [process.execPath, 'scripts/soak.mjs', '--checker', name, '--seconds', '15'];
  return { ...result, ok: (await runProgram(soak)) === 0 && ok };
}

/** What carries packets; the rest does not know of io_uring, nor does what has a virtio-net header. */
const dataPathTests = ['device', 'packet-io', 'busy-poll', 'forward', 'queues.test'].map(
  (name) => `test/netns/${name}`,
);

async function runWithoutIoUring(filters) {
  const forbid = compileProgram('test/setup/forbid-io-uring.c');
  const probe = `process.exitCode = require(${JSON.stringify(inRoot('build/vnic.node'))}).ioUringProbe() === -1 ? 0 : 1`;
  if (!capture([forbid, process.execPath, '-e', probe]).ok) {
    say('io_uring is not forbidden');
    return { ok: false, failed: 1 };
  }
  return runVitest('without-io-uring', {
    projects: ['kernel'],
    filters: filters.length > 0 ? filters : [...dataPathTests, 'test/conformance/device'],
    isolated: true,
    env: { VNIC_TEST_IO_URING: 'forbidden' },
    through: [forbid],
  });
}

async function runExamples(filters) {
  const compiled = await compileExamples();
  const result = await runVitest('examples', { projects: ['examples'], filters, isolated: true });
  return { ...result, ok: result.ok && compiled };
}
