/** `vnic dump`, on interfaces that exist and on devices that it makes, next to tcpdump and tshark. */

import { execFileSync } from 'node:child_process';

import { afterEach, beforeAll, describe, expect, it } from 'vitest';

import { TapDevice } from '../../src/tun/index.ts';
import type { VlanSummary } from '../../src/wire/index.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';
import { capturing } from './capture.ts';
import { endLive, type LiveVnic, startLive, startVnic } from './live-vnic.ts';
import { deleteTestDevices, interfaceNames, run, runVnic, terminalEnv, VNIC } from './run-vnic.ts';

beforeAll(() => requirePrivateNetns());
afterEach(async () => {
  await endLive();
  deleteTestDevices();
});

async function startDump(...args: string[]): Promise<LiveVnic> {
  const live = startVnic(['dump', ...args]);
  await live.until(/Ctrl-C/);
  return live;
}

const ping = (...args: string[]): Promise<unknown> => run(['ping', '-q', '-i', '0.02', ...args]);

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');

describe('vnic dump of an interface that exists', () => {
  it('agrees with tcpdump and tshark', async () => {
    // libpcap shows each packet of lo once, when it arrives; the command shows it leave, too.
    const dump = await startDump('lo', '--json');
    const use = async (): Promise<void> => {
      await ping('-c', '20', '127.0.0.1');
      await ping('-c', '5', '-s', '60000', '127.0.0.1');
      await ping('-6', '-c', '20', '::1');
      execFileSync(process.execPath, ['-e', TRAFFIC]);
    };
    await capturing('lo', use, ({ tshark, tcpdump }) => {
      const theirs = linesOf(
        tshark('-T', 'fields', '-E', 'occurrence=f', '-e', 'frame.len', '-e', 'ip.proto', '-e', 'ipv6.nxt'),
      );
      const ours = linesOf(dump.output.stdout)
        .map((line) => JSON.parse(line))
        .filter(({ direction }) => direction === 'in')
        .map(({ length, packet }) => `${length}\t${packet.ipv4?.protocol ?? ''}\t${packet.ipv6?.nextHeader ?? ''}`);
      expect(ours.length).toBeGreaterThan(90);
      expect(ours).toEqual(theirs);
      expect(tcpdump()).toHaveLength(ours.length);
    });
    const { status, stderr } = await dump.end('SIGINT');
    expect(status).toBe(130);
    expect(stderr).toMatch(/\d+ packets captured, 0 dropped by the kernel\n$/);
  });

  it('listens on a TUN device that somebody else holds', async () => {
    const echo = startVnic(['echo']);
    await echo.until(/Ctrl-C ends/);
    const dump = await startDump('tun0', '-c', '4');
    await ping('-c', '2', '10.0.0.2');
    const { status, stdout } = await dump.end();
    expect(status).toBe(0);
    expect(linesOf(stdout).map((line) => line.replace(/^\S+ /, '').replace(/id \d+/, 'id N'))).toEqual([
      '→ 10.0.0.1 > 10.0.0.2: ICMP echo request, id N, seq 1, length 64',
      '← 10.0.0.2 > 10.0.0.1: ICMP echo reply, id N, seq 1, length 64',
      '→ 10.0.0.1 > 10.0.0.2: ICMP echo request, id N, seq 2, length 64',
      '← 10.0.0.2 > 10.0.0.1: ICMP echo reply, id N, seq 2, length 64',
    ]);
    await echo.end('SIGINT');
    expect(interfaceNames()).toEqual(['lo']);
  });

  it('is promiscuous with --promisc, and only as long as it runs', async () => {
    execFileSync('ip', ['tuntap', 'add', 'prom0', 'mode', 'tap']);
    const promiscuity = (): number =>
      JSON.parse(execFileSync('ip', ['-d', '-j', 'link', 'show', 'prom0'], { encoding: 'utf8' }))[0].promiscuity;
    const dump = await startDump('prom0', '--promisc');
    expect(promiscuity()).toBe(1);
    await dump.until(/prom0 is down/);
    expect((await dump.end('SIGKILL')).status).toBe(137);
    expect(promiscuity()).toBe(0);
  });

  it('ends with an error when the interface is deleted, and not when it goes down', async () => {
    execFileSync('ip', ['tuntap', 'add', 'gone0', 'mode', 'tap']);
    execFileSync('ip', ['link', 'set', 'gone0', 'up']);
    const dump = await startDump('gone0');
    execFileSync('ip', ['link', 'set', 'gone0', 'down']);
    execFileSync('ip', ['link', 'set', 'gone0', 'up']);
    execFileSync('ip', ['link', 'set', 'gone0', 'down']);
    expect(dump.child.exitCode).toBeNull();
    execFileSync('ip', ['link', 'delete', 'gone0']);
    const { status, stderr } = await dump.end();
    expect(status).toBe(74);
    expect(stderr).toMatch(/\d+ packets? captured, 0 dropped by the kernel\nerror: cannot use gone0: .*\nhint: .+\n$/);
  });
});

