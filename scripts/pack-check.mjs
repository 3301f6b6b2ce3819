/**
 * Packs the npm package and uses it as a stranger would: in an empty project, without a compiler, on x64,
 * and the same on arm64 under QEMU.
 *
 *   node scripts/pack-check.mjs
 */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { inNamespaces, namespaceHint } from './namespaces.mjs';
import { fetchNode } from './node-versions.mjs';
import { capture, findProgram, inRoot, say } from './process.mjs';

const manifest = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
const tarball = inRoot('build/pack', `${manifest.name}-${manifest.version}.tgz`);
const specifiers = Object.keys(manifest.exports)
  .filter((subpath) => !subpath.endsWith('.json'))
  .map((subpath) => `vnic${subpath.slice(1)}`);
const mustContain = [
  'LICENSE',
  'NOTICE',
  'README.md',
  'CHANGELOG.md',
  'docs/errors.md',
  'native/prebuilds/linux-x64/vnic.node',
  'native/prebuilds/linux-arm64/vnic.node',
];
// What a machine without a compiler has; the checks find no other program.
const programs = ['node', 'npm', 'npx', 'sh', 'env', 'uname'];

/** @returns {Promise<boolean>} true when every check holds; those that do not have been told */
export async function checkPackage() {
  mkdirSync(inRoot('build/pack'), { recursive: true });
  if (!check('npm pack', ['npm', 'pack', '--pack-destination', inRoot('build/pack')])) return false;
  const publint = check('publint', [process.execPath, 'node_modules/publint/src/cli.js', tarball, '--strict']);
  const contents = checkContents();
  const project = mkdtempSync(join(tmpdir(), 'vnic-package-'));
  try {
    return useInProject(project) && publint && contents;
  } finally {
    rmSync(project, { recursive: true, force: true });
  }
}

/** Every check runs, so that one failure does not hide another. */
function useInProject(project) {
  const bin = join(project, 'bin');
  mkdirSync(bin);
  for (const name of programs) symlinkSync(findProgram(name), join(bin, name));
  const env = { ...process.env, PATH: bin };
  writeFileSync(join(project, 'package.json'), '{ "private": true, "type": "module" }\n');
  writeFileSync(join(project, 'imports.mjs'), importsProgram());
  writeFileSync(join(project, 'device.mjs'), deviceProgram);
  writeFileSync(join(project, 'types.ts'), typesProgram());

  const quiet = ['--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  const options = { cwd: project, env };
  if (!check('npm install', ['npm', 'install', ...quiet, tarball], options)) return false;
  return [
    check('no compiler is found', ['sh', '-c', '! command -v cc && ! command -v gcc'], options),
    check('import of every entry point', ['node', 'imports.mjs'], options),
    check(
      'vnic --version',
      ['npx', '--no', '--', 'vnic', '--version'],
      options,
      new RegExp(`^${manifest.version}$`, 'm'),
    ),
    checkInNamespaces('a TUN device', ['env', `PATH=${bin}`, 'node'], project),
    checkTypes(project),
    checkArm64(project),
  ].every(Boolean);
}

function checkArm64(project) {
  const qemu = findProgram('qemu-aarch64-static');
  if (qemu === undefined) return tell('arm64 under QEMU', false, 'qemu-aarch64-static is not installed');
  const node = fetchNode('20.20.2', 'arm64');
  if (node === undefined) return tell('arm64 under QEMU', false, 'no arm64 node binary');
  const arm64 = [qemu, '-L', '/usr/aarch64-linux-gnu', node];
  const imports = check('import of every entry point on arm64', [...arm64, 'imports.mjs'], { cwd: project }, /arm64/);
  return checkInNamespaces('a TUN device on arm64', arm64, project) && imports;
}

/** The declarations compile in a strict project that does not skip them. */
function checkTypes(project) {
  const compiler = [process.execPath, inRoot('node_modules/typescript/bin/tsc'), '--noEmit', '--strict'];
  const target = ['--target', 'es2023', '--lib', 'es2023,esnext.disposable', '--module', 'nodenext'];
  const types = ['--types', 'node', '--typeRoots', inRoot('node_modules/@types')];
  return check('declarations', [...compiler, ...target, ...types, 'types.ts'], { cwd: project });
}

function checkContents() {
  const { ok, output } = capture(['tar', '-tzf', tarball]);
  const files = output.split('\n').map((line) => line.replace(/^package\//, ''));
  const missing = mustContain.filter((file) => !files.includes(file));
  const unwanted = files.filter((file) => /\.test\.|^src\/|^test\/|tsbuildinfo/.test(file));
  const detail = `missing: ${missing.join(', ') || 'none'}; unwanted: ${unwanted.join(', ') || 'none'}`;
  return tell('contents', ok && missing.length === 0 && unwanted.length === 0, detail);
}

function checkInNamespaces(what, command, cwd) {
  const isolated = inNamespaces([...command, 'device.mjs', findProgram('ip')]);
  if (isolated.command === undefined) return tell(what, false, `${isolated.reason}\nhint: ${namespaceHint}`);
  return check(what, isolated.command, { cwd }, /read the datagram on/);
}

function check(what, command, options = {}, expected = /(?:)/) {
  const { ok, output } = capture(command, { timeout: 120_000, ...options });
  return tell(what, ok && expected.test(output), output.trimEnd());
}

function tell(what, ok, detail) {
  say(`${ok ? 'ok    ' : 'FAILED'} ${what}`);
  if (!ok) say(detail.replace(/^/gm, '       '));
  return ok;
}

const importsProgram = () => `
const specifiers = ${JSON.stringify(specifiers)};
for (const specifier of specifiers) {
  const names = Object.keys(await import(specifier));
  if (names.length === 0) throw new Error(specifier + ' exports nothing');
  console.log(process.arch, specifier, names.length);
}
`;

const typesProgram = () => specifiers.map((specifier, i) => `export * as entry${i} from '${specifier}';\n`).join('');

/** Opens a TUN device, has the kernel send a datagram into it, and reads that. */
const deviceProgram = `
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { TunDevice } from 'vnic';

const ip = (...args) => execFileSync(process.argv[2], args);
const device = await TunDevice.open();
ip('address', 'add', '10.0.0.1/24', 'dev', device.name);
ip('link', 'set', device.name, 'up');
const socket = createSocket('udp4');
socket.send('hello', 9, '10.0.0.2');
for await (const batch of device.batches({ signal: AbortSignal.timeout(20_000) })) {
  if (![...batch].some((packet) => Buffer.from(packet).toString('latin1').endsWith('hello'))) continue;
  console.log('read the datagram on', process.arch);
  break;
}
socket.close();
await device.close();
`;

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = (await checkPackage()) ? 0 : 1;
