/** The stages of `npm test`, in order. Each resolves to `{ ok }`, with counts where it runs tests. */

import { buildSanitized } from './build-native.mjs';
import { checkPackage } from './pack-check.mjs';
import { runProgram } from './process.mjs';
import { compileExamples } from './setup.mjs';
import { runVitest } from './vitest.mjs';

/** Runs a tool of node_modules with this node. */
async function tool(script, ...args) {
  return { ok: (await runProgram([process.execPath, `node_modules/${script}`, ...args])) === 0 };
}

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
  {
    name: 'unit',
    title: 'tests without privilege',
    run: (filters) => runVitest('unit', { projects: ['unit'], filters }),
  },
  {
    name: 'kernel',
    title: 'tests against the kernel, in a private network namespace',
    run: (filters) => runVitest('kernel', { projects: ['kernel'], filters, isolated: true }),
  },
  {
    name: 'e2e',
    title: 'the command, in a private network namespace',
    run: (filters) => runVitest('e2e', { projects: ['e2e'], filters, isolated: true }),
  },
  { name: 'sanitize', title: 'native core under ASan and UBSan', run: runSanitized },
  { name: 'examples', title: 'every example does what it says', run: runExamples },
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
];

/** Twice, since a compiler that emits nothing does not look for what isolatedDeclarations forbids. */
async function typecheck() {
  const emitted = await tool('typescript/bin/tsc', '-p', 'tsconfig.build.json');
  const tests = await tool('typescript/bin/tsc', '-p', 'tsconfig.json');
  return { ok: emitted.ok && tests.ok };
}

/** Everything that calls the native core; not `*.soak.test.ts`, which measure memory that ASan keeps for itself. */
function runSanitized(filters) {
  const callers = ['src/native', 'src/crypto', 'src/tun', 'src/netlink', 'test/netns', 'test/conformance/device'];
  return runVitest('sanitize', {
    projects: ['unit', 'kernel'],
    filters: [...(filters.length > 0 ? filters : callers), '--exclude=**/*.soak.test.ts'],
    isolated: true,
    env: buildSanitized(),
  });
}

async function runExamples(filters) {
  const compiled = await compileExamples();
  const result = await runVitest('examples', { projects: ['examples'], filters, isolated: true });
  return { ...result, ok: result.ok && compiled };
}
