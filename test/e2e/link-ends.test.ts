/** Ends and options of `vnic link` that deal with capture files, interfaces, and IP beside Ethernet, as a user types them. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';

import { wipe } from '../netns/desired-state.ts';
import { ip, ipJson } from '../netns/iproute2.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { interfaceNames, run, runShell, runVnic, VNIC } from './run-vnic.ts';

let folder = '';

beforeAll(() => requirePrivateNetns());
beforeEach(() => {
  wipe();
  folder = mkdtempSync(join(tmpdir(), 'vnic-link-ends-'));
  ip('link set lo up');
  ip('netns add far');
  ip('-n far link set lo up');
});
afterEach(async () => {
  await endLive();
  wipe();
  rmSync(folder, { recursive: true, force: true });
});
afterAll(() => wipe());

const link = (...args: string[]): LiveVnic => startVnic(['link', ...args]);
const inFar = (...argv: string[]): string[] => ['ip', 'netns', 'exec', 'far', ...argv];
const file = (name: string): string => join(folder, name);

async function pings(address: string, ...prefix: string[]): Promise<boolean> {
  return (await run([...prefix, 'ping', '-c3', '-i0.2', '-W5', address])).status === 0;
}

const tool = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });

const countOf = (path: string): number =>
  Number(/Number of packets: +(\d+)/.exec(tool('capinfos', '-M', '-c', path))?.[1]);

const near = ['tun:t0,address=10.9.0.1/24,address=fd09::1/64', 'echo:10.9.0.2,also=fd09::2'];

describe('--capture', () => {
  it('records both directions, readable after kill -9, by its owner only', async () => {
    const path = file('a.pcapng');
    const live = link(...near, '--capture', path);
    await live.until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    expect(await pings('fd09::2')).toBe(true);
    // The last reply is in the file a moment after it was sent.
    await expect.poll(() => echoes(path), { timeout: 20_000 }).toEqual([6, 6]);
    await live.end('SIGKILL');
    expect(echoes(path)).toEqual([6, 6]);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const { status, stderr } = await runVnic(['link', ...near, '--capture', path]);
    expect([status, stderr]).toEqual([73, expect.stringContaining('there is a file of that name')]);
    expect(interfaceNames()).not.toContain('t0');
    const again = link(...near, '--capture', path, '--overwrite', '--snaplen', '40');
    await again.until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    const ended = await again.end('SIGINT');
    expect(ended.stderr).toMatch(/recorded \d+ packets\n/);
    expect(
      tool('tshark', '-r', path, '-Y', 'icmp && frame.cap_len == 40 && frame.len == 84').trim().split('\n'),
    ).toHaveLength(6);
  });

  /** Requests and replies, by the direction that the file says. */
  function echoes(path: string): [number, number] {
    const lines = tool(
      'tshark',
      '-r',
      path,
      '-Y',
      'icmp || icmpv6.type == 128 || icmpv6.type == 129',
      '-T',
      'fields',
      '-e',
      'frame.packet_flags',
    );
    const flags = lines.split('\n').filter((line) => line !== '');
    return [1, 2].map((flag) => flags.filter((line) => Number(line) === flag).length) as [number, number];
  }

  it('goes to a program through standard output, and traffic goes on when that ends', async () => {
    const live = link(...near, '--capture', '-');
    await live.until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    // The name of the program that has written it.
    await live.until(/vnic/);
    expect(live.output.stdout).toContain('tun:t0');
    live.child.stdout?.destroy();
    expect(await pings('10.9.0.2')).toBe(true);
    await live.until(/ended +recording/);
    expect(await pings('10.9.0.2')).toBe(true);
    const { stderr: told } = await live.end('SIGTERM');
    expect(told.match(/ended +recording/g)).toHaveLength(1);
    const { status, stderr } = await runVnic(['link', 'stdio', 'null', '--capture', '-']);
    expect([status, stderr]).toEqual([2, expect.stringContaining('standard output is an end')]);
  });

  it('ends with one message on a full disk, traffic goes on, and the file is whole', async () => {
    const disk = file('disk');
    execFileSync('sh', ['-c', `mkdir ${disk} && mount -t tmpfs -o size=1m tmpfs ${disk}`]);
    try {
      const live = link(
        'tun:t0,address=10.9.0.1/24',
        'tun:t1,netns=far,address=10.9.0.2/24',
        '--capture',
        `${disk}/a.pcapng`,
      );
      await live.until(/joined/);
      const server = startLive(inFar('iperf3', '-s', '-1', '--forceflush'));
      await server.until(/listening/);
      const { stdout } = await run(['iperf3', '-c', '10.9.0.2', '-n', '30M', '-J']);
      expect(
        (JSON.parse(stdout) as { end: { sum_received: { bytes: number } } }).end.sum_received.bytes,
      ).toBeGreaterThan(25e6);
      await live.until(/ended +recording tun:t0: no space left on device; the packets pass on/);
      expect(await pings('10.9.0.2')).toBe(true);
      const { stderr } = await live.end('SIGTERM');
      expect(stderr.match(/no space left/g)).toHaveLength(1);
      expect(countOf(`${disk}/a.pcapng`)).toBeGreaterThan(100);
    } finally {
      execFileSync('umount', [disk]);
    }
  });
});

