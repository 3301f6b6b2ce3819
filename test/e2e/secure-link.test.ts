/** `vnic link` over TLS and WebSockets, between namespaces that are joined by a veth pair, and against programs of others. */

import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';

import { createIdentity, type Identity } from '../../src/identity/index.ts';
import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, type RunResult, run, runVnic, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

const PYTHON = '/usr/bin/python3';
const PEER = fileURLToPath(new URL('secure-peer.py', import.meta.url));

const root = mkdtempSync(join(tmpdir(), 'vnic-secure-'));
let folder = root;
let runs = 0;

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  folder = join(root, String(++runs));
  joinTwoHosts();
});
afterEach(async () => {
  await endLive();
  wipe();
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Each side has a folder of its own, as if it were another machine. */
const environment = (side: string): NodeJS.ProcessEnv => ({
  ...process.env,
  VNIC_IDENTITY_DIRECTORY: join(folder, side),
});
const link = (...args: string[]): LiveVnic => startVnic(['link', ...args], { env: environment('near') });
const linkFar = (...args: string[]): LiveVnic =>
  startLive(['ip', 'netns', 'exec', 'far', process.execPath, VNIC, 'link', ...args], { env: environment('far') });
const identity = (side: string, ...args: string[]): Promise<RunResult> =>
  runVnic(['identity', ...args], { env: environment(side) });

/** The fingerprint of a side. */
async function keyOf(side: string): Promise<string> {
  return (await identity(side, '--create')).stdout.trim();
}

async function allowNear(): Promise<void> {
  expect((await identity('far', 'allow', await keyOf('near'), '--name', 'near')).status).toBe(0);
}

async function connected(live: LiveVnic): Promise<void> {
  await live.until(/joined/);
  await live.until(/up /);
}

async function pings(address: string, ...options: string[]): Promise<boolean> {
  return (await run(['ping', '-c3', '-i0.2', '-W5', ...options, address])).status === 0;
}

async function iperf(address: string, seconds = 1): Promise<number> {
  const server = startLive(['ip', 'netns', 'exec', 'far', 'iperf3', '-s', '-1', '--forceflush']);
  await server.until(/Server listening/);
  const { stdout } = await run(['iperf3', '-c', address, '-t', String(seconds), '-J']);
  await server.end('SIGTERM');
  return (JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes;
}

/** PEM files of an identity. */
function files(name: string, { certificatePem, keyPem }: Identity): { both: string; certificate: string } {
  const [both, certificate] = [join(root, `${name}.pem`), join(root, `${name}.crt`)];
  writeFileSync(both, keyPem + certificatePem, { mode: 0o600 });
  writeFileSync(certificate, certificatePem);
  return { both, certificate };
}

const near = 'address=10.9.0.1/24,address=fd09::1/64';
const far = 'address=10.9.0.2/24,address=fd09::2/64';

describe('vnic link joins two hosts', () => {
  it.each([
    ['TLS over IPv4', 'tls:198.51.100.2:7000', 'tls-listen:7000'],
    ['TLS over IPv6, with HDLC', 'tls:[2001:db8::2]:7000,framing=hdlc', 'tls-listen:[::]:7000,framing=hdlc'],
    ['a WebSocket over IPv4', 'ws:198.51.100.2:7000/vnic', 'ws-listen:7000/vnic'],
    ['a WebSocket over IPv6', 'ws:[2001:db8::2]:7000', 'ws-listen:7000'],
    ['a WebSocket and TLS over IPv4', 'wss:198.51.100.2:7000', 'ws-listen:7000,tls'],
    ['a WebSocket and TLS over IPv6', 'wss:[2001:db8::2]:7000/a?b', 'ws-listen:[2001:db8::2]:7000/a,tls'],
  ])('over %s: ping and iperf3, IPv4 and IPv6', async (_name, nearEnd, farEnd) => {
    await allowNear();
    const there = linkFar(`tun:t1,${far}`, farEnd);
    await there.until(/joined/);
    const here = link(`tun:t0,${near}`, nearEnd);
    await connected(here);
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    const mtu = Number(/MTU (\d+)/.exec(here.output.stderr)?.[1]);
    expect(await pings('10.9.0.2', '-M', 'do', '-s', String(mtu - 28))).toBe(true);
    expect(await iperf('10.9.0.2')).toBeGreaterThan(1_000_000);
    expect(await iperf('fd09::2')).toBeGreaterThan(1_000_000);
    if (!nearEnd.startsWith('ws:')) {
      expect(here.output.stderr).toContain(`has the key ${await keyOf('far')}`);
      expect(there.output.stderr).toContain('1 key may connect');
    }
    expect((await here.end('SIGINT')).status).toBe(130);
    await there.end('SIGTERM');
    expect(interfaceNames()).not.toContain('t0');
  });

  it('over Ethernet, with pinned keys and no files', async () => {
    const [here, there] = [await keyOf('near'), await keyOf('far')];
    await linkFar(`tap:t1,${far}`, `tls-listen:7000,allow=${here}`).until(/joined/);
    await connected(link(`tap:t0,${near}`, `tls:198.51.100.2:7000,pin=${there}`));
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    expect(JSON.parse((await identity('near', 'peers', '--json')).stdout)).toEqual([]);
  });

  it('over TLS, where one is killed in the middle of a transfer, which goes on', async () => {
    await allowNear();
    ip('-n far tuntap add t1 mode tun');
    ip('-n far addr add 10.9.0.2/24 dev t1');
    ip('-n far link set t1 up');
    const existing = (): LiveVnic => linkFar('tun:t1', 'tls-listen:7000');
    let there = existing();
    await there.until(/joined/);
    const here = link(`tun:t0,${near}`, 'tls:198.51.100.2:7000');
    await connected(here);
    const transfer = iperf('10.9.0.2', 4);
    await vi.waitFor(() => expect(ip('-s link show t0')).toMatch(/\d{6}/), 10_000);
    await there.end('SIGKILL');
    await here.until(/down/);
    there = existing();
    expect(await transfer).toBeGreaterThan(1_000_000);
    expect(here.output.stderr.match(/up /g)?.length).toBeGreaterThan(1);
    expect(here.output.stderr.match(/has the key/g)).toHaveLength(1);
  });
});

describe('trust', () => {
  it('a server whose key has changed ends the link, which says both keys, the line and what to do', async () => {
    await allowNear();
    const there = linkFar(`tun:t1,${far}`, 'tls-listen:7000');
    await there.until(/joined/);
    const here = link('null', 'tls:198.51.100.2:7000');
    await here.until(/up /);
    const before = await keyOf('far');
    await there.end('SIGKILL');
    rmSync(join(folder, 'far', 'identity.pem'));
    await linkFar('null', 'tls-listen:7000').until(/joined/);
    const after = await keyOf('far');
    expect(after).not.toBe(before);
    const { status, stderr } = await here.end();
    expect(status).toBe(77);
    expect(stderr).toContain(`its key is ${after}, but line 1 of ${folder}/near/known-peers has ${before}`);
    expect(stderr).toContain('vnic identity forget 198.51.100.2:7000');
    expect((await identity('near', 'forget', '198.51.100.2:7000')).status).toBe(0);
    await connected(link('null', 'tls:198.51.100.2:7000'));
  });

  it.each([
    ['TLS', 'tls:198.51.100.2:7000', 'tls-listen:7000'],
    ['a WebSocket', 'wss:198.51.100.2:7000', 'ws-listen:7000,tls'],
  ])('a client of %s that is not allowed is named, and comes in once it is', async (_name, nearEnd, farEnd) => {
    const there = linkFar(`tun:t1,${far}`, farEnd);
    await there.until(/no key may connect yet: `vnic identity allow FINGERPRINT`/);
    await there.until(/joined/);
    const here = link(`tun:t0,${near}`, nearEnd);
    const key = await keyOf('near');
    await there.until(new RegExp(`refused .*to let it in: \`vnic identity allow ${key}\``));
    await here.until(new RegExp(`not allow the key of this side, ${key}`));
    const once = await runVnic(['link', '--once', 'null', nearEnd], { env: environment('near') });
    expect(once).toMatchObject({ status: 75, stderr: expect.stringContaining(`hint: If so, allow it there`) });
    expect((await identity('far', 'allow', key)).status).toBe(0);
    await there.until(/up /);
    expect(await pings('10.9.0.2')).toBe(true);
  });

  it('a server with another key than the pinned one is refused at once, with --once and without', async () => {
    await linkFar('null', 'tls-listen:7000,insecure').until(/joined/);
    const end = `tls:198.51.100.2:7000,pin=${await keyOf('near')}`;
    for (const more of [[], ['--once']]) {
      const { status, stderr } = await runVnic(['link', ...more, 'null', end], { env: environment('near') });
      expect(status).toBe(77);
      expect(stderr).toContain(`its key is ${await keyOf('far')}, and not`);
    }
  });

  it('the key of a machine is one, whoever makes it: eight processes at once agree', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => keyOf('many')));
    expect(new Set(made).size).toBe(1);
    expect(made[0]).toMatch(/^sha256:/);
    const { stdout } = await identity('many', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      fingerprint: made[0],
      files: { identity: join(folder, 'many/identity.pem') },
    });
  });
});

