/**
 * Brings a checkout to where `vnic` runs: npm packages, the native core, dist/. Does only what is missing.
 *
 *   node scripts/setup.mjs
 */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

import { buildNative } from './build-native.mjs';
import { withLock } from './lock.mjs';
import { fail, inRoot, runProgram, say } from './process.mjs';

/**
 * @param {object} [options]
 * @param {boolean} [options.keepGoing] go on with what the compiler emitted in spite of type errors
 * @returns {Promise<boolean>} false when there were type errors
 */
export async function setup(options = {}) {
  return withLock(inRoot('build/setup.lock'), async () => {
    await installDependencies();
    buildNative();
    if (await buildDist()) return true;
    if (!options.keepGoing) fail('the TypeScript sources do not compile', 'the messages of tsc are above');
    return false;
  });
}

/**
 * Installs what package-lock.json names, when something else is installed.
 *
 * Not `npm ci`: it refuses a lock file without the optional packages of every foreign platform, which not
 * every registry has. `--no-save` leaves the lock file as it is, too.
 */
async function installDependencies() {
  if (dependenciesMatch()) return;
  say('installing npm packages');
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  const status = await runProgram(['npm', 'install', '--no-save', ...quiet], { stdio: ['ignore', 2, 2] });
  if (status !== 0)
    fail('npm install failed', 'its messages are above; it needs the npm registry or a filled npm cache');
}

function dependenciesMatch() {
  const installedLock = inRoot('node_modules/.package-lock.json');
  if (!existsSync(installedLock)) return false;
  const wanted = JSON.parse(readFileSync(inRoot('package-lock.json'), 'utf8')).packages;
  const installed = JSON.parse(readFileSync(installedLock, 'utf8')).packages;
  // Optional packages are those of other platforms, absent here.
  return Object.entries(wanted).every(
    ([path, entry]) => path === '' || entry.optional || installed[path]?.version === entry.version,
  );
}

/** Runs the compiler when a source has changed; returns whether dist/ is free of type errors. */
async function buildDist() {
  const stampFile = inRoot('build/dist.stamp');
  const stamp = sourcesStamp();
  const dist = inRoot('dist');
  if (existsSync(dist) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return true;
  say('compiling TypeScript into dist/');
  forgetStaleIncrement(dist);
  removeOrphans(dist);
  const status = await runProgram([process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
  if (status !== 0) return false;
  mkdirSync(dirname(stampFile), { recursive: true });
  writeFileSync(stampFile, stamp);
  return true;
}

/** The incremental compiler notices neither that its output was deleted nor every changed option. */
function forgetStaleIncrement(dist) {
  const increment = inRoot('build/tsconfig.build.tsbuildinfo');
  const madeMs = statSync(increment, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const configs = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  const isStale = !existsSync(dist) || configs.some((config) => statSync(inRoot(config)).mtimeMs > madeMs);
  if (isStale) rmSync(increment, { force: true });
}

/** Compiles examples/ into build/examples/, against dist/ as a user's project would. */
export async function compileExamples() {
  const compiler = [process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.examples.json'];
  return (await runProgram(compiler)) === 0;
}

/** A digest of which sources there are and when they changed. */
function sourcesStamp() {
  const files = [...sources(), inRoot('tsconfig.json'), inRoot('tsconfig.build.json'), inRoot('package-lock.json')];
  const hash = createHash('sha256');
  for (const file of files.sort()) {
    const { mtimeMs, size } = statSync(file);
    hash.update(`${file} ${mtimeMs} ${size}\n`);
  }
  return hash.digest('hex');
}

function sources() {
  const entries = readdirSync(inRoot('src'), { recursive: true, withFileTypes: true });
  const isSource = (entry) => entry.isFile() && entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts');
  return entries.filter(isSource).map((entry) => join(entry.parentPath, entry.name));
}

/** Deletes what was compiled from sources that no longer exist, so that it cannot reach a package. */
function removeOrphans(dist) {
  if (!existsSync(dist)) return;
  const kept = new Set(sources().map((source) => relative(inRoot('src'), source).replace(/\.ts$/, '')));
  for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && !kept.has(relative(dist, path).replace(/(\.d\.ts|\.js)(\.map)?$/, ''))) rmSync(path);
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await setup();
