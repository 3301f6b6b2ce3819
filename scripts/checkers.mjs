/**
 * The native core under programs that watch memory and threads: AddressSanitizer with UBSan, ThreadSanitizer and
 * Valgrind's memcheck.
 *
 * A checker is a node to run tests with: build/NAME/node, a script that starts the real one with the checker and with a core
 * built for it. Vitest starts only the processes that run tests with it, and test/setup/checker.ts keeps it from the programs
 * that those start.
 *
 * Node itself is not instrumented. Threads and memcheck therefore report things that are none (V8 synchronises by
 * atomics that ThreadSanitizer does not see, and scans stacks that were never written). Suppressions cannot tell those from
 * ours, since a suppression matches any frame and every stack of the core goes on in node. So reports are kept in files, and one
 * counts if and only if a frame of it, in any of its stacks, lies in vnic.node.
 */

import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { buildChecked } from './build-native.mjs';
import { capture, fail, findProgram, inRoot, say } from './process.mjs';

const library = (name) => capture(['cc', `-print-file-name=${name}`]).output.trim();

/**
 * `command`: what comes before `node`, given the folder of reports. `reports`: the reports in one file that count.
 * `patience`: how many times slower tests may be. `propertyMs`: after which a property has been tried enough.
 * `options`: for Vitest.
 */
const checkers = {
  asan: {
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
    patience: 2,
    // It ends the process at the first report, with node's part in it: leaks at exit, which are by design, do not count.
    command: () => [
      ...['env', `LD_PRELOAD=${library('libasan.so')}`],
      ...['ASAN_OPTIONS=detect_leaks=0', 'UBSAN_OPTIONS=print_stacktrace=1'],
    ],
    reports: () => [],
  },
  tsan: {
    flags: ['-fsanitize=thread'],
    patience: 3,
    command: (folder) => [
      ...['env', `LD_PRELOAD=${library('libtsan.so')}`],
      // The longest history: without it the other side of a race has no stack.
      `TSAN_OPTIONS=log_path=${folder}/report exitcode=0 history_size=7`,
      ...fixedAddresses(),
    ],
    reports: (text) =>
      text
        .split(/^={18}$/m)
        .filter((report) => report.includes('(vnic.node+') && !isReusedNumber(report) && !isJobOfV8(report)),
  },
  memcheck: {
    flags: [],
    patience: 20,
    // It starts slowly, so all test files share one process.
    options: ['--no-isolate'],
    propertyMs: 2500,
    command: (folder) => [
      ...['valgrind', '--tool=memcheck', '--quiet', '--trace-children=no', '--error-limit=no', '--num-callers=40'],
      // V8 writes code outside of stacks too.
      ...['--smc-check=all-non-file', '--leak-check=full', '--show-leak-kinds=definite'],
      `--suppressions=${inRoot('test/setup/valgrind.supp')}`,
      ...['--xml=yes', `--xml-file=${folder}/report.%p`],
    ],
    reports: (text) =>
      [...text.matchAll(/<error>[\s\S]*?<\/error>/g)]
        .map(([error]) => error)
        .filter(isOurs)
        .map(readable),
  },
};

/**
 * Builds what the checker needs.
 * @param {'asan' | 'tsan' | 'memcheck'} name
 * @returns `node`: a program to use in place of node; `env`, `options`: for Vitest to use it; `reports()`: what the checker
 * has said about the core since; `calledFunctions()`: names of the functions of the core that tests have called since
 */