describe('against socat', () => {
  const ours = createIdentity('vnic');
  const theirs = createIdentity('socat');
  const tun = 'TUN:10.9.0.2/24,tun-name=s0,iff-no-pi,iff-up';

  it('as a client of its OPENSSL-LISTEN, both with certificates', async () => {
    const [mine, other] = [files('ours', ours), files('theirs', theirs)];
    const socat = startLive([
      ...['ip', 'netns', 'exec', 'far', 'socat', '-d', '-d'],
      ...[`OPENSSL-LISTEN:7000,reuseaddr,nodelay,cert=${other.both},cafile=${mine.certificate},verify=1`, tun],
    ]);
    await socat.until(/listening/);
    const end = `tls:198.51.100.2:7000,framing=ip,cert=${mine.both},pin=${theirs.fingerprint}`;
    await connected(link('tun:t0,address=10.9.0.1/24', end));
    expect(await pings('10.9.0.2')).toBe(true);
  });

  it('as a server for its OPENSSL, both with certificates, and with ours as the authority', async () => {
    const [mine, other] = [files('ours', ours), files('theirs', theirs)];
    const here = link(
      'tun:t0,address=10.9.0.1/24',
      `tls-listen:7000,framing=ip,cert=${mine.certificate},key=${mine.both},ca=${other.certificate}`,
    );
    await here.until(/joined/);
    startLive([
      ...['ip', 'netns', 'exec', 'far', 'socat', '-d', '-d'],
      `OPENSSL:198.51.100.1:7000,nodelay,cert=${other.both},cafile=${mine.certificate},verify=1,commonname=vnic`,
      tun,
    ]);
    await here.until(/up /);
    expect(await pings('10.9.0.2')).toBe(true);
  });
});

