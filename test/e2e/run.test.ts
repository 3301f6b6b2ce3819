/** `vnic run`: what is kept, what is waited for, what is told. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { requirePrivateNetns } from '../netns/private-netns.ts';
import { startDatagramServer } from './datagram-server.ts';
import { endLive, type LiveVnic, startVnic } from './live-vnic.ts';
import { deleteTestDevices, interfaceNames, ipJson, runVnic } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());

interface Line {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

let folder: string;
let file: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vnic-run-'));
  file = join(folder, 'vnic.yaml');
});

afterEach(async () => {
  await endLive();
  await runVnic(['down', '-f', file]);
  deleteTestDevices();
  for (const name of interfaceNames().filter((one) => /^(eth9|e9|br0)$/.test(one)))
    sh(`ip link delete ${name} || true`);
  rmSync(folder, { recursive: true });
});

function sh(script: string): void {
  execFileSync('sh', ['-ec', script], { stdio: 'pipe' });
}

function write(text: string): void {
  writeFileSync(file, text);
}

function launch(...args: readonly string[]): LiveVnic {
  return startVnic(['run', '-f', file, '--log-format', 'json', ...args]);
}

/** Started, with the file in force. */
async function running(text: string, ...args: readonly string[]): Promise<LiveVnic> {
  write(text);
  const live = launch(...args);
  await live.until(/"event":"ready"/);
  return live;
}

function lines({ output }: LiveVnic): Line[] {
  return output.stderr.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as Line)));
}

function addressesOf(name: string): string[] {
  const [link] = ipJson('address', 'show', 'dev', name) as { addr_info?: { local: string; prefixlen: number }[] }[];
  return (link?.addr_info ?? []).map(({ local, prefixlen }) => `${local}/${prefixlen}`);
}

const TAP = 'devices: {tap0: {kind: tap, addresses: [10.9.0.1/24, "fd09::1/64"], routes: [10.99.0.0/16]}}';

