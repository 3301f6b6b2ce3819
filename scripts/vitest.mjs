/** Running vitest and counting what it says. */

import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { relative } from 'node:path';

import { inNamespaces, namespaceHint } from './namespaces.mjs';
import { inRoot, root, runProgram, say } from './process.mjs';

const fifteenMinutesMs = 900_000;

/**
 * Runs vitest projects and resolves to `{ ok, passed, failed, skipped, failures }`; `failures` has a line a failed test.
 *
 * @param {string} name names the file of results in build/test-results/
 * @param {object} options
 * @param {string[]} options.projects projects of vitest.config.ts
 * @param {string[]} [options.filters] only test files whose path contains one of these
 * @param {boolean} [options.isolated] inside a private network and mount namespace
 * @param {Record<string, string>} [options.env] added to the environment of vitest, and of nothing before it
 * @param {string} [options.node] the node binary
 * @param {string[]} [options.through] a program and its arguments, to which node is handed to be run
 * @param {number} [options.timeoutMs] default fifteen minutes
 */
export async function runVitest(name, options) {
  const { projects, filters = [], isolated = false, env = {}, node = process.execPath, through = [] } = options;
  const { timeoutMs = fifteenMinutesMs } = options;
  const resultFile = inRoot(`build/test-results/${name}.json`);
  mkdirSync(inRoot('build/test-results'), { recursive: true });
  rmSync(resultFile, { force: true });
  const settings = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const vitest = [
    ...['env', ...settings, ...through, node, 'node_modules/vitest/vitest.mjs', 'run'],
    ...projects.map((project) => `--project=${project}`),
    ...['--reporter=default', '--reporter=json', `--outputFile.json=${resultFile}`],
    ...filters,
  ];
  const { command, reason } = isolated ? inNamespaces(vitest) : { command: vitest };
  if (command === undefined) {
    say(`error: no private network namespace: ${reason}\nhint: ${namespaceHint}`);
    return { ok: false, passed: 0, failed: 1, skipped: 0, failures: ['no private network namespace'] };
  }
  const status = await runProgram(command, { timeout: timeoutMs });
  const counts = countResults(resultFile);
  // Something outside of any test can fail too: an unhandled rejection, a crash, no test file at all.
  if (status !== 0 && counts.failed === 0) {
    counts.failed = 1;
    counts.failures.push(`vitest ended with ${status}, though no test failed`);
  }
  return { ok: status === 0, ...counts };
}

function countResults(file) {
  const counts = { passed: 0, failed: 0, skipped: 0, failures: [] };
  if (!existsSync(file)) return counts;
  for (const { name, status, message, assertionResults } of JSON.parse(readFileSync(file, 'utf8')).testResults) {
    const fail = (test, why = '') => {
      counts.failed++;
      counts.failures.push(`${relative(root, name)} > ${test}: ${why.split('\n', 1)[0]}`);
    };
    for (const test of assertionResults) {
      if (test.status === 'passed') counts.passed++;
      else if (test.status === 'failed') fail(test.fullName, test.failureMessages[0]);
      else counts.skipped++;
    }
    // A file that cannot be loaded has no tests to fail.
    if (status === 'failed' && !assertionResults.some((test) => test.status === 'failed')) fail('the file', message);
  }
  return counts;
}
