/** Links of the file under `vnic run`: two services in two namespaces that a veth pair joins, and what happens to one of them. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, ipJson, type RunResult, run, runVnic, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

interface Line {
  readonly level: string;
  readonly event: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

interface LinkStatus {
  readonly name: string;
  readonly state: string;
  readonly reason?: string;
  readonly again?: string;
  readonly starts?: number;
  readonly started?: string;
  readonly ways?: readonly { packets: number; bytes: number; bitsPerSec: number; dropped: Record<string, number> }[];
}

interface Status {
  readonly state: string;
  readonly run: { readonly text: string } | null;
  readonly links: readonly LinkStatus[];
}

let folder: string;
let nearFile: string;
let farFile: string;

beforeAll(() => requirePrivateNetns());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vnic-run-links-'));
  nearFile = join(folder, 'near.yaml');
  farFile = join(folder, 'far.yaml');
  joinTwoHosts();
});

afterEach(async () => {
  await endLive();
  await runVnic(['down', '-f', nearFile]);
  await run(['ip', 'netns', 'exec', 'far', process.execPath, VNIC, 'down', '-f', farFile]);
  wipe();
  rmSync(folder, { recursive: true });
});

const arguments_ = (file: string): string[] => ['run', '-f', file, '--log-format', 'json', '--resync', '0.5'];

async function runNear(text?: string): Promise<LiveVnic> {
  if (text !== undefined) writeFileSync(nearFile, text);
  const live = startVnic(arguments_(nearFile));
  await live.until(/"event":"ready"/);
  return live;
}

async function runFar(text?: string): Promise<LiveVnic> {
  if (text !== undefined) writeFileSync(farFile, text);
  const live = startLive(['ip', 'netns', 'exec', 'far', process.execPath, VNIC, ...arguments_(farFile)]);
  await live.until(/"event":"ready"/);
  return live;
}

function lines({ output }: LiveVnic): Line[] {
  return output.stderr.split('\n').flatMap((line) => (line === '' ? [] : (JSON.parse(line) as Line)));
}

async function statusOf(file = nearFile): Promise<Status> {
  const { stdout } = await runVnic(['service', 'status', '-f', file, '--json']);
  return JSON.parse(stdout) as Status;
}

async function linkOf(name: string): Promise<LinkStatus> {
  const { links } = await statusOf();
  const link = links.find((one) => one.name === name);
  if (link === undefined) throw new Error(`no link ${name}: ${JSON.stringify(links)}`);
  return link;
}

async function pings(address: string): Promise<boolean> {
  return (await run(['ping', '-c3', '-i0.2', '-W5', address])).status === 0;
}

/** A transfer that goes on until it is waited for. */
async function transfer(address: string, seconds: number): Promise<LiveVnic> {
  const server = startLive(['ip', 'netns', 'exec', 'far', 'iperf3', '-s', '-1', '-B', address, '--forceflush']);
  await server.until(/Server listening/);
  const client = startLive(['iperf3', '-c', address, '-t', String(seconds), '-i', '0.5', '--forceflush']);
  await client.until(/bits\/sec/);
  return client;
}

function indexOf(name: string): unknown {
  return ipJson('link', 'show', 'dev', name)[0]?.['ifindex'];
}

const twoLinks = (queue = 256): string => `
links:
  office: { ends: ["tun:t0,address=10.9.0.1/24,address=fd09::1/64", "udp:198.51.100.2:7000"] }
  lab: { ends: ["tap:t1,address=10.9.1.1/24", "tcp:198.51.100.2:7001"], queue: ${queue} }
`;
const twoFar = `
links:
  office: { ends: ["tun:t0,address=10.9.0.2/24,address=fd09::2/64", "udp-listen:7000"] }
  lab: { ends: ["tap:t1,address=10.9.1.2/24", "tcp-listen:7001"] }
`;