describe('vnic run', () => {
  it('makes again what somebody deletes, with all that was on it', async () => {
    const live = await running(TAP);
    sh('ip link delete tap0');
    await live.until(/"event":"mended","msg":"add route 10\.99\.0\.0\/16 to tap0"/);
    expect(addressesOf('tap0')).toEqual(expect.arrayContaining(['10.9.0.1/24', 'fd09::1/64']));
    expect(ipJson('route', 'show', 'dev', 'tap0')).toContainEqual(expect.objectContaining({ dst: '10.99.0.0/16' }));
  });

  it('makes again an address, a route and a state', async () => {
    const live = await running(TAP);
    sh('ip route delete 10.99.0.0/16 dev tap0');
    await live.until(/mended","msg":"add route/);
    sh('ip address delete fd09::1/64 dev tap0');
    await live.until(/mended","msg":"add address fd09::1\/64/);
    sh('ip link set tap0 down');
    await live.until(/mended","msg":"bring tap0 up/);
    expect(addressesOf('tap0')).toContain('fd09::1/64');
  });

  it('sets again what the kernel tells no events of', async () => {
    const live = await running(`sysctls: {net.ipv4.ip_forward: 1}\n${TAP}`, '--resync', '0.2');
    sh('echo 0 > /proc/sys/net/ipv4/ip_forward');
    await live.until(/mended","msg":"set net\.ipv4\.ip_forward from 0 to 1/);
    expect(readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8')).toBe('1\n');
  });

  it('waits for links of others, and takes them when they come', async () => {
    const live = await running('devices: {br0: {kind: bridge}, eth9: {bridge: br0, addresses: [10.8.0.1/24]}}');
    expect(lines(live)).toContainEqual(expect.objectContaining({ level: 'warn', event: 'waiting' }));
    sh('ip link add eth9 type veth peer name e9');
    await live.until(/make eth9 a port of bridge br0/);
    await live.until(/add address 10\.8\.0\.1\/24 to eth9/);
    expect(ipJson('link', 'show', 'master', 'br0').map(({ ifname }) => ifname)).toEqual(['eth9']);
    // And again, when it comes as another.
    sh('ip link delete eth9; ip link add eth9 type veth peer name e9');
    await live.until(/(make eth9 a port of bridge br0[\s\S]*){2}/);
    await live.end('SIGTERM');
    expect(interfaceNames()).toEqual(expect.arrayContaining(['eth9', 'e9']));
    expect(addressesOf('eth9')).toEqual([]);
  });

  it('keeps what is in a namespace, also when that is deleted', async () => {
    const live = await running('devices: {tap0: {kind: tap, namespace: run-test, addresses: [10.9.0.1/24]}}');
    sh('ip -n run-test link delete tap0');
    await live.until(/mended","msg":"add address 10\.9\.0\.1\/24 to tap0 in run-test/);
    sh('ip netns delete run-test');
    await live.until(/mended","msg":"make network namespace run-test/);
    await live.until(/(mended","msg":"add address 10\.9\.0\.1\/24 to tap0 in run-test[\s\S]*){2}/);
    await live.end('SIGTERM');
    expect(ipJson('netns', 'list')).toEqual([]);
  });

  it('takes a file that is replaced, and one on SIGHUP', async () => {
    const live = await running(TAP);
    writeFileSync(`${file}.new`, TAP.replace('10.9.0.1', '10.9.0.2'));
    renameSync(`${file}.new`, file);
    await live.until(/"event":"reloaded"/);
    expect(addressesOf('tap0')).toContain('10.9.0.2/24');
    expect(addressesOf('tap0')).not.toContain('10.9.0.1/24');
    write('devices: {tap1: {kind: tap}}');
    live.child.kill('SIGHUP');
    await live.until(/make tap device tap1/);
    await live.until(/delete tap device tap0/);
    expect(interfaceNames()).not.toContain('tap0');
  });

  it('reports every mistake of a new file with its place, and keeps the state', async () => {
    const live = await running(TAP);
    write('devices:\n  tap0: {kind: tapp}\n  tap1: {mtu: 1}\n');
    live.child.kill('SIGHUP');
    await live.until(/"event":"reload-failed"/);
    const mistakes = lines(live).filter(({ event }) => event === 'mistake');
    expect(mistakes.map(({ line, path }) => [line, path])).toEqual([
      [2, 'devices.tap0.kind'],
      [3, 'devices.tap1.mtu'],
    ]);
    sh('ip link delete tap0');
    await live.until(/mended","msg":"add address 10\.9\.0\.1/);
  });

  it('does not fight without end, and mends the rest meanwhile', async () => {
    const live = await running('devices: {tap0: {kind: tap, mtu: 1400}, tap1: {kind: tap}}');
    for (let round = 1; round <= 4; round++) {
      sh('ip link set tap0 mtu 1300');
      await live.until(new RegExp(`(mended","msg":"set mtu from 1300 to 1400 of tap0[\\s\\S]*){${round}}`));
    }
    await live.until(/"event":"held-back"/);
    sh('ip link set tap0 mtu 1300; ip link set tap1 down');
    await live.until(/mended","msg":"bring tap1 up/);
    expect(ipJson('link', 'show', 'dev', 'tap0')[0]?.['mtu']).toBe(1300);
    // And in the end it is mended all the same.
    await live.until(/(mended","msg":"set mtu from 1300 to 1400 of tap0[\s\S]*){5}/);
  });

  it('leaves a device of others in the place of its own alone, and comes back when it goes', async () => {
    const live = await running('devices: {tap0: {kind: tap}}');
    // By one program, before the service has its turn.
    sh("printf 'link delete tap0\\nlink add tap0 type veth peer name e9\\n' | ip -batch -");
    await live.until(/"event":"failed".*VNIC_CONFIG_CONFLICT/);
    expect(ipJson('-d', 'link', 'show', 'dev', 'tap0')[0]).toMatchObject({ linkinfo: { info_kind: 'veth' } });
    sh('ip link delete tap0');
    await live.until(/"event":"recovered"/);
    expect(ipJson('-d', 'link', 'show', 'dev', 'tap0')[0]).toMatchObject({ linkinfo: { info_kind: 'tun' } });
  });

  it.each([
    ['SIGTERM undoes everything', 'SIGTERM', [], false],
    ['SIGINT too', 'SIGINT', [], false],
    ['--keep leaves it', 'SIGTERM', ['--keep'], true],
    ['SIGUSR1 leaves it', 'SIGUSR1', [], true],
  ] as const)('at the end %s', async (_what, signal, args, stays) => {
    const live = await running(TAP, ...args);
    const { status } = await live.end(signal);
    expect(status).toBe(0);
    expect(lines(live).at(-1)?.event).toBe('stopped');
    expect(interfaceNames().includes('tap0')).toBe(stays);
    if (!stays) return;
    // The next one finds it as it was.
    const [before] = ipJson('link', 'show', 'dev', 'tap0');
    const next = launch();
    await next.until(/"event":"ready"/);
    expect(lines(next).map(({ event }) => event)).toEqual(['ready']);
    expect(ipJson('link', 'show', 'dev', 'tap0')[0]?.['ifindex']).toBe(before?.['ifindex']);
  });

  it('finds after kill -9 what it had made', async () => {
    const live = await running(TAP);
    const [before] = ipJson('link', 'show', 'dev', 'tap0');
    await live.end('SIGKILL');
    expect((await runVnic(['service', 'status', '-f', file])).status).toBe(1);
    const next = await running(TAP);
    expect(ipJson('link', 'show', 'dev', 'tap0')[0]?.['ifindex']).toBe(before?.['ifindex']);
    await next.end('SIGTERM');
    expect(interfaceNames()).not.toContain('tap0');
  });

  it('is alone with its file', async () => {
    const live = await running(TAP);
    const second = await launch().end();
    expect(second.status).toBe(75);
    expect(JSON.parse(second.stderr)).toMatchObject({ event: 'ended', code: 'VNIC_SERVICE_RUNNING' });
    expect(second.stderr).toContain(`(pid ${live.child.pid})`);
  });

  it('fails to start with the status of the cause, and nothing made', async () => {
    write('devices: {tap0: {kind: tapp}}');
    const wrong = await launch().end();
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain('"event":"mistake"');
    const none = await startVnic(['run', '-f', join(folder, 'none')]).end();
    expect(none.status).toBe(71);
    sh('ip link add tap0 type veth peer name e9');
    write(TAP);
    const conflict = await launch().end();
    expect(conflict.status).toBe(73);
    sh('ip link delete tap0');
  });

  it('writes its pid file once everything is in force, and takes it away', async () => {
    const pidFile = join(folder, 'pid');
    const live = await running(TAP, '--pid-file', pidFile);
    await expect.poll(() => readFileSync(pidFile, 'utf8')).toBe(`${live.child.pid}\n`);
    await live.end('SIGTERM');
    expect(() => readFileSync(pidFile)).toThrow();
  });

  it.each([
    ['a path', () => join(folder, 'notify')],
    ['an abstract name', () => `@vnic-run-${process.pid}`],
  ])('tells its manager at %s how it is', async (_what, pathOf) => {
    const path = pathOf();
    const manager = await startDatagramServer(path);
    write(TAP);
    const env = { ...process.env, NOTIFY_SOCKET: path, WATCHDOG_USEC: '200000' };
    const live = startVnic(['run', '-f', file, '--log-format', 'json'], { env });
    await manager.until('READY=1');
    // Ready is what is in force.
    expect(addressesOf('tap0')).toContain('10.9.0.1/24');
    await manager.until('WATCHDOG=1');
    write('devices: 5');
    live.child.kill('SIGHUP');
    await manager.until('RELOADING=1');
    await manager.until('STATUS=cannot use');
    await live.end('SIGTERM');
    await manager.until('STOPPING=1');
    const told = manager.received();
    expect(told[0]).toBe(`READY=1\nSTATUS=1 device as ${file} asks for`);
    const reloading = told.findIndex((text) => text.startsWith('RELOADING=1'));
    expect(told[reloading]).toMatch(/^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=/);
    expect(told.slice(reloading).find((text) => text.startsWith('READY=1'))).toContain('STATUS=cannot use');
  });

  it('is known to vnic owned while it runs, and to vnic service status', async () => {
    await running(TAP);
    const { stdout } = await runVnic(['owned', '--json']);
    expect(JSON.parse(stdout)).toContainEqual(expect.objectContaining({ config: file }));
    const status = await runVnic(['service', 'status', '-f', file, '--json']);
    expect(status.status).toBe(0);
    expect(JSON.parse(status.stdout)).toMatchObject({ state: 'running', run: { devices: 1, config: file } });
  });
});
