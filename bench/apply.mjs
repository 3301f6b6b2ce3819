/** What a configuration file costs: many devices made by `vnic apply` and by `ip -batch`, and applied again. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { inRoot } from '../scripts/process.mjs';
import { ip } from './lib/network.mjs';
import { range, rangeCell, table } from './lib/tables.mjs';
import { figures, inTurn, median, undisturbed } from './lib/turns.mjs';

const AGAIN = 5;

export const title = 'Apply: a thousand devices with an address and a route each, against `ip -batch`';
export const about =
  '`ip -batch` is a process for what it is. vnic is measured as a command, with the start of Node and the reading of the ' +
  'file, and as a call in a process that runs already and has read it, as the service does it. "Again" finds everything as it should be; its ' +
  'ratio is to what `ip -batch` takes to make it.';

export async function run({ rounds, seconds }) {
  // A smoke run only sees that it works.
  const devices = seconds < 0.5 ? 20 : 1000;
  const place = preparePlace(devices);
  try {
    const kinds = kindsOf(place);
    const results = await inTurn(kinds, rounds, (kind) => measure(kind));
    const [baseline] = kinds;
    const again = (name) => {
      const all = figures(results, name, 'againMs').filter(Number.isFinite);
      if (all.length === 0) return '–';
      return `${range(all)} (${(median(all) / median(figures(results, baseline.name, 'applyMs'))).toFixed(2)}×)`;
    };
    return table(
      ['applied by', 'ms', 'again, ms'],
      kinds.map(({ name }) => [name, rangeCell(results, name, baseline.name, 'applyMs', 0), again(name)]),
    );
  } finally {
    rmSync(place.folder, { recursive: true, force: true });
  }
}

/** The same state as a file of vnic and as a script of `ip`. */
function preparePlace(devices) {
  const folder = mkdtempSync(join(tmpdir(), 'vnic-bench-'));
  const [file, script] = [join(folder, 'vnic.yaml'), join(folder, 'ip.batch')];
  const each = (text) => Array.from({ length: devices }, (_, i) => text(i, `${i >> 8}.${i & 255}`)).join('\n');
  const device = (i, net) => `  b${i}: { kind: tun, addresses: [10.${net}.1/24], routes: [11.${net}.0/24] }`;
  const commands = (i, net) =>
    [
      `tuntap add dev b${i} mode tun`,
      `addr add 10.${net}.1/24 dev b${i}`,
      `link set b${i} up`,
      `route add 11.${net}.0/24 dev b${i}`,
    ].join('\n');
  const yaml = `devices:\n${each(device)}\n`;
  writeFileSync(file, yaml);
  writeFileSync(script, each(commands));
  return { folder, file, script, yaml };
}

function kindsOf({ folder, file, script, yaml }) {
  const env = { ...process.env, VNIC_RUNTIME_DIRECTORY: join(folder, 'journals') };
  const vnic = (...args) => execFileSync(process.execPath, [inRoot('dist/cli/main.js'), ...args, '-f', file], { env });
  const where = { path: file, folder };
  // As a service has it: the file is read once, and again only when it changes.
  let loaded;
  const load = async () => {
    const [{ parseConfig }, state] = await Promise.all([
      import(inRoot('dist/config/index.js')),
      import(inRoot('dist/state/index.js')),
    ]);
    return { ...state, config: parseConfig(yaml).config };
  };
  const service = () => {
    loaded ??= load();
    return loaded;
  };
  return [
    { name: '`ip -batch`', apply: () => execFileSync('ip', ['-batch', script]), forget: () => undefined },
    {
      name: '`applyConfig` in a running process',
      apply: async () => {
        const { config, applyConfig } = await service();
        await applyConfig(config, where);
      },
      forget: async () => (await service()).takeDown(where),
      again: AGAIN,
    },
    {
      name: '`vnic apply`, the command',
      apply: () => vnic('apply', '--quiet'),
      forget: () => vnic('down'),
      again: AGAIN,
    },
  ];
}

async function measure({ apply, again = 0, forget }) {
  try {
    const applyMs = await undisturbed(async () => {
      await wipe(forget);
      return await timed(apply);
    });
    const repeated = [];
    for (let i = 0; i < again; i++) repeated.push(await timed(apply));
    return { applyMs, againMs: median(repeated) };
  } finally {
    await wipe(forget);
  }
}

/** Deletes all devices as a group, for speed; of those the journal then only has to forget. */
async function wipe(forget) {
  const names = JSON.parse(ip('-j', 'link')).flatMap(({ ifname }) => (ifname === 'lo' ? [] : [ifname]));
  if (names.length > 0) {
    const input = names.map((name) => `link set ${name} group 77`).join('\n');
    execFileSync('ip', ['-batch', '-'], { input });
    ip('link', 'del', 'group', '77');
  }
  await forget();
}

async function timed(work) {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
