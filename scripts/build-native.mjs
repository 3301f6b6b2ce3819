/**
 * Builds the native core.
 *
 *   node scripts/build-native.mjs              build/vnic.node, for this machine, if its sources are newer
 *   node scripts/build-native.mjs --prebuild   native/prebuilds/linux-{x64,arm64}/vnic.node, for the package
 *
 * The file appears whole, by rename, so that processes which load it meanwhile never see half of it.
 */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { aptLine, installPackages } from './debian.mjs';
import { capture, fail, findProgram, inRoot, root, say } from './process.mjs';

const warnings = ['-std=c11', '-Wall', '-Wextra', '-Werror'];
const shared = [
  '-shared',
  '-fPIC',
  '-fvisibility=hidden',
  '-DNAPI_VERSION=8',
  '-I',
  'node_modules/node-api-headers/include',
];
// No libc is linked in: its functions are found in the node process, so one file serves glibc and musl of any version.
const release = [...warnings, '-O2', ...shared, '-nostdlib', '-fno-stack-protector'];
// Instrumented, or just legible, for the checkers of scripts/checkers.mjs.
const checked = [...warnings, '-O1', '-g', '-fno-omit-frame-pointer', ...shared];

const architectures = {
  x64: { triplet: 'x86_64-linux-gnu', packages: ['gcc-x86-64-linux-gnu', 'libc6-dev-amd64-cross'], flags: [] },
  arm64: {
    triplet: 'aarch64-linux-gnu',
    packages: ['gcc-aarch64-linux-gnu', 'libc6-dev-arm64-cross'],
    // Kernels with 16 and 64 KiB pages refuse segments aligned to less; outlined atomics would need libgcc.
    flags: ['-Wl,-z,max-page-size=65536', '-mno-outline-atomics'],
  },
};

/** Builds `build/vnic.node` unless it is newer than its sources. Without a compiler a prebuilt file will do. */
export function buildNative() {
  const output = inRoot('build/vnic.node');
  if (isFresh(output)) return;
  const prebuilt = prebuiltFile(process.arch);
  if (findProgram('cc') === undefined && existsSync(prebuilt)) {
    rmSync(output, { force: true }); // the loader would prefer the old build
    return;
  }
  needCompiler('cc', ['gcc', 'libc6-dev']);
  compile('cc', release, output);
}

/** Builds the stripped files that the npm package carries, of all architectures or of those named. */
export function buildPrebuilds(wanted = Object.keys(architectures)) {
  for (const [arch, { triplet, packages, flags }] of Object.entries(architectures)) {
    const output = prebuiltFile(arch);
    if (!wanted.includes(arch) || isFresh(output)) continue;
    const compiler = arch === process.arch ? 'cc' : `${triplet}-gcc`;
    needCompiler(compiler, arch === process.arch ? ['gcc', 'libc6-dev'] : packages);
    compile(compiler, [...release, ...flags, '-s'], output);
  }
}

/** Builds build/NAME/vnic.node, with debug information, by these further flags; returns its path. */
export function buildChecked(name, flags) {
  const output = inRoot('build', name, 'vnic.node');
  needCompiler('cc', ['gcc', 'libc6-dev']);
  if (!isFresh(output)) compile('cc', [...checked, ...flags], output);
  return output;
}

/** Where the package has the core of an architecture. */
export function prebuiltFile(arch) {
  return inRoot(`native/prebuilds/linux-${arch}/vnic.node`);
}

/** Compiles a program of one C file into build/programs/; returns its path. */
export function compileProgram(source) {
  const program = inRoot('build/programs', basename(source, '.c'));
  needCompiler('cc', ['gcc', 'libc6-dev']);
  mkdirSync(dirname(program), { recursive: true });
  const unfinished = `${program}.${process.pid}`;
  const result = capture(['cc', ...warnings, '-D_GNU_SOURCE', '-O2', '-o', unfinished, inRoot(source)]);
  if (!result.ok) fail(`cc cannot compile ${source}`, result.output.trimEnd());
  renameSync(unfinished, program);
  return program;
}

function isFresh(output) {
  const built = statSync(output, { throwIfNoEntry: false });
  if (built === undefined) return false;
  const sources = readdirSync(inRoot('native')).filter((name) => /\.[ch]$/.test(name));
  const inputs = [...sources.map((name) => inRoot('native', name)), fileURLToPath(import.meta.url)];
  return inputs.every((input) => statSync(input).mtimeMs <= built.mtimeMs);
}

function needCompiler(compiler, packages) {
  if (findProgram(compiler) !== undefined) return;
  if (installPackages(packages) && findProgram(compiler) !== undefined) return;
  fail(`no C compiler: ${compiler} is not installed`, `on Debian or Ubuntu: ${aptLine(packages)}`);
}

function compile(compiler, flags, output) {
  say(`compiling ${relative(root, output)} with ${compiler}`);
  mkdirSync(dirname(output), { recursive: true });
  const sources = readdirSync(inRoot('native'))
    .filter((name) => name.endsWith('.c'))
    .map((name) => `native/${name}`);
  const unfinished = `${output}.${process.pid}`;
  const result = capture([compiler, ...flags, '-o', unfinished, ...sources]);
  if (result.output !== '') say(result.output.trimEnd());
  if (!result.ok) {
    rmSync(unfinished, { force: true });
    fail(`${compiler} cannot compile native/*.c`, 'its messages are above');
  }
  renameSync(unfinished, output);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = process.argv[2];
  if (option === undefined) buildNative();
  else if (option === '--prebuild') buildPrebuilds();
  else fail(`unknown option ${option}`, 'options: --prebuild');
}