describe('against the websockets library of Python', () => {
  it('as a server for its client: packets both ways, text left out', async () => {
    const here = link('echo:10.9.0.2', 'ws-listen:127.0.0.1:7000/vnic');
    await here.until(/joined/);
    const ask = [PYTHON, PEER, 'ask', 'ws://127.0.0.1:7000/vnic', '10.9.0.1', '10.9.0.2'];
    expect(await run(ask)).toMatchObject({ status: 0, stdout: 'answered by 10.9.0.2 60\n' });
    await here.until(/down/);
    expect(await run(ask)).toMatchObject({ status: 0 });
    expect((await run([...ask.slice(0, 3), 'ws://127.0.0.1:7000/other', ...ask.slice(4)])).stderr).toContain('404');
  });

  it('as a server for its client over TLS, whose certificate is allowed', async () => {
    const theirs = createIdentity('python');
    const { both } = files('python', theirs);
    const here = link('echo:10.9.0.2', `ws-listen:127.0.0.1:7000,tls,allow=${theirs.fingerprint}`);
    await here.until(/joined/);
    const ask = [PYTHON, PEER, 'ask', 'wss://127.0.0.1:7000/', '10.9.0.1', '10.9.0.2'];
    expect(await run([...ask, both])).toMatchObject({ status: 0, stdout: 'answered by 10.9.0.2 60\n' });
    expect((await run([...ask, files('stranger', createIdentity()).both])).status).toBe(1);
    await here.until(/refused .*vnic identity allow/);
  });

  it.each([
    ['without TLS', false],
    ['with TLS', true],
  ])('as a client of its server %s, from a device', async (_name, secure) => {
    const { both } = files('server', createIdentity('server'));
    const server = startLive([PYTHON, PEER, 'answer', '7000', ...(secure ? [both] : [])]);
    await server.until(/listening/);
    const here = link('tun:t0,address=10.9.0.1/24', `${secure ? 'wss' : 'ws'}:127.0.0.1:7000/`);
    await connected(here);
    expect(await pings('10.9.0.2')).toBe(true);
    await server.end('SIGTERM');
    await here.until(/down/);
    await startLive([PYTHON, PEER, 'answer', '7000', ...(secure ? [both] : [])]).until(/listening/);
    await vi.waitFor(() => expect(here.output.stderr.match(/up /g)).toHaveLength(2), 20_000);
    expect(await pings('10.9.0.2')).toBe(true);
  });
});