describe('pcap:', () => {
  it('plays what another recorded, byte for byte, and writes either format', async () => {
    const live = link(...near, '--capture', file('a.pcapng'));
    await live.until(/joined/);
    expect(await pings('10.9.0.2')).toBe(true);
    await live.end('SIGINT');
    for (const [name, kind] of [
      ['b.pcap', 'pcap'],
      ['b.pcapng', 'pcapng'],
    ] as const) {
      const copied = await runVnic(['link', `pcap:${file('a.pcapng')},speed=max`, `pcap:${file(name)},record`]);
      expect(copied).toMatchObject({ status: 0, stderr: expect.stringMatching(/played .*: \d+ packets\n/) });
      const octets = (path: string): string => tool('tshark', '-r', path, '-x');
      expect(octets(file(name))).toBe(octets(file('a.pcapng')));
      expect(tool('capinfos', '-t', file(name))).toMatch(new RegExp(`- ${kind}\\n`));
    }
  });

  it('plays a file of tcpdump into a device, whose kernel answers, and records those answers beside', async () => {
    const requests = file('requests.pcap');
    execFileSync('bash', [
      '-c',
      `printf '0000 45 00 00 1c 00 01 00 00 40 01 66 cc 0a 09 00 02 0a 09 00 01 08 00 f7 fd 00 01 00 01\\n' | text2pcap -q -F pcap -l 101 - ${requests}`,
    ]);
    // The answers come after the file has ended, if it does not begin again.
    const live = link(`pcap:${requests},loop`, 'tun:t0,address=10.9.0.1/24', '--capture', file('both.pcapng'));
    await live.until(/played/);
    await expect
      .poll(
        () =>
          tool('tshark', '-r', file('both.pcapng'), '-Y', 'icmp.type == 0 && frame.packet_flags == 2').trim() !== '',
        {
          timeout: 20_000,
        },
      )
      .toBe(true);
    await live.end('SIGTERM');
  });

  it('says what is wrong with a file', async () => {
    writeFileSync(file('text'), 'no capture\n');
    const none = await runVnic(['link', `pcap:${file('text')}`, 'null']);
    expect(none).toMatchObject({
      status: 74,
      stderr: expect.stringContaining('begins as neither pcap nor pcapng does'),
    });
    const missing = await runVnic(['link', `pcap:${file('missing')}`, 'null']);
    expect(missing).toMatchObject({ status: 71, stderr: expect.stringContaining('no such file') });
    await runVnic(['link', 'stdio', `pcap:${file('empty.pcap')},record`]);
    expect((await runVnic(['link', `pcap:${file('empty.pcap')}`, 'null'])).status).toBe(0);
    writeFileSync(file('cut.pcap'), readFileSync(file('empty.pcap')).subarray(0, 20));
    expect(await runVnic(['link', `pcap:${file('cut.pcap')}`, 'null'])).toMatchObject({
      status: 74,
      stderr: expect.stringContaining('(truncated, at byte 0)'),
    });
    for (const end of [',speed=2,record', ',snaplen=9', ',speed=fast']) {
      const { status, stderr } = await runVnic(['link', `pcap:${file('empty.pcap')}${end}`, 'null']);
      expect([end, status, stderr]).toEqual([end, 2, expect.stringContaining('^')]);
    }
    expect((await runVnic(['link', 'pcap:-', 'null'])).status).toBe(2);
  });
});

interface Link {
  readonly promiscuity: number;
  readonly flags: readonly string[];
  readonly mtu: number;
}