describe('links under vnic run', () => {
  it('carry what both sides send, IPv4 and IPv6, and go with SIGTERM', async () => {
    const far = await runFar(twoFar);
    const near = await runNear(twoLinks());
    await near.until(/"event":"up".*"link":"lab"/);
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    expect(await pings('10.9.1.2')).toBe(true);
    const iperf = await transfer('10.9.0.2', 1);
    expect((await iperf.end()).status).toBe(0);
    expect(lines(near).map(({ event, link }) => `${event} ${link ?? ''}`)).toEqual(
      expect.arrayContaining(['joined office', 'joined lab', 'up lab', 'ready ']),
    );
    for (const [live, names] of [
      [near, interfaceNames],
      [far, () => ip('-n far -br link')],
    ] as const) {
      expect(names()).toContain('t0');
      expect((await live.end('SIGTERM')).status).toBe(0);
      expect(names()).not.toContain('t0');
      expect(names()).not.toContain('t1');
    }
  });

  it('connect again in the middle of a transfer, when the other side was killed', async () => {
    const far = await runFar(`
devices: { tun1: { kind: tun, addresses: [10.9.0.2/24] } }
links: { office: { ends: [tun:tun1, "tcp-listen:7001"] } }
`);
    const near = await runNear(`
devices: { tun0: { kind: tun, addresses: [10.9.0.1/24] } }
links: { office: { ends: [tun:tun0, "tcp:198.51.100.2:7001"] } }
`);
    await near.until(/"event":"up"/);
    const iperf = await transfer('10.9.0.2', 6);
    await far.end('SIGKILL');
    await near.until(/"event":"down"/);
    expect(await linkOf('office')).toMatchObject({ state: 'waiting', starts: 1 });
    await runFar();
    await near.until(/"event":"up"(?:.|\n)*"event":"up"/);
    const { status, stdout } = await iperf.end();
    expect(status, stdout).toBe(0);
    const { state, starts, ways } = await linkOf('office');
    expect({ state, starts }).toEqual({ state: 'up', starts: 1 });
    // What was sent meanwhile is counted.
    expect(ways?.[0]?.dropped['link-down']).toBeGreaterThan(0);
  });

  it('stay on a reload, unless they are asked for differently', async () => {
    await runFar(twoFar);
    const near = await runNear(twoLinks());
    await near.until(/"event":"up".*"link":"lab"/);
    const [office, lab] = [indexOf('t0'), indexOf('t1')];
    const iperf = await transfer('10.9.0.2', 3);
    writeFileSync(nearFile, twoLinks(512));
    near.child.kill('SIGHUP');
    await near.until(/"event":"reloaded"/);
    await near.until(/"event":"up".*"link":"lab"(?:.|\n)*"event":"up".*"link":"lab"/);
    // The far side may turn a connection away that comes before it has seen the end of the last one.
    await vi.waitFor(async () => expect(await pings('10.9.1.2')).toBe(true), 20_000);
    expect((await iperf.end()).status).toBe(0);
    expect(indexOf('t0')).toBe(office);
    expect(indexOf('t1')).not.toBe(lab);
    expect(await linkOf('office')).toMatchObject({ state: 'up', starts: 1 });
    expect(lines(near).filter(({ event }) => event === 'closed')).toEqual([
      expect.objectContaining({ link: 'lab', msg: 'link lab: closed' }),
    ]);
    // A file with mistakes touches none, and one without a link removes it.
    writeFileSync(nearFile, twoLinks().replace('udp:', 'udpp:'));
    near.child.kill('SIGHUP');
    await near.until(/"event":"reload-failed"/);
    expect(lines(near).find(({ event }) => event === 'mistake')).toMatchObject({
      line: 3,
      path: 'links.office.ends[1]',
    });
    expect(indexOf('t0')).toBe(office);
    writeFileSync(nearFile, 'links: { lab: { ends: [tun:t2, "echo:10.8.0.2"] } }\n');
    near.child.kill('SIGHUP');
    await near.until(/(?:"event":"reloaded"(?:.|\n)*){2}/);
    await near.until(/joined TUN device t2/);
    expect(interfaceNames()).not.toContain('t0');
  });

  it('are what they were when a new file cannot be applied', async () => {
    const near = await runNear('links: { l: { ends: ["tun:t0,address=10.9.0.1/24", "echo:10.9.0.2"] } }\n');
    ip('link add t9 type veth peer name e9');
    writeFileSync(
      nearFile,
      'devices: { t9: { kind: tap } }\nlinks: { l: { ends: ["tun:t0,address=10.9.0.1/24", "null"] } }\n',
    );
    near.child.kill('SIGHUP');
    await near.until(/"event":"reload-failed".*VNIC_CONFIG_CONFLICT/);
    await near.until(/"event":"joined"(?:.|\n)*"event":"joined"/);
    expect(await pings('10.9.0.2')).toBe(true);
    // And once what was in the way is gone, the next reload takes it.
    ip('link delete t9');
    near.child.kill('SIGHUP');
    await near.until(/"event":"reloaded"/);
    await near.until(/joined TUN device t0 and null/);
  });

  it('do not keep each other from working, and open when they can', async () => {
    const holder = startVnic(['link', 'null', 'udp-listen:7009']);
    await holder.until(/joined/);
    const near = await runNear(`
links:
  nowhere: { ends: ["tun:t1", "udp:no-such-host.invalid:7000"] }
  busy: { ends: ["tun:t2", "udp-listen:7009"] }
  right: { ends: ["tun:t0,address=10.9.0.1/24", "echo:10.9.0.2"] }
`);
    expect(await pings('10.9.0.2')).toBe(true);
    const { state, run: info, links } = await statusOf();
    expect(state).toBe('degraded');
    expect(info?.text).toContain('1 of 3 links up; cannot run now: link nowhere, link busy');
    expect(links).toEqual([
      expect.objectContaining({ name: 'nowhere', state: 'waiting', code: 'VNIC_PEER_UNREACHABLE', starts: 0 }),
      expect.objectContaining({ name: 'busy', state: 'waiting', code: 'VNIC_SYSTEM_CALL', again: expect.any(String) }),
      expect.objectContaining({ name: 'right', state: 'up' }),
    ]);
    await vi.waitFor(() => expect(lines(near).some(({ link }) => link === 'nowhere')).toBe(true), 10_000);
    await holder.end('SIGTERM');
    await near.until(/"event":"joined".*"link":"busy"/);
    // However often it was tried: one line.
    expect(lines(near).filter(({ event, link }) => event === 'retry' && link === 'busy')).toHaveLength(1);
  });

  it('leave nothing after kill -9, and the next start finds no trouble', async () => {
    const text = `
devices: { tun1: { kind: tun, addresses: [10.8.0.1/24] } }
links:
  own: { ends: ["tun:t0,address=10.9.0.1/24", "echo:10.9.0.2"] }
  file: { ends: ["tun:tun1", "echo:10.8.0.2"] }
`;
    const first = await runNear(text);
    expect(await pings('10.8.0.2')).toBe(true);
    const before = indexOf('tun1');
    await first.end('SIGKILL');
    expect(interfaceNames()).not.toContain('t0');
    const second = await runNear();
    expect(lines(second).some(({ event }) => event === 'no-control')).toBe(false);
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('10.8.0.2')).toBe(true);
    // For a restart: devices of the file stay, those of links do not.
    await second.end('SIGUSR1');
    expect(interfaceNames()).not.toContain('t0');
    expect(indexOf('tun1')).toBe(before);
    const third = await runNear();
    expect(await pings('10.8.0.2')).toBe(true);
    await third.end('SIGTERM');
    expect(interfaceNames()).not.toContain('tun1');
  });

  it('attach to a device of the file again when somebody has deleted it', async () => {
    const near = await runNear(`
devices: { tun1: { kind: tun, addresses: [10.8.0.1/24] } }
links: { file: { ends: ["tun:tun1", "echo:10.8.0.2"] } }
`);
    ip('link delete tun1');
    await near.until(/"event":"mended","msg":"add address/);
    await near.until(/"event":"joined"(?:.|\n)*"event":"joined"/);
    expect(await pings('10.8.0.2')).toBe(true);
    expect(lines(near).some(({ event }) => event === 'failed')).toBe(false);
  });

  it('wait for a device of others that the file describes', async () => {
    const near = await runNear(`
devices: { tun7: { addresses: [10.8.0.1/24] } }
links: { other: { ends: ["tun:tun7", "echo:10.8.0.2"] } }
`);
    expect(await linkOf('other')).toMatchObject({ state: 'waiting', code: 'VNIC_NO_SUCH_INTERFACE' });
    ip('tuntap add tun7 mode tun');
    ip('link set tun7 up');
    await near.until(/"event":"joined"/);
    await near.until(/add address 10\.8\.0\.1\/24 to tun7/);
    expect(await pings('10.8.0.2')).toBe(true);
  });

  it('hand a device over to the file, and take it back', async () => {
    const own = 'links: { l: { ends: ["tun:tun1,address=10.8.0.1/24", "echo:10.8.0.2"] } }\n';
    const ofFile = `devices: { tun1: { kind: tun, addresses: [10.8.0.1/24] } }
links: { l: { ends: ["tun:tun1", "echo:10.8.0.2"] } }\n`;
    const near = await runNear(own);
    for (const [i, text] of [ofFile, own].entries()) {
      writeFileSync(nearFile, text);
      near.child.kill('SIGHUP');
      await near.until(new RegExp(`(?:"event":"reloaded"(?:.|\\n)*){${i + 1}}`));
      await near.until(new RegExp(`(?:"event":"joined"(?:.|\\n)*){${i + 2}}`));
      expect(await pings('10.8.0.2')).toBe(true);
    }
    expect(lines(near).some(({ event }) => event === 'reload-failed')).toBe(false);
  });
});