describe('what strangers send', () => {
  it('TLS 1.2, plain text and garbage are turned away, and a client gets in', async () => {
    await allowNear();
    const there = linkFar(`tun:t1,${far}`, 'tls-listen:7000');
    await there.until(/joined/);
    const old = spawnSync('openssl', ['s_client', '-tls1_2', '-connect', '198.51.100.2:7000'], {
      encoding: 'utf8',
      input: '',
    });
    expect(old.status).not.toBe(0);
    expect(old.stdout + old.stderr).toMatch(/alert protocol version/);
    for (const input of ['GET / HTTP/1.0\r\n\r\n', Buffer.from([22, 3, 1, 1, 0, ...Array(256).fill(7)])]) {
      expect(spawnSync('socat', ['-t5', '-', 'TCP:198.51.100.2:7000'], { input }).stdout).not.toContain('HTTP');
    }
    await connected(link(`tun:t0,${near}`, 'tls:198.51.100.2:7000'));
    expect(await pings('10.9.0.2')).toBe(true);
  });

  it.each([
    ['TLS', 'tls:198.51.100.2:7000', 'tls-listen:7000'],
    ['a WebSocket over TLS', 'wss:198.51.100.2:7000', 'ws-listen:7000,tls'],
  ])(
    'a thousand half-open clients of %s: traffic flows, others get in, memory stays',
    async (_name, nearEnd, farEnd) => {
      await allowNear();
      const there = linkFar(`tun:t1,${far}`, farEnd);
      await there.until(/joined/);
      const here = link(`tun:t0,${near}`, nearEnd);
      await connected(here);
      const pid = there.child.pid as number;
      const residentKb = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);
      const before = residentKb();
      const sockets: Socket[] = [];
      onTestFinished(() => {
        for (const socket of sockets) socket.destroy();
      });
      for (let i = 0; i < 1000; i++) {
        const socket = connect(7000, '198.51.100.2').on('error', () => undefined);
        sockets.push(socket);
        await once(socket, 'connect');
        // Half of them say half of a greeting.
        if (i % 2 === 0) socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]));
      }
      expect(await pings('10.9.0.2')).toBe(true);
      const grownKb = residentKb() - before;
      expect(grownKb).toBeLessThan(48 * 1024);
      await here.end('SIGTERM');
      await connected(link(`tun:t0,${near}`, nearEnd));
      expect(await pings('10.9.0.2')).toBe(true);
    },
  );
});

describe('a mistake', () => {
  it.each([
    ['two ways to trust', `tls:198.51.100.2:1,insecure,ca=/x`, /ca and insecure exclude one another/],
    ['a pin that is none', 'tls:198.51.100.2:1,pin=sha256:abc', /expected a fingerprint, sha256:…, found "sha256:abc"/],
    ['a value of a flag', 'tls:198.51.100.2:1,insecure=yes', /insecure takes no value/],
    ['a key without its certificate', 'tls:198.51.100.2:1,key=/x', /a key needs its certificate/],
    ['an option of TLS without it', 'ws-listen:7000,cert=/x', /cert says nothing without tls/],
    ['a missing port', 'wss:vpn.example/vnic', /expected HOST:PORT\[\/PATH\]/],
    ['an IPv6 address without brackets', 'wss:2001:db8::1:443/vnic', /Put an IPv6 address in brackets/],
    ['an option of streams', 'wss:vpn.example:443,framing=slip', /wss has no option "framing"/],
  ])('%s is pointed at, and nothing is made', async (_what, end, message) => {
    const { status, stderr } = await runVnic(['link', 'tun:t0', end], { env: environment('near') });
    expect(stderr).toMatch(message);
    expect(status).toBe(2);
    expect(interfaceNames()).not.toContain('t0');
  });

  it('a file that is missing or readable by all is named', async () => {
    const { both } = files('open', createIdentity());
    execFileSync('chmod', ['644', both]);
    for (const [end, message] of [
      [`tls:198.51.100.2:1,cert=${both}`, /others than its owner/],
      ['tls-listen:7000,cert=/nowhere.pem', /no such file/],
      ['tls-listen:7000,ca=/nowhere.pem', /no such file/],
    ] as const) {
      const { status, stderr } = await runVnic(['link', 'null', end], { env: environment('near') });
      expect(stderr).toMatch(message);
      expect(status).toBe(66);
    }
  });
});
