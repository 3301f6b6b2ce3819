/** Tunnels of the file under `vnic run`: two services in two namespaces that a veth pair joins. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { loadIdentity } from '../../src/identity/index.ts';
import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive } from './live-vnic.ts';
import { interfaceNames, type RunResult, run, runVnic, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

interface TunnelStatus {
  readonly name: string;
  readonly state: string;
  readonly reason?: string;
  readonly device?: string;
  readonly addresses?: readonly string[];
  readonly packetsIn?: number;
  readonly clients?: readonly { readonly name: string; readonly addresses: readonly string[] }[];
}

const WAIT = { timeout: 30_000, interval: 200 };
let folder: string;

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vnic-run-tunnels-'));
  joinTwoHosts();
});
afterEach(async () => {
  await endLive();
  wipe();
  rmSync(folder, { recursive: true });
});

const fileOf = (side: string): string => join(folder, `${side}.yaml`);
const keyOf = (side: string): string => loadIdentity(join(folder, side)).fingerprint;
const envOf = (side: string): NodeJS.ProcessEnv => ({
  ...process.env,
  VNIC_IDENTITY_DIRECTORY: join(folder, side),
  VNIC_RUNTIME_DIRECTORY: join(folder, `run-${side}`),
});

async function serve(side: 'near' | 'far', tunnels: string): Promise<LiveVnic> {
  writeFileSync(fileOf(side), `tunnels:\n${tunnels}`);
  const place = side === 'near' ? [] : ['ip', 'netns', 'exec', 'far'];
  const options = ['-f', fileOf(side), '--log-format', 'json', '--resync', '0.5'];
  const live = startLive([...place, process.execPath, VNIC, 'run', ...options], { env: envOf(side) });
  await live.until(/"event":"ready"/);
  return live;
}

function statusOf(side: 'near' | 'far', ...options: string[]): Promise<RunResult> {
  const place = side === 'near' ? [] : ['ip', 'netns', 'exec', 'far'];
  const command = [...place, process.execPath, VNIC, 'service', 'status', '-f', fileOf(side), ...options];
  return run(command, { env: envOf(side) });
}

async function tunnelOf(side: 'near' | 'far', name: string): Promise<TunnelStatus> {
  const { stdout } = await statusOf(side, '--json');
  const { tunnels } = JSON.parse(stdout) as { readonly tunnels: readonly TunnelStatus[] };
  const found = tunnels.find((tunnel) => tunnel.name === name);
  if (found === undefined) throw new Error(`no tunnel ${name} in ${stdout}`);
  return found;
}

const up = (side: 'near' | 'far', name: string): Promise<void> =>
  vi.waitFor(async () => expect(await tunnelOf(side, name)).toMatchObject({ state: 'up' }), WAIT);

async function pings(address: string): Promise<boolean> {
  return (await run(['ping', '-c2', '-i0.2', '-W5', address])).status === 0;
}

const hub = (more = ''): string => `
  hub:
    listen: "7000"
    device: hub0
    addresses: [10.9.0.1/24, "fd09::1/64"]
    clients: { laptop: { key: "${keyOf('near')}", addresses: [10.9.0.7/24, "fd09::7/64"] } }
    keepAlive: 2${more}
`;
const home = (more = ''): string => `
  home: { connect: "198.51.100.2:7000", device: home0, pin: ["${keyOf('far')}"]${more} }
`;

describe('tunnels of the file', () => {
  it('are carried by the services of both sides, and shown by their status', async () => {
    await serve('far', hub());
    const near = await serve('near', home());
    await up('near', 'home');
    for (const address of ['10.9.0.1', 'fd09::1']) expect(await pings(address)).toBe(true);
    expect(await tunnelOf('near', 'home')).toMatchObject({ device: 'home0', addresses: ['10.9.0.7/24', 'fd09::7/64'] });
    expect(await tunnelOf('far', 'hub')).toMatchObject({ state: 'up', device: 'hub0', clients: [{ name: 'laptop' }] });
    const plain = await statusOf('near');
    expect(plain.stdout).toMatch(/home +up .*to 198\.51\.100\.2:7000 +home0 +10\.9\.0\.7\/24/);
    const far = await statusOf('far');
    expect(far.stdout).toMatch(/hub +up .*on 7000 +hub0/);
    expect(far.stdout).toMatch(/laptop .*198\.51\.100\.1:\d+ .*10\.9\.0\.7\/24/);
    expect((await near.end('SIGTERM')).status).toBe(0);
    expect(interfaceNames()).not.toContain('home0');
  });

  it('wait for a side that is not there, and are made again when it was killed', async () => {
    await serve('near', home());
    await vi.waitFor(async () => expect((await tunnelOf('near', 'home')).state).toBe('waiting'), WAIT);
    expect((await tunnelOf('near', 'home')).reason).toContain('ECONNREFUSED');
    const far = await serve('far', hub());
    await up('near', 'home');
    far.child.kill('SIGKILL');
    await far.end();
    expect(ip('-n far -br link')).not.toContain('hub0');
    await vi.waitFor(async () => expect((await tunnelOf('near', 'home')).state).toBe('waiting'), WAIT);
    await serve('far', hub());
    await up('near', 'home');
    expect(await pings('10.9.0.1')).toBe(true);
  });

  it('stay through a reload that does not change them, and are made anew by one that does', async () => {
    await serve('far', hub());
    const near = await serve('near', home());
    await up('near', 'home');
    const index = (): string => ip('-o link show dev home0').split(':')[0] ?? '';
    const before = index();
    writeFileSync(fileOf('near'), `# the same\ntunnels:\n${home()}`);
    near.child.kill('SIGHUP');
    await near.until(/"event":"reload/);
    expect(index()).toBe(before);
    writeFileSync(fileOf('near'), `tunnels:\n${home(', routes: [10.77.0.0/16]')}`);
    near.child.kill('SIGHUP');
    await vi.waitFor(() => expect(ip('route show 10.77.0.0/16')).toContain('dev home0'), WAIT);
    writeFileSync(fileOf('near'), 'tunnels: {}\n');
    near.child.kill('SIGHUP');
    await vi.waitFor(() => expect(interfaceNames()).not.toContain('home0'), WAIT);
  });

  it('are named by plan and apply, which do not carry them', async () => {
    writeFileSync(fileOf('near'), `tunnels:\n${home()}`);
    const plan = await runVnic(['plan', '-f', fileOf('near')], { env: envOf('near') });
    expect(plan.stdout).toContain('tunnel home: to 198.51.100.2:7000');
    const apply = await runVnic(['apply', '-f', fileOf('near')], { env: envOf('near') });
    expect(apply.stderr).toContain('tunnels are carried while `vnic run` runs: home');
    expect(interfaceNames()).not.toContain('home0');
  });
});