describe('what the kernel keeps beside a packet', () => {
  it('is put back into it: VLAN tags, as tshark shows them', async () => {
    await using tap = await TapDevice.open({ name: 'tagged0' });
    execFileSync('sh', ['-c', 'echo 1 > /proc/sys/net/ipv6/conf/tagged0/disable_ipv6']);
    execFileSync('ip', ['link', 'set', 'tagged0', 'up']);
    const arp = '0806 0001 0800 0604 0001 020000000001 0a000001 000000000000 0a000002';
    const tags = ['', '8100 0007', '8100 b007', '8100 e000', '88a8 a005', '88a8 0005 8100 7007'];
    const count = String(tags.length);
    const json = await startDump('tagged0', '--json', '-c', count);
    const text = await startDump('tagged0', '-c', count);
    const use = async (): Promise<void> => {
      for (const tag of tags) tap.write(hex(`ffffffffffff 020000000001 ${tag} ${arp}`));
      await json.end();
    };
    await capturing('tagged0', use, ({ tshark }) => {
      const fields = ['frame.len', 'ieee8021ad.id', 'vlan.id', 'vlan.priority', 'arp.dst.proto_ipv4'];
      const theirs = linesOf(tshark('-T', 'fields', ...fields.flatMap((field) => ['-e', field])));
      const ours = linesOf(json.output.stdout)
        .map((line) => JSON.parse(line))
        .map(({ length, packet: { vlan = [], arp } }) => {
          const withTpid = (tpid: number): VlanSummary[] => vlan.filter((tag: VlanSummary) => tag.tpid === tpid);
          const services = withTpid(0x88a8).map(({ vlanId }) => vlanId);
          const vlans = withTpid(0x8100).map(({ vlanId }) => vlanId);
          const priorities = withTpid(0x8100).map(({ priority }) => priority);
          return [length, services, vlans, priorities, arp.targetProtocolAddress].join('\t');
        });
      expect(ours).toHaveLength(tags.length);
      expect(ours).toEqual(theirs);
    });
    const { stdout } = await text.end();
    expect(linesOf(stdout).map((line) => line.replace(/^\S+ /, '').replace(/ARP.*/, 'ARP'))).toEqual([
      '← ARP',
      '← vlan 7, p 0, ARP',
      '← vlan 7, p 5, DEI, ARP',
      '← vlan 0, p 7, ARP',
      '← s-vlan 5, p 5, ARP',
      '← s-vlan 5, p 0, vlan 7, p 3, DEI, ARP',
    ]);
  });

  it('says that a checksum is left to the network card, which is not a bad one', async () => {
    execFileSync('sh', ['-ec', VETH]);
    try {
      const dump = await startDump('east1', '--json', '-c', '4');
      const text = await startDump('west1', '-c', '4');
      execFileSync('python3', ['-c', SEND_OVER_VETH]);
      const [udp, syn, bad, good] = linesOf((await dump.end()).stdout).map((line) => JSON.parse(line));
      expect(udp).toMatchObject({ checksumPending: true, packet: { udp: { destinationPort: 9 } } });
      expect(udp.packet.udp).not.toHaveProperty('checksum');
      expect(syn).toMatchObject({ checksumPending: true, packet: { tcp: { destinationPort: 9 } } });
      expect(syn.packet.tcp).not.toHaveProperty('checksumOk');
      for (const line of [udp, syn]) expect(line.packet).not.toHaveProperty('drop');
      expect(bad.packet).toMatchObject({ udp: { checksum: 'bad' }, drop: 'bad-checksum' });
      expect(good.packet).toMatchObject({ udp: { checksum: 'ok' } });
      for (const line of [bad, good]) expect(line).not.toHaveProperty('checksumPending');
      expect(linesOf((await text.end()).stdout).map((line) => line.replace(/.* > /, ''))).toEqual([
        '10.7.0.2.9: UDP, length 5',
        expect.stringMatching(/^10\.7\.0\.2\.9: Flags \[S\], .*, length 0$/),
        '10.7.0.2.9: UDP, length 5 [bad-checksum]',
        '10.7.0.2.9: UDP, length 5',
      ]);
    } finally {
      execFileSync('ip', ['link', 'delete', 'east1']);
    }
  });

  it('leaves no packet of lo with a bad checksum', async () => {
    const dump = await startDump('lo');
    execFileSync(process.execPath, ['-e', TRAFFIC]);
    await dump.until(/ Flags \[F\.\], /);
    const { stdout } = await dump.end('SIGINT');
    expect(stdout).toMatch(/ UDP, length 100$/m);
    expect(stdout).toMatch(/ Flags \[P\.\], .* length 4$/m);
    expect(stdout).not.toMatch(/bad-checksum|malformed/);
  });
});