describe('if:', () => {
  /** host a (namespace `a`) == m0, joined with m1 of namespace `far` == host b (namespace `b`). */
  beforeEach(() => {
    for (const [name, host, outside] of [
      ['a', 1, ''],
      ['b', 2, 'netns far'],
    ] as const) {
      ip(`netns add ${name}`);
      ip(`link add m${host - 1} type veth peer name e0 netns ${name}`);
      if (outside !== '') ip(`link set m${host - 1} ${outside}`);
      ip(`${outside === '' ? '' : '-n far '}link set m${host - 1} up`);
      ip(`-n ${name} addr add 10.8.0.${host}/24 dev e0`);
      ip(`-n ${name} addr add fd08::${host}/64 dev e0 nodad`);
      ip(`-n ${name} link set e0 mtu 1400 up`);
    }
    ip('link add w0 type veth peer name w1 netns far');
    for (const [where, name, host] of [
      ['', 'w0', 1],
      ['-n far ', 'w1', 2],
    ]) {
      ip(`${where}addr add 198.51.100.${host}/24 dev ${name}`);
      ip(`${where}link set ${name} up`);
    }
  });

  async function iperf(address: string, ...options: string[]): Promise<number> {
    const server = startLive(['ip', 'netns', 'exec', 'b', 'iperf3', '-s', '-1', '--forceflush']);
    await server.until(/listening/);
    const client = ['iperf3', '-c', address, '-t', '1', '-J', ...options];
    const { stdout } = await run(['ip', 'netns', 'exec', 'a', ...client]);
    await server.end('SIGTERM');
    const { end } = JSON.parse(stdout) as { end: Record<'sum' | 'sum_received', { bytes: number } | undefined> };
    return (end.sum_received ?? end.sum)?.bytes ?? 0;
  }

  it.each([
    ['UDP', 'udp:198.51.100.2:7000,mtu=1424', 'udp-listen:7000,mtu=1424'],
    ['TCP', 'tcp:198.51.100.2:7000', 'tcp-listen:7000'],
  ])(
    'carries what hosts send over a %s tunnel, both ways, and leaves the interface as it was',
    async (_name, here, there) => {
      const before = ipJson<Link>('-d link show m0').map(({ promiscuity, flags, mtu }) => ({
        promiscuity,
        flags,
        mtu,
      }));
      const far = startLive(inFar(process.execPath, VNIC, 'link', 'if:m1', there));
      await far.until(/joined/);
      const live = link('if:m0', here);
      await live.until(/joined/);
      expect(await pings('10.8.0.2', 'ip', 'netns', 'exec', 'a')).toBe(true);
      expect(await pings('fd08::1', 'ip', 'netns', 'exec', 'b')).toBe(true);
      expect(await iperf('10.8.0.2')).toBeGreaterThan(1_000_000);
      expect(await iperf('10.8.0.2', '-R')).toBeGreaterThan(1_000_000);
      expect(await iperf('fd08::2')).toBeGreaterThan(1_000_000);
      expect(await iperf('10.8.0.2', '-u', '-b', '20M')).toBeGreaterThan(1_000_000);
      await live.end('SIGTERM');
      expect(
        ipJson<Link>('-d link show m0').map(({ promiscuity, flags, mtu }) => ({ promiscuity, flags, mtu })),
      ).toEqual(before);
    },
  );

  it('joins two interfaces of two namespaces, and ends when one is deleted', async () => {
    const live = link('if:m0,promisc', 'if:m1,netns=far');
    await live.until(/joined interface m0 and interface m1 in far/);
    expect(ipJson<Link>('-d link show m0')[0]?.promiscuity).toBe(1);
    expect(await pings('10.8.0.2', 'ip', 'netns', 'exec', 'a')).toBe(true);
    expect(await iperf('10.8.0.2')).toBeGreaterThan(1_000_000);
    ip('link delete m0');
    expect((await live.end()).status).toBe(74);
    const { status, stderr } = await runVnic(['link', 'if:nope', 'null']);
    expect([status, stderr]).toEqual([66, expect.stringContaining('there is no interface nope')]);
  });
});