describe('a link that listens', () => {
  it('serves one at a time, and writes down who comes and goes', async () => {
    const near = await runNear('links: { l: { ends: ["tun:t0", "tcp-listen:127.0.0.1:7001"] } }\n');
    expect(await linkOf('l')).toMatchObject({
      state: 'waiting',
      reason: 'tcp-listen 127.0.0.1:7001: not connected yet',
    });
    const first = startVnic(['link', 'null', 'tcp:127.0.0.1:7001']);
    await near.until(/"event":"up"/);
    const second = startVnic(['link', 'null', 'tcp:127.0.0.1:7001', '--once']);
    await near.until(/"event":"refused"/);
    await second.end();
    expect(await linkOf('l')).toMatchObject({ state: 'up', starts: 1 });
    await first.end('SIGTERM');
    await near.until(/"event":"down"/);
    expect(await linkOf('l')).toMatchObject({ state: 'waiting', starts: 1 });
    expect(lines(near).find(({ event }) => event === 'refused')).toMatchObject({
      level: 'warn',
      link: 'l',
      end: 'tcp-listen 127.0.0.1:7001',
      peer: expect.stringMatching(/^127\.0\.0\.1:/),
    });
  });
});

describe('the status of links', () => {
  it('shows what they carry, once and again, for people and for programs', async () => {
    await runFar(twoFar);
    const near = await runNear(twoLinks());
    await near.until(/"event":"up".*"link":"lab"/);
    const iperf = await transfer('10.9.0.2', 3);
    const watch = startVnic(['service', 'status', '-f', nearFile, '--json', '--watch', '0.2']);
    await watch.until(/"bitsPerSec":[1-9]\d{5,}/);
    expect((await watch.end('SIGINT')).status).toBe(130);
    await iperf.end();
    const { links } = await statusOf();
    expect(links.map(({ name }) => name)).toEqual(['office', 'lab']);
    expect(links[0]).toMatchObject({
      state: 'up',
      since: expect.stringMatching(/^\d{4}-/),
      started: expect.stringMatching(/^\d{4}-/),
      medium: 'ip',
      ends: ['tun:t0,address=10.9.0.1/24,address=fd09::1/64', 'udp:198.51.100.2:7000'],
      ways: [
        { from: 'TUN device t0', to: 'UDP to 198.51.100.2:7000', queued: 0 },
        { from: 'UDP to 198.51.100.2:7000', to: 'TUN device t0' },
      ],
    });
    expect(links[0]?.ways?.[0]?.bytes).toBeGreaterThan(1_000_000);
    const { status, stdout, stderr } = await runVnic(['service', 'status', '-f', nearFile]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/link +state +since +ends +a to b/);
    expect(stdout).toMatch(/office +up +\d+ s +tun:t0 udp:198\.51\.100\.2:7000 +\d+/);
    // Nothing of what it carries is for everybody to read.
    const info = execFileSync('sh', ['-c', `cat /run/vnic/run-near.yaml-*.json`], { encoding: 'utf8' });
    expect(info).not.toContain('198.51.100.2');
    await near.end('SIGKILL');
    const dead = await runVnic(['service', 'status', '-f', nearFile]);
    expect(dead.status).toBe(1);
    expect(dead.stdout).toMatch(/office +not running/);
  });

  it('says why one waits, and when it is tried again', async () => {
    const near = await runNear('links: { l: { ends: ["tun:t0", "tcp:198.51.100.2:7001"] } }\n');
    await near.until(/"event":"retry"/);
    const { stdout } = await runVnic(['service', 'status', '-f', nearFile]);
    expect(stdout).toMatch(/l +waiting/);
    expect(stdout).toMatch(/l: connect ECONNREFUSED 198\.51\.100\.2:7001/);
    // That nobody is there is no fault of this side.
    expect((await statusOf()).state).toBe('running');
  });
});