const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));

/** A veth pair without IPv6, with a neighbour behind it that never answers. */
const VETH = `
ip link add east1 type veth peer name west1
for name in east1 west1; do
  echo 1 > /proc/sys/net/ipv6/conf/$name/disable_ipv6
  ip link set $name up
done
ip addr add 10.7.0.1/24 dev east1
ip neigh add 10.7.0.2 lladdr 02:00:00:00:00:02 dev east1`;

/** UDP and a TCP SYN of the kernel; then UDP of our own with a wrong checksum, and with the right one. */
const SEND_OVER_VETH = `
import socket, struct
kernel = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
kernel.sendto(b'hello', ('10.7.0.2', 9))
tcp = socket.socket()
tcp.setblocking(False)
tcp.connect_ex(('10.7.0.2', 9))
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
def datagram(checksum):
    return struct.pack('!4H', 5000, 9, 13, checksum) + b'hello'
words = socket.inet_aton('10.7.0.1') + socket.inet_aton('10.7.0.2') + struct.pack('!2H', 17, 13) + datagram(0) + b'\\0'
total = sum(struct.unpack('!%dH' % (len(words) // 2), words))
right = 0xffff ^ (total % 0xffff)
for checksum in (right ^ 1, right):
    raw.sendto(datagram(checksum), ('10.7.0.2', 9))`;

/** UDP to a closed port, and a TCP connection, over lo. */
const TRAFFIC = `
const udp = require('node:dgram').createSocket('udp4');
udp.send(Buffer.alloc(100), 9, '127.0.0.3', () => {
  udp.close();
  const server = require('node:net').createServer((socket) => socket.end('done'));
  server.listen(0, '127.0.0.1', () => {
    require('node:net').connect(server.address().port, '127.0.0.1').on('data', () => undefined).on('close', () => server.close());
  });
});`;

describe('vnic dump of a device that it makes', () => {
  it.each(['tun', 'tap'])('shows what the kernel sends to a %s device, and removes it', async (kind) => {
    const dump = await startDump(`--${kind}`, '--address', '10.9.0.1/24');
    expect(dump.output.stderr).toContain(`${kind}0 with 10.9.0.1/24`);
    await ping('-c', '2', '-W', '0.2', '10.9.0.2');
    await dump.until(
      kind === 'tun' ? /10\.9\.0\.1 > 10\.9\.0\.2: ICMP echo request/ : /who-has 10\.9\.0\.2 tell 10\.9\.0\.1/,
    );
    const { status, stdout } = await dump.end('SIGINT');
    expect(status).toBe(130);
    expect(stdout).not.toContain('←');
    expect(interfaceNames()).toEqual(['lo']);
  });

  it('names what the kernel dropped because the queue of the device was full', async () => {
    const dump = await startDump('--tun', 'slow0', '--address', '10.9.0.1/24');
    execFileSync('ip', ['link', 'set', 'slow0', 'txqueuelen', '10']);
    dump.child.kill('SIGSTOP');
    await run(['ping', '-q', '-f', '-c', '200', '-w', '1', '10.9.0.2']);
    dump.child.kill('SIGCONT');
    const { stderr } = await dump.end('SIGINT');
    const [, captured, dropped] = /(\d+) packets captured, (\d+) dropped/.exec(stderr) ?? [];
    expect(Number(captured)).toBeLessThan(30);
    expect(Number(dropped)).toBeGreaterThan(10);
  });
});