describe('an IP end and an Ethernet end', () => {
  const tap = 'tap:p0,netns=far,address=10.7.0.1/24,address=fd07::1/64';
  const own = 'tun:t0,address=10.7.0.2/24,address=fd07::2/64';

  it('are joined by a proxy: ping, arping, ndisc6 and iperf3 see a host', async () => {
    const live = link(`${own},gateway=10.7.0.1,route=10.77.0.0/16`, tap, '--capture', file('a.pcapng'));
    await live.until(/joined TUN device t0 as 02:76:0a:07:00:02 and TAP device p0 in far: Ethernet frames/);
    expect(await pings('10.7.0.2', ...inFar())).toBe(true);
    expect(await pings('10.7.0.1')).toBe(true);
    await expect.poll(() => pings('fd07::2', ...inFar()), { timeout: 30_000 }).toBe(true);
    expect(await pings('fd07::1')).toBe(true);
    const neighbours = ipJson('-n far neigh show dev p0') as { dst: string; lladdr: string; state: string[] }[];
    for (const address of ['10.7.0.2', 'fd07::2']) {
      const found = neighbours.find(({ dst }) => dst === address);
      expect(found).toMatchObject({ lladdr: '02:76:0a:07:00:02' });
      expect(['REACHABLE', 'DELAY', 'STALE']).toContain(found?.state[0]);
    }
    expect((await run(inFar('arping', '-c1', '-w5', '-I', 'p0', '10.7.0.2'))).status).toBe(0);
    expect((await run(inFar('arping', '-D', '-c1', '-w5', '-I', 'p0', '10.7.0.2'))).status).toBe(1);
    expect((await run(inFar('arping', '-c1', '-w1', '-I', 'p0', '10.7.0.9'))).status).toBe(1);
    expect((await run(inFar('ndisc6', '-1', '-q', 'fd07::2', 'p0'))).stdout.trim().toLowerCase()).toBe(
      '02:76:0a:07:00:02',
    );
    // Off-link, through the gateway.
    ip('-n far addr add 10.77.0.1/32 dev lo');
    expect(await pings('10.77.0.1')).toBe(true);
    const server = startLive(inFar('iperf3', '-s', '-1', '--forceflush'));
    await server.until(/listening/);
    expect((await run(['iperf3', '-c', '10.7.0.1', '-t', '1'])).status).toBe(0);
    await live.end('SIGTERM');
    expect(
      tool('tshark', '-r', file('a.pcapng'), '-c', '200', '-Y', 'arp.duplicate-address-detected || _ws.malformed'),
    ).toBe('');
    expect(tool('tshark', '-r', file('a.pcapng'), '-c', '200', '-Y', 'arp.opcode == 2')).not.toBe('');
  });

  it('are joined too when the TUN device is there already, and over a tunnel of frames', async () => {
    ip('tuntap add t0 mode tun');
    ip('addr add 10.7.0.2/24 dev t0');
    ip('link set t0 up');
    ip('link add w0 type veth peer name w1 netns far');
    for (const [where, name, host] of [
      ['', 'w0', 1],
      ['-n far ', 'w1', 2],
    ]) {
      ip(`${where}addr add 198.51.100.${host}/24 dev ${name}`);
      ip(`${where}link set ${name} up`);
    }
    const far = startLive(inFar(process.execPath, VNIC, 'link', tap.replace('netns=far,', ''), 'udp-listen:7000'));
    await far.until(/joined/);
    const live = link('tun:t0,mac=02:00:00:00:00:44', 'udp:198.51.100.2:7000,medium=ethernet');
    await live.until(/joined .* as 02:00:00:00:00:44/);
    expect(await pings('10.7.0.1')).toBe(true);
    expect(await pings('10.7.0.2', ...inFar())).toBe(true);
    await live.end('SIGTERM');
    const other = link('udp-listen:7001,medium=ip,proxy=10.7.0.3,mac=02:00:00:00:00:33', 'tap:p1,address=10.7.0.1/24');
    await other.until(/joined .* as 02:00:00:00:00:33/);
    expect((await run(['arping', '-c1', '-w5', '-I', 'p1', '10.7.0.3'])).stdout).toContain('02:00:00:00:00:33');
  });

  it.each([
    [
      'addresses that are not known',
      ['tun:t0', 'tap:p0'],
      /tun:t0 carries IP packets, and tap:p0 Ethernet frames(.|\n)*proxy=/,
    ],
    ['proxy= between IP ends', ['tun:t0,proxy=10.0.0.1', 'null'], /proxy is of IP packets at an Ethernet end/],
    ['proxy= of an Ethernet end', ['tap:p0,proxy=10.0.0.1', 'tun:t0'], /tap has no option "proxy"/],
    ['host bits in a prefix', ['tun:t0,proxy=10.0.0.1/24', 'tap:p0'], /an address, or a prefix without host bits/],
    [
      'two gateways of a family',
      ['tun:t0,proxy=10.0.0.1,gateway=10.0.0.3,gateway=10.0.0.4', 'tap:p0'],
      /one gateway a family/,
    ],
    ['a group as MAC', ['tun:t0,proxy=10.0.0.1,mac=01:00:00:00:00:01', 'tap:p0'], /a unicast MAC address/],
  ])('are not joined with %s, and nothing is made', async (_what, ends, message) => {
    const { status, stderr } = await runVnic(['link', ...ends]);
    expect([status, stderr]).toEqual([2, expect.stringMatching(message)]);
    expect(interfaceNames()).toEqual(['lo']);
  });
});

it('an idle option of --capture is told', async () => {
  const { status, stderr } = await runShell('vnic link null null --snaplen 90');
  expect([status, stderr]).toEqual([2, expect.stringContaining('--snaplen is of --capture')]);
});
