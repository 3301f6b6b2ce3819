/**
 * Applying a thousand devices with an address and a route each, against the same work by an `ip -batch` script, and
 * applying again when nothing is to be done.
 *
 * `ip -batch` is measured as a process, for what it is. vnic is measured as a command, with the start of Node and the
 * reading of the file, and as a call in a process that runs already, as the service does it.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { inRoot } from '../scripts/process.mjs';
import { figures, inTurn, ip, machine, median, range, ratio, table } from './lib.mjs';

const DEVICES = 1000;
const ROUNDS = 5;

const { parseConfig } = await import(inRoot('dist/config/index.js'));
const { applyConfig, takeDown } = await import(inRoot('dist/state/index.js'));

const folder = mkdtempSync(join(tmpdir(), 'vnic-bench-'));
const file = join(folder, 'vnic.yaml');
const script = join(folder, 'ip.batch');
const env = { ...process.env, VNIC_RUNTIME_DIRECTORY: join(folder, 'journals') };
const where = { path: file, folder };

const each = (text) => Array.from({ length: DEVICES }, (_, i) => text(i, `10.${i >> 8}.${i & 255}`)).join('\n');
const yaml = `devices:\n${each((i, net) => `  b${i}: { kind: tun, addresses: [${net}.1/24], routes: [11.${i >> 8}.${i & 255}.0/24] }`)}\n`;
writeFileSync(file, yaml);
writeFileSync(
  script,
  each((i, net) =>
    [
      `tuntap add dev b${i} mode tun`,
      `addr add ${net}.1/24 dev b${i}`,
      `link set b${i} up`,
      `route add 11.${i >> 8}.${i & 255}.0/24 dev b${i}`,
    ].join('\n'),
  ),
);
const { config } = parseConfig(yaml);

/** All of a group are deleted at once; one by one would take the kernel fifteen milliseconds each. */
function wipe() {
  for (const { ifname } of JSON.parse(ip('-j', 'link'))) if (ifname !== 'lo') names.push(`link set ${ifname} group 77`);
  execFileSync('ip', ['-batch', '-'], { input: names.splice(0).join('\n') });
  ip('link', 'del', 'group', '77');
}
const names = [];

async function timed(run) {
  const startedMs = performance.now();
  await run();
  return performance.now() - startedMs;
}

const command = () =>
  execFileSync(process.execPath, [inRoot('dist/cli/main.js'), 'apply', '-q', '-f', file], { env, stdio: 'inherit' });

const kinds = [
  {
    name: '`ip -batch`',
    run: async () => ({ applyMs: await timed(() => execFileSync('ip', ['-batch', script])), againMs: Number.NaN }),
  },
  {
    name: '`applyConfig`, in a running process',
    run: async () => {
      const call = () => applyConfig(config, where);
      const applyMs = await timed(call);
      const again = [];
      for (let i = 0; i < 5; i++) again.push(await timed(call));
      return { applyMs, againMs: median(again) };
    },
    forget: () => takeDown(where),
  },
  {
    name: '`vnic apply`, the command',
    run: async () => ({ applyMs: await timed(command), againMs: await timed(command) }),
    forget: () =>
      execFileSync(process.execPath, [inRoot('dist/cli/main.js'), 'down', '-f', file], { env, stdio: 'ignore' }),
  },
];

const results = await inTurn(kinds, ROUNDS, async (kind) => {
  const result = await kind.run();
  wipe();
  // The journal speaks of devices that are gone: nothing but the file of it is left to do.
  await kind.forget?.();
  return result;
});
rmSync(folder, { recursive: true, force: true });

const [baseline] = kinds;
const share = (kind, key) =>
  median(figures(results, kind.name, key)) / median(figures(results, baseline.name, 'applyMs'));
console.log(
  table(
    [`apply ${DEVICES} devices`, 'ms', 'of `ip -batch`', 'again, ms', 'of `ip -batch`'],
    kinds.map((kind) => [
      kind.name,
      range(figures(results, kind.name, 'applyMs')),
      ratio(results, kind.name, baseline.name, 'applyMs').toFixed(2),
      kind === baseline ? '–' : range(figures(results, kind.name, 'againMs')),
      kind === baseline ? '–' : share(kind, 'againMs').toFixed(2),
    ]),
  ),
);
console.log(machine());