describe('what it prints', () => {
  it('is the octets as well with -x, as tshark has them', async () => {
    const dump = await startDump('lo', '-x', '-c', '1');
    await ping('-c', '1', '-p', 'c0ffee', '127.0.0.1');
    const { stdout } = await dump.end();
    const [line, ...rows] = linesOf(stdout);
    expect(line).toMatch(/^\d\d:\d\d:\d\d\.\d{6} → 127\.0\.0\.1 > 127\.0\.0\.1: ICMP echo request/);
    expect(rows).toHaveLength(Math.ceil(98 / 16));
    expect(rows[0]).toMatch(/^\t0x0000: {2}0000 0000 0000 0000 0000 0000 0800 4500 {2}/);
    expect(rows.join('')).toMatch(/c0ff eec0 ffee|ffee c0ff/);
  });

  it('is time since the first packet with --relative', async () => {
    const dump = await startDump('lo', '--relative', '-c', '2');
    await ping('-c', '1', '127.0.0.1');
    expect((await dump.end()).stdout).toMatch(/^ {4}0\.000000 → .*\n {4}0\.0\d{5} ← /);
  });

  it('is coloured on a terminal only', async () => {
    const command = `${process.execPath} ${VNIC} dump lo -c 2`;
    const live = startLive(['script', '-qfec', command, '/dev/null'], { env: terminalEnv() });
    await live.until(/listening/);
    await ping('-c', '1', '127.0.0.1');
    expect((await live.end()).stdout).toContain('\x1b[32mICMP\x1b[39m');
  });

  it('marks a packet with a bad checksum', async () => {
    const dump = await startDump('lo', '-c', '2');
    execFileSync('python3', ['-c', BAD_CHECKSUM]);
    expect((await dump.end()).stdout).toMatch(/ICMP echo request.* \[bad-checksum\]\n/);
  });

  it('ends without a word when nobody reads on', async () => {
    const script = `${process.execPath} ${VNIC} dump lo | head -1; echo "status \${PIPESTATUS[0]}"`;
    const live = startLive(['bash', '-c', script]);
    await live.until(/listening/);
    for (let i = 0; live.child.exitCode === null && i < 50; i++) await ping('-c', '1', '127.0.0.1');
    const { stdout, stderr } = await live.end();
    expect(linesOf(stdout)).toEqual([expect.stringMatching(/ICMP echo request/), 'status 0']);
    expect(stderr).toMatch(/^listening .*\n\d+ packets captured, 0 dropped by the kernel\n$/);
  });
});

/** An echo request with checksum 0x1234, through a raw socket. */
const BAD_CHECKSUM = `
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
s.sendto(bytes([8, 0, 0x12, 0x34, 0, 1, 0, 1]) + bytes(8), ('127.0.0.1', 0))`;

describe('a wrong command line', () => {
  it.each([
    [['nix0'], 66],
    [[''], 2],
    [['a b'], 2],
    [['sixteen-bytes-16'], 2],
    [['lo', '--tun'], 2],
    [['lo', '--address', '10.0.0.1/24'], 2],
    [['--tun', '--promisc'], 2],
    [['lo', '-c', '0'], 2],
    [['lo', '-c', '1e3'], 2],
    [['lo', 'lo'], 2],
  ])('%j ends with a hint, and no device', async (args, status) => {
    const result = await runVnic(['dump', ...args]);
    expect(result).toMatchObject({ status, stdout: '' });
    expect(result.stderr).toMatch(/^error: .+\nhint: .+\n$/);
    expect(interfaceNames()).toEqual(['lo']);
  });
});