export function prepareChecker(name) {
  const { flags, patience, propertyMs, options = [], command, reports } = checkers[name];
  if (name === 'memcheck' && findProgram('valgrind') === undefined) {
    fail('valgrind is not installed', 'node scripts/install-peers.mjs');
  }
  const core = buildChecked(name, flags);
  const folder = inRoot('build', name, 'reports');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const calls = inRoot('build', name, 'calls');
  rmSync(calls, { force: true });
  const node = inRoot('build', name, 'node');
  const words = ['env', `VNIC_NATIVE=${core}`, `VNIC_CHECKER_CALLS=${calls}`, ...command(folder), process.execPath];
  writeFileSync(node, `#!/bin/sh\nexec ${words.map(quoted).join(' ')} "$@"\n`);
  chmodSync(node, 0o755);
  return {
    node,
    options,
    env: {
      VNIC_TEST_NODE: node,
      VNIC_TEST_PATIENCE: patience,
      ...(propertyMs !== undefined && { VNIC_TEST_PROPERTY_MS: propertyMs }),
    },
    reports: () => readdirSync(folder).flatMap((file) => reports(readFileSync(join(folder, file), 'utf8'))),
    calledFunctions: () => new Set(existsSync(calls) ? readFileSync(calls, 'utf8').split('\n') : []),
  };
}

/** Tells what a checker has said about the core; true when that was nothing. */
export function tellReports({ reports }) {
  const found = reports();
  for (const report of found) say(report.trim());
  if (found.length > 0) say(`${found.length} reports with a frame in vnic.node`);
  return found.length === 0;
}

/** The names under which the core registers its functions. */
export function nativeFunctions() {
  const sources = readdirSync(inRoot('native')).filter((name) => name.endsWith('.c'));
  return sources.flatMap((name) =>
    [...readFileSync(inRoot('native', name), 'utf8').matchAll(/^\t\{"(\w+)", \w+\},$/gm)].map((match) => match[1]),
  );
}

/** The shadow memory of GCC 12 finds no room where addresses are as random as some kernels make them. */
function fixedAddresses() {
  const setarch = ['setarch', '-R'];
  return capture([...setarch, 'true']).ok ? setarch : [];
}

/**
 * A number that libuv opened and closed, in its pool or for the loop of a worker that has ended, and that the kernel has given
 * to the core since. libuv closes by ways that are not watched, so that the two uses look like a race.
 */
function isReusedNumber(report) {
  const [, opened = ''] = /Location is file descriptor \d+ created by [^\n]*\n((?: {4}#[^\n]*\n)+)/.exec(report) ?? [];
  return /\buv__(?:fs_open|platform_loop_init)\b/.test(opened) && !opened.includes('(vnic.node+');
}

/**
 * A job of V8's, freed by one of its threads after another was done with it, which V8 settles by an atomic count. It has a frame
 * of the core if the call that allocated let V8 collect its garbage. Both accesses have to be V8's own, above any of the core.
 */
function isJobOfV8(report) {
  const accesses = [
    ...report.matchAll(/^ {2}(?:Previous )?(?:atomic )?(?:read|write) of size [^\n]*\n((?: {4}#[^\n]*\n)+)/gim),
  ];
  return (
    accesses.length === 2 &&
    accesses.every(([, stack = '']) => stack.split('(vnic.node+')[0].includes('v8::platform::DefaultJob'))
  );
}

/** What Node-API allocates for the core is node's to free; with a worker that is terminated, it does not. */
function isOurs(error) {
  const [before, ours] = error.split(/<obj>[^<]*\/vnic\.node<\/obj>/, 2);
  const isLeak = /<kind>Leak_/.test(error);
  return ours !== undefined && !(isLeak && /<fn>napi_/.test(before));
}

const quoted = (word) => `'${word.replaceAll("'", `'\\''`)}'`;

/** `Invalid read of size 4`, and a line a frame. */
function readable(error) {
  const [, what = ''] = /<(?:what|text)>([^<]*)</.exec(error) ?? [];
  const tag = (frame, name) => new RegExp(`<${name}>([^<]*)<`).exec(frame)?.[1];
  const frames = [...error.matchAll(/<frame>[\s\S]*?<\/frame>/g)].map(([frame]) => {
    const place = tag(frame, 'file') === undefined ? tag(frame, 'obj') : `${tag(frame, 'file')}:${tag(frame, 'line')}`;
    return `    ${tag(frame, 'fn') ?? tag(frame, 'ip')} (${place})`;
  });
  return [what, ...frames].join('\n');
}
