/** `vnic tunnel` as a user types it, between namespaces that are joined by a veth pair. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect as connectTcp, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';

import { loadIdentity } from '../../src/identity/index.ts';
import { wipe } from '../netns/desired-state.ts';
import { ip } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive } from './live-vnic.ts';
import { interfaceNames, run, VNIC } from './run-vnic.ts';
import { joinTwoHosts } from './two-hosts.ts';

const folder = mkdtempSync(join(tmpdir(), 'vnic-tunnel-'));
const WAIT = { timeout: 30_000, interval: 100 };

const folderOf = (name: string): string => join(folder, name);
const keyOf = (name: string): string => loadIdentity(folderOf(name)).fingerprint;

/** Runs `vnic tunnel` in a namespace, with an identity of its own. */
function tunnel(netns: string | undefined, identity: string, ...args: string[]): LiveVnic {
  const place = netns === undefined ? [] : ['ip', 'netns', 'exec', netns];
  const env = { ...process.env, VNIC_IDENTITY_DIRECTORY: folderOf(identity), VNIC_RUNTIME_DIRECTORY: folderOf('run') };
  return startLive([...place, process.execPath, VNIC, 'tunnel', ...args], { env });
}

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  joinTwoHosts();
  rmSync(join(folderOf('near'), 'known-peers'), { force: true });
  rmSync(join(folderOf('far'), 'authorized-peers'), { force: true });
});
afterEach(async () => {
  await endLive();
  wipe();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const listen = async (...args: string[]): Promise<LiveVnic> => {
  const live = tunnel('far', 'far', 'listen', ...args);
  await live.until(/Ctrl-C ends this|"listening"/);
  return live;
};

const connect = async (...args: string[]): Promise<LiveVnic> => {
  const live = tunnel(undefined, 'near', 'connect', ...args);
  await live.until(/up {6}|"established"/);
  return live;
};

async function pings(address: string, ...options: string[]): Promise<boolean> {
  return (await run(['ping', '-c2', '-i0.2', '-W5', ...options, address])).status === 0;
}

async function iperf(address: string, ...options: string[]): Promise<number> {
  const server = startLive(['ip', 'netns', 'exec', 'far', 'iperf3', '-s', '-1', '--forceflush']);
  await server.until(/Server listening/);
  const { stdout } = await run(['iperf3', '-c', address, '-t', '1', '-J', ...options]);
  await server.end('SIGTERM');
  return (JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes;
}

const tcpListeners = (): string => ip('netns exec far ss -Hltn');

describe('vnic tunnel joins two hosts', () => {
  const carriers: [name: string, listen: string[], connect: string[]][] = [
    ['TLS over IPv4', ['7000'], ['198.51.100.2:7000']],
    ['TLS over IPv6', ['[2001:db8::2]:7000'], ['[2001:db8::2]:7000']],
    ['a WebSocket', ['wss:7000/tunnel'], ['wss:198.51.100.2:7000/tunnel']],
    ['UDP in the clear', ['udp:7000', '--insecure'], ['udp:198.51.100.2:7000', '--insecure']],
    ['UDP over IPv6', ['udp:7000', '--insecure'], ['udp:[2001:db8::2]:7000', '--insecure']],
  ];
  it.each(carriers)('by %s: ping and iperf3, IPv4 and IPv6', async (name, listenArgs, connectArgs) => {
    const isClear = name.startsWith('UDP');
    const there = await listen(...listenArgs, ...(isClear ? [] : ['--allow', keyOf('near')]));
    const here = await connect(...connectArgs);
    expect(await pings('10.9.0.1')).toBe(true);
    expect(await pings('fd09::1')).toBe(true);
    // Nothing of a full packet is lost on the way, and nothing longer is promised.
    const mtu = Number(/MTU (\d+)/.exec(here.output.stderr)?.[1]);
    expect(await pings('10.9.0.1', '-M', 'do', '-s', String(mtu - 28))).toBe(true);
    expect(await pings('10.9.0.1', '-M', 'do', '-s', String(mtu - 27))).toBe(false);
    expect(await iperf('10.9.0.1')).toBeGreaterThan(1_000_000);
    expect(await iperf('fd09::1', '-R')).toBeGreaterThan(1_000_000);
    const { status, stderr } = await here.end('SIGINT');
    expect(status).toBe(130);
    expect(stderr).toMatch(/out \d+ packets, \d+ bytes; in \d+ packets, \d+ bytes; /);
    await there.until(/left .*: bye/);
    expect(interfaceNames()).not.toContain('tun0');
    expect((await there.end('SIGTERM')).status).toBe(143);
    expect(ip('-n far -br link')).not.toContain('tun0');
  });

  it('by TAP devices, with a bridge at the other side', async () => {
    ip('-n far link add br0 type bridge');
    ip('-n far link set br0 up');
    ip('-n far addr add 10.9.0.1/24 dev br0');
    await listen('7000', '--tap', '--bridge', 'br0', '--allow', keyOf('near'));
    await connect('198.51.100.2:7000', '--tap', '--name', 'tap7');
    ip('addr add 10.9.0.7/24 dev tap7');
    expect(await pings('10.9.0.1')).toBe(true);
    expect(await iperf('10.9.0.1')).toBeGreaterThan(1_000_000);
  });

  it('many clients at one server, each with what its entry says', async () => {
    ip('netns add third');
    ip('-n third link set lo up');
    ip('link add w0 type veth peer name w1 netns third');
    ip('addr add 203.0.113.1/24 dev w0');
    ip('link set w0 up');
    ip('-n third addr add 203.0.113.3/24 dev w1');
    ip('-n third link set w1 up');
    ip('-n third route add default via 203.0.113.1');
    ip('-n far route add 203.0.113.0/24 via 198.51.100.1');
    await run(['sysctl', '-w', 'net.ipv4.ip_forward=1']);
    await listen(
      ...['7000', '--forwarding', '--client', `near,key=${keyOf('near')},address=10.9.0.50/24`],
      ...['--client', `third,key=${keyOf('third')},address=10.9.0.51/24,access=10.9.0.1/32`],
    );
    await connect('198.51.100.2:7000');
    const third = tunnel('third', 'third', 'connect', '198.51.100.2:7000');
    await third.until(/up {6}.*10\.9\.0\.51/);
    expect(await pings('10.9.0.1', '-I', '10.9.0.50')).toBe(true);
    const fromThird = (address: string): Promise<{ status: number }> =>
      run(['ip', 'netns', 'exec', 'third', 'ping', '-c2', '-i0.2', '-W3', address]);
    expect((await fromThird('10.9.0.1')).status).toBe(0);
    // What the list does not name is out of reach, also for answers.
    expect((await fromThird('10.9.0.50')).status).not.toBe(0);
    await run(['sysctl', '-w', 'net.ipv4.ip_forward=0']);
  });
});

/** A cable with faults: `vnic link` between two interfaces in a namespace in the middle. */
async function badCable(impairment: string): Promise<void> {
  ip('link delete v0');
  ip('netns add middle');
  ip('link add v0 type veth peer name m0 netns middle');
  ip('-n far link add v1 type veth peer name m1 netns middle');
  for (const [place, name, host] of [
    ['', 'v0', 1],
    ['-n far ', 'v1', 2],
  ]) {
    ip(`${place}addr add 198.51.100.${host}/24 dev ${name}`);
    ip(`${place}link set ${name} up`);
  }
  for (const name of ['m0', 'm1']) ip(`-n middle link set ${name} up`);
  const cable = ['link', 'if:m0', 'if:m1', '--impair', impairment, '--seed', '5'];
  await startLive(['ip', 'netns', 'exec', 'middle', process.execPath, VNIC, ...cable]).until(/joined/);
}

describe('a tunnel over a bad network', () => {
  it.each([
    ['TLS', ['7000'], ['198.51.100.2:7000']],
    ['a WebSocket', ['wss:7000'], ['wss:198.51.100.2:7000']],
    ['UDP', ['udp:7000', '--insecure'], ['udp:198.51.100.2:7000', '--insecure']],
  ] as const)('by %s: a transfer comes through whole', async (name, listenArgs, connectArgs) => {
    await badCable('delay=3ms,jitter=2ms,loss=1%,duplicate=1%,reorder=2%');
    await listen(...listenArgs, ...(name === 'UDP' ? [] : ['--allow', keyOf('near')]));
    await connect(...connectArgs);
    expect((await run(['ping', '-c20', '-i0.05', '-W5', '10.9.0.1'])).stdout).toMatch(/ (1[0-9]|20) received/);
    const script = `
      set -e -o pipefail
      head -c 1000000 /dev/urandom > ${folder}/sent
      ip netns exec far timeout 50 socat -u TCP4-LISTEN:5999,reuseaddr CREATE:${folder}/got &
      for i in $(seq 100); do ip netns exec far ss -Hltn | grep -q :5999 && break; sleep 0.05; done
      timeout 50 socat -u OPEN:${folder}/sent,rdonly TCP4:10.9.0.1:5999
      wait
      cmp ${folder}/sent ${folder}/got`;
    expect((await run(['bash', '-c', script])).stderr).toBe('');
  });
});

describe('the keys of a tunnel', () => {
  it('are noted when they are met first, and another one is refused later', async () => {
    const there = await listen('7000', '--anyone');
    const here = await connect('198.51.100.2:7000');
    expect(here.output.stderr).toContain(`has the key ${keyOf('far')}`);
    expect(readFileSync(join(folderOf('near'), 'known-peers'), 'utf8')).toContain(`198.51.100.2:7000 ${keyOf('far')}`);
    await here.end('SIGTERM');
    await there.end('SIGTERM');
    const impostor = tunnel('far', 'impostor', 'listen', '7000', '--anyone');
    await impostor.until(/Ctrl-C/);
    const { status, stderr } = await tunnel(undefined, 'near', 'connect', '198.51.100.2:7000').end();
    expect(status).toBe(77);
    expect(stderr).toContain(keyOf('far'));
    expect(stderr).toContain(keyOf('impostor'));
    expect(interfaceNames()).not.toContain('tun0');
  });

  it('let nobody in who was not allowed, and say how to allow it', async () => {
    const there = await listen('7000');
    const here = tunnel(undefined, 'near', 'connect', '198.51.100.2:7000');
    await there.until(/sudo vnic identity allow sha256:/);
    expect(there.output.stderr).toContain(`the key ${keyOf('near')} is not allowed`);
    await here.until(/waiting/);
    expect(interfaceNames()).not.toContain('tun0');
    // Allowed in the file that is read for each client: no restart is needed.
    const { AuthorizedPeers } = await import('../../src/identity/index.ts');
    await new AuthorizedPeers(join(folderOf('far'), 'authorized-peers')).allow(keyOf('near'), 'near');
    await here.until(/up {6}/);
    expect(await pings('10.9.0.1')).toBe(true);
  });

  it('may be those of an authority, for the name of the host', async () => {
    const pem = (name: string): string => join(folder, `${name}.pem`);
    const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
    const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-x509', ...curve, '-subj', '/CN=lab', '-days', '2', '-keyout', pem('ca.key'), '-out', pem('ca'));
    for (const [name, san] of [
      ['server', 'IP:198.51.100.2'],
      ['client', 'DNS:client'],
      ['stranger', 'DNS:stranger'],
    ] as const) {
      const request = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=${san}`, '-keyout', pem(`${name}.key`)];
      const issuer = name === 'stranger' ? [] : ['-CA', pem('ca'), '-CAkey', pem('ca.key')];
      openssl('req', '-x509', ...curve, ...request, ...issuer, '-days', '2', '-out', pem(name));
    }
    const of = (name: string): string[] => ['--cert', pem(name), '--key', pem(`${name}.key`), '--ca', pem('ca')];
    const there = await listen('7000', ...of('server'));
    await connect('198.51.100.2:7000', ...of('client'));
    expect(await pings('10.9.0.1')).toBe(true);
    const stranger = tunnel(undefined, 'near', 'connect', '198.51.100.2:7000', ...of('stranger'));
    await there.until(/refused/);
    await stranger.end('SIGTERM');
    // The certificate is for the address, and not for this name.
    const named = await tunnel(
      undefined,
      'near',
      'connect',
      '198.51.100.2:7000',
      ...of('client'),
      '--servername',
      'x',
    ).end();
    expect(named.status).toBe(77);
  });

  it('are what --pin says', async () => {
    await listen('7000', '--anyone');
    await connect('198.51.100.2:7000', '--pin', keyOf('far'), '--once');
    const wrong = await tunnel(undefined, 'near', 'connect', '198.51.100.2:7000', '--pin', keyOf('near')).end();
    expect(wrong.status).toBe(77);
    expect(wrong.stderr).toContain(keyOf('far'));
  });
});

describe('a tunnel under way', () => {
  it('keeps its device and the connections through it when the carrier is killed and comes back', async () => {
    const allow = ['7000', '--allow', keyOf('near'), '--keep-alive', '2'];
    let there = await listen(...allow);
    const here = await connect('198.51.100.2:7000');
    const address = /has ([\d.]+)/.exec(here.output.stderr)?.[1];
    const server = startLive(['ip', 'netns', 'exec', 'far', 'iperf3', '-s', '--forceflush']);
    await server.until(/Server listening/);
    const transfer = run(['iperf3', '-c', '10.9.0.1', '-t', '8', '-J']);
    await vi.waitFor(() => expect(ip('netns exec far ss -Htn state established')).toContain(':5201'), WAIT);
    // Every connection under the tunnel, at once.
    await run(['ip', 'netns', 'exec', 'far', 'ss', '-K', 'sport', '=', ':7000']);
    await here.until(/up {6}[\s\S]*down[\s\S]*up {6}/);
    const { stdout } = await transfer;
    expect((JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes).toBeGreaterThan(
      1_000_000,
    );
    // And the server itself, by kill -9: what it made goes with it.
    there.child.kill('SIGKILL');
    await here.until(/waiting/);
    there = await listen(...allow);
    await here.until(/(up {6}[\s\S]*){3}/);
    expect(here.output.stderr.match(/has [\d.]+/g)?.every((one) => one === `has ${address}`)).toBe(true);
    expect(await pings('10.9.0.1')).toBe(true);
  });

  it('over UDP finds a server again that was started anew, and follows this side to another address', async () => {
    let there = await listen('udp:7000', '--insecure', '--keep-alive', '2');
    const here = await connect('udp:198.51.100.2:7000', '--insecure');
    expect(await pings('10.9.0.1')).toBe(true);
    there.child.kill('SIGKILL');
    await there.end();
    there = await listen('udp:7000', '--insecure', '--keep-alive', '2');
    await here.until(/up {6}[\s\S]*down[\s\S]*up {6}/);
    expect(await pings('10.9.0.1')).toBe(true);
    // Another prefix length, or it would go with the first address of the subnet.
    ip('addr add 198.51.100.9/25 dev v0');
    ip('addr del 198.51.100.1/24 dev v0');
    await there.until(/joined[\s\S]*198\.51\.100\.9/);
    await vi.waitFor(async () => expect(await pings('10.9.0.1')).toBe(true), WAIT);
  });

  it('follows this side to another network within seconds', async () => {
    ip('link add w0 type veth peer name w1 netns far');
    ip('-n far addr add 203.0.113.2/24 dev w1');
    ip('-n far link set w1 up');
    ip('-n far addr add 192.0.2.2/32 dev lo');
    ip('route add 192.0.2.2/32 via 198.51.100.2');
    await listen('7000', '--allow', keyOf('near'));
    const here = await connect('192.0.2.2:7000');
    ip('addr add 203.0.113.1/24 dev w0');
    ip('link set w0 up');
    ip('link set v0 down');
    ip('route replace 192.0.2.2/32 via 203.0.113.2');
    await here.until(/up {6}[\s\S]*down[\s\S]*up {6}/);
    expect(await pings('10.9.0.1')).toBe(true);
  });

  it('sends everything through the tunnel but its own connection, and undoes that', async () => {
    ip('-n far addr add 192.0.2.99/32 dev lo');
    ip('route add default via 198.51.100.2');
    await listen('7000', '--allow', keyOf('near'));
    const wayTo = (address: string): string => ip(`route get ${address}`);
    const rules = ip('rule') + ip('-6 rule');
    const here = await connect('198.51.100.2:7000', '--default-route');
    expect(wayTo('192.0.2.99')).toContain('dev tun0');
    expect(wayTo('198.51.100.2')).toContain('dev v0');
    expect(await pings('192.0.2.99')).toBe(true);
    const outside = startLive(['tcpdump', '-lni', 'v0', 'host', '192.0.2.99']);
    await outside.until(/listening on/);
    expect(await pings('192.0.2.99')).toBe(true);
    expect((await outside.end('SIGINT')).stdout.trim()).toBe('');
    expect((await here.end('SIGTERM')).status).toBe(143);
    expect(ip('rule') + ip('-6 rule')).toBe(rules);
    expect(wayTo('192.0.2.99')).toContain('dev v0');
  });

  it('lets nothing past with the kill switch, not even after kill -9, until it is cleaned up', async () => {
    ip('-n far addr add 192.0.2.99/32 dev lo');
    ip('-n far addr add 2001:db8:99::1/128 dev lo');
    ip('route add default via 198.51.100.2');
    ip('-6 route add default via 2001:db8::2');
    const rules = ip('rule') + ip('-6 rule');
    const there = await listen('7000', '--allow', keyOf('near'), '--address', '10.9.0.1/24');
    const outside = startLive(['tcpdump', '-lni', 'v0', 'host', '192.0.2.99', 'or', 'host', '2001:db8:99::1']);
    await outside.until(/listening on/);
    const here = await connect('198.51.100.2:7000', '--default-route', '--kill-switch');
    expect(await pings('192.0.2.99')).toBe(true);
    // The tunnel carries no IPv6, so there is none.
    expect(await pings('2001:db8:99::1', '-W1')).toBe(false);
    await there.end('SIGKILL');
    await here.until(/waiting/);
    expect(await pings('192.0.2.99', '-W1')).toBe(false);
    here.child.kill('SIGKILL');
    await here.end();
    expect(await pings('192.0.2.99', '-W1')).toBe(false);
    expect((await outside.end('SIGINT')).stdout.trim()).toBe('');
    const env = { ...process.env, VNIC_RUNTIME_DIRECTORY: folderOf('run') };
    expect((await run([process.execPath, VNIC, 'cleanup'], { env })).status).toBe(0);
    expect(ip('rule') + ip('-6 rule')).toBe(rules);
    expect(await pings('192.0.2.99')).toBe(true);
  });

  it.each(['', '--kill-switch'])('takes the place of one that was killed, with %j', async (flag) => {
    ip('-n far addr add 192.0.2.99/32 dev lo');
    ip('route add default via 198.51.100.2');
    const rules = ip('rule') + ip('-6 rule');
    await listen('7000', '--allow', keyOf('near'));
    const first = await connect('198.51.100.2:7000', '--default-route', '--kill-switch');
    first.child.kill('SIGKILL');
    await first.end();
    expect(await pings('192.0.2.99', '-W1')).toBe(false);
    const second = await connect('198.51.100.2:7000', '--default-route', ...(flag === '' ? [] : [flag]));
    expect(await pings('192.0.2.99')).toBe(true);
    await second.end('SIGTERM');
    expect(ip('rule') + ip('-6 rule')).toBe(rules);
    expect(await pings('192.0.2.99')).toBe(true);
  });

  it('hands out a way to the world, with --nat, and takes it back', async () => {
    ip('netns add world');
    ip('-n world link set lo up');
    ip('-n far link add u0 type veth peer name u1 netns world');
    ip('-n far addr add 203.0.113.1/24 dev u0');
    ip('-n far link set u0 up');
    ip('-n world addr add 203.0.113.9/24 dev u1');
    ip('-n world link set u1 up');
    const there = await listen('7000', '--allow', keyOf('near'), '--nat', '--route', '203.0.113.0/24');
    const here = await connect('198.51.100.2:7000');
    expect(here.output.stderr).toContain('routes 203.0.113.0/24');
    // The world knows no way back to the tunnel.
    expect(await pings('203.0.113.9')).toBe(true);
    await there.end('SIGTERM');
    expect(ip('netns exec far nft list ruleset')).not.toContain('masquerade');
    expect(ip('netns exec far sysctl -n net.ipv4.ip_forward').trim()).toBe('0');
  });
});

describe('hostile clients of a tunnel', () => {
  it('cost little: a thousand that connect and say nothing, garbage, and one who shows no key', async () => {
    const there = await listen('7000', '--allow', keyOf('near'));
    await connect('198.51.100.2:7000');
    const sockets: Socket[] = [];
    try {
      for (let i = 0; i < 1000; i++) {
        const socket = connectTcp(7000, '198.51.100.2');
        socket.on('error', () => undefined);
        if (i % 3 === 0) socket.write('GET / HTTP/1.1\r\n\r\n');
        if (i % 3 === 1) socket.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1));
        sockets.push(socket);
        if (i % 100 === 99) expect(await pings('10.9.0.1', '-c1')).toBe(true);
      }
      expect(await iperf('10.9.0.1')).toBeGreaterThan(100_000);
      const rssKb = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${there.child.pid}/status`, 'utf8'))?.[1]);
      expect(rssKb).toBeLessThan(400_000);
      expect(tcpListeners()).toContain(':7000');
    } finally {
      for (const socket of sockets) socket.destroy();
    }
    // And who comes now gets in.
    const second = tunnel(undefined, 'near', 'connect', '198.51.100.2:7000', '--name', 'again0');
    await second.until(/up {6}/);
  });
});