describe('links in the file, without a service', () => {
  const vnic = (command: string, ...args: string[]): Promise<RunResult> =>
    runVnic([command, '-f', nearFile, ...args], {});

  it('are shown by plan, named by apply, and no part of export', async () => {
    writeFileSync(nearFile, `devices: { tun1: { kind: tun } }\n${twoLinks()}`);
    const plan = await vnic('plan');
    expect(plan.stdout).toContain('+ make tun device tun1');
    expect(plan.stdout).toContain('  link lab: tap:t1,address=10.9.1.1/24 and tcp:198.51.100.2:7001, carried while');
    expect(JSON.parse((await vnic('plan', '--json')).stdout)).toMatchObject({
      links: [{ name: 'office' }, { name: 'lab' }],
    });
    for (let round = 0; round < 2; round++) {
      expect((await vnic('apply')).stderr).toContain('links are carried while `vnic run` runs: office, lab');
    }
    expect(await vnic('apply', '--quiet')).toMatchObject({ stdout: '', stderr: '' });
    expect((await vnic('plan', '--exit-code')).status).toBe(0);
    expect(interfaceNames()).not.toContain('t0');
    expect((await runVnic(['export'])).stdout).not.toContain('links');
    expect((await vnic('down')).stdout).toBe('- delete tun device tun1\n');
  });

  it('are told wrong with line, column and the place in the end', async () => {
    writeFileSync(nearFile, 'links:\n  office: { ends: ["tun:tun0,adress=10.9.0.1/24", "udp:192.0.2.1:7000"] }\n');
    const { status, stderr } = await vnic('plan');
    expect(status).toBe(2);
    expect(stderr).toContain(`${nearFile}:2:30: links.office.ends[0]: tun has no option "adress"`);
    expect(stderr).toContain(`\n${' '.repeat(4 + 29)}^^^^^^\n`);
  });
});