describe('what is wrong is said', () => {
  it.each([
    [['listen'], 2, /missing required argument/],
    [['guard', '7000'], 2, /listen, connect/],
    [['connect', '7000'], 2, /HOST:PORT/],
    [['connect', '2001:db8::2:7000'], 2, /brackets/],
    [['listen', 'udp:7000'], 2, /--insecure/],
    [['listen', '7000', '--pin', 'sha256:x'], 2, /--pin is for `vnic tunnel connect`/],
    [['connect', '198.51.100.2:7000', '--nat'], 2, /--nat is for `vnic tunnel listen`/],
    [['connect', '198.51.100.2:7000', '--kill-switch'], 2, /--default-route/],
    [['listen', '7000', '--bridge', 'br0'], 2, /--tap/],
    [['listen', '7000', '--client', 'x,key=sha256:short'], 2, /fingerprint/],
    [['listen', '7000', '--client', 'key=sha256:short'], 2, /name first/],
    [['listen', '7000', '--address', '10.9.0.300/24'], 2, /--address/],
    [['listen', '7000', '--cert', 'a.pem'], 2, /--key/],
    [['connect', '198.51.100.2:9', '--once'], 75, /connect to 198\.51\.100\.2:9/],
  ])('%j', async (args, status, text) => {
    const result = await tunnel(undefined, 'near', ...args).end();
    expect(result.stderr).toMatch(text);
    expect(result.status).toBe(status);
    expect(interfaceNames()).not.toContain('tun0');
  });

  it('also as lines of JSON', async () => {
    const there = await listen('7000', '--allow', keyOf('near'), '--json');
    const here = await connect('198.51.100.2:7000', '--json', '--once');
    await there.until(/"joined"/);
    await there.end('SIGTERM');
    const { stderr, status } = await here.end();
    expect(status).toBe(0);
    const events = stderr
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string });
    expect(events.map(({ event }) => event)).toEqual(expect.arrayContaining(['established', 'lost', 'ended']));
  });
});
