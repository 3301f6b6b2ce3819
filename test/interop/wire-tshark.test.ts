/**
 * tshark as the oracle: it reads what we emit, and we read what it reads of the kernel's own packets; every
 * field must be the same on both sides.
 */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { seededRandom } from '../../src/base/index.ts';
import { hexdump, type NdpSummary, type PacketSummary, summarizePacket, TcpFlag } from '../../src/wire/index.ts';
import { randomFrame } from '../fuzz/wire-corpus.ts';

const seed = Number(process.env['VNIC_FUZZ_SEED'] ?? 7);
const generatedFrames = 800;
let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vnic-wire-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The ports in use carry plain data, so that random payload is not taken for some other protocol. */
const decodeAs = ['tcp', 'udp'].flatMap((name) => [`${name}.port==50000-50999,data`, `${name}.port==4000,data`]);

const preferences = [
  ...['ip', 'tcp', 'udp'].map((protocol) => `${protocol}.check_checksum:TRUE`),
  'ip.defragment:FALSE',
  'ipv6.defragment:FALSE',
  'tcp.analyze_sequence_numbers:FALSE',
  'tcp.relative_sequence_numbers:FALSE',
];

/** Every tshark field that `expectedFields` speaks of. */
const fieldNames = `
  _ws.malformed
  eth.src eth.dst eth.type eth.len
  vlan.id vlan.priority vlan.dei vlan.etype ieee8021ad.id ieee8021ad.priority ieee8021ad.dei
  arp.opcode arp.src.hw_mac arp.src.proto_ipv4 arp.dst.hw_mac arp.dst.proto_ipv4 arp.isprobe arp.isannouncement
  ip.src ip.dst ip.proto ip.ttl ip.dsfield.dscp ip.dsfield.ecn ip.id ip.flags.df ip.flags.mf ip.frag_offset
  ip.hdr_len ip.len ip.checksum.status ip.opt.type
  ipv6.src ipv6.dst ipv6.nxt ipv6.hlim ipv6.tclass ipv6.flow ipv6.plen
  ipv6.fraghdr.ident ipv6.fraghdr.offset ipv6.fraghdr.more ipv6.hopopts.nxt ipv6.routing.nxt ah.next_header
  ipv6.dstopts.nxt
  icmp.type icmp.code icmp.checksum.status icmp.ident icmp.seq icmp.mtu icmp.redir_gw
  icmpv6.type icmpv6.code icmpv6.checksum.status icmpv6.echo.identifier icmpv6.echo.sequence_number icmpv6.mtu
  icmpv6.pointer icmpv6.nd.ns.target_address icmpv6.nd.na.target_address icmpv6.nd.na.flag.r icmpv6.nd.na.flag.s
  icmpv6.nd.na.flag.o icmpv6.nd.rd.target_address icmpv6.rd.na.destination_address icmpv6.nd.ra.cur_hop_limit
  icmpv6.nd.ra.flag.m icmpv6.nd.ra.flag.o icmpv6.nd.ra.router_lifetime icmpv6.nd.ra.reachable_time
  icmpv6.nd.ra.retrans_timer icmpv6.opt.linkaddr icmpv6.opt.mtu icmpv6.opt.prefix icmpv6.opt.prefix.length
  icmpv6.opt.prefix.valid_lifetime icmpv6.opt.prefix.preferred_lifetime icmpv6.opt.prefix.flag.l
  icmpv6.opt.prefix.flag.a icmpv6.opt.rdnss icmpv6.opt.rdnss.lifetime
  udp.srcport udp.dstport udp.length udp.checksum.status
  tcp.srcport tcp.dstport tcp.seq_raw tcp.ack_raw tcp.flags tcp.window_size_value tcp.urgent_pointer tcp.len
  tcp.checksum.status tcp.option_kind tcp.options.mss_val tcp.options.wscale.shift tcp.options.timestamp.tsval
  tcp.options.timestamp.tsecr tcp.options.sack_le tcp.options.sack_re
`
  .trim()
  .split(/\s+/);

type Row = Readonly<Record<string, string>>;

/** What tshark reads from a capture file: one row a frame, the values of a field joined by commas. */
function tsharkRows(file: string): Row[] {
  const plain = decodeAs.flatMap((rule) => ['-d', rule]);
  const settings = preferences.flatMap((preference) => ['-o', preference]);
  const fields = fieldNames.flatMap((name) => ['-e', name]);
  const text = execFileSync('tshark', ['-n', '-r', file, ...plain, ...settings, '-T', 'fields', ...fields], {
    encoding: 'utf8',
    maxBuffer: 64 << 20,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 50_000,
  });
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => {
    const values = line.split('\t');
    for (const name of ['ip.opt.type', 'tcp.option_kind']) {
      // tshark lists the end-of-list option and the padding behind it, which we leave out.
      const i = fieldNames.indexOf(name);
      values[i] = (values[i] ?? '').replace(/(^|,)0(,0)*$/, '');
    }
    return Object.fromEntries(fieldNames.map((name, i) => [name, values[i] ?? '']));
  });
}

/** A classic pcap file: header of 24 octets with link type 1 (Ethernet), then 16 octets before each frame. */
function writePcap(file: string, frames: readonly Uint8Array[]): void {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(65_535, 16);
  header.writeUInt32LE(1, 20);
  const parts = frames.flatMap((frame, i) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(i, 0);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, frame];
  });
  writeFileSync(file, Buffer.concat([header, ...parts]));
}

function readPcap(file: string): Uint8Array[] {
  const bytes = readFileSync(file);
  const frames: Uint8Array[] = [];
  for (let at = 24; at < bytes.length; ) {
    const length = bytes.readUInt32LE(at + 8);
    frames.push(new Uint8Array(bytes.subarray(at + 16, at + 16 + length)));
    at += 16 + length;
  }
  return frames;
}

const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, '0')}`;
const flag = (value: boolean | undefined): string => (value === true ? '1' : '0');

/** tshark: 0 bad, 1 good, 2 unverified, 3 not present. */
const status = (ok: boolean | undefined): string | undefined => (ok === undefined ? undefined : ok ? '1' : '0');

/** What tshark must say, by field. A value stands for the outermost header unless it is a list. */
type Expected = Record<string, string | number | undefined | readonly (string | number | undefined)[]>;

function expectedFields(packet: PacketSummary): Expected {
  return {
    ...linkFields(packet),
    ...ipv4Fields(packet),
    ...ipv6Fields(packet),
    ...icmpFields(packet),
    ...ndpFields(packet.ndp),
    ...portFields(packet),
  };
}

function linkFields({ ethernet, vlan = [], arp }: PacketSummary): Expected {
  const customer = vlan.filter(({ tpid }) => tpid === 0x8100);
  const service = vlan.filter(({ tpid }) => tpid === 0x88a8);
  return {
    'eth.src': ethernet?.source,
    'eth.dst': ethernet?.destination,
    'eth.type': ethernet?.etherType === undefined ? undefined : hex(ethernet.etherType, 4),
    'eth.len': ethernet?.length,
    'vlan.id': customer.map(({ vlanId }) => vlanId),
    'vlan.priority': customer.map(({ priority }) => priority),
    'vlan.dei': customer.map(({ dropEligible }) => flag(dropEligible)),
    'vlan.etype': customer.map(({ etherType }) => hex(etherType, 4)),
    'ieee8021ad.id': service.map(({ vlanId }) => vlanId),
    'ieee8021ad.priority': service.map(({ priority }) => priority),
    'ieee8021ad.dei': service.map(({ dropEligible }) => flag(dropEligible)),
    'arp.opcode': arp?.operation,
    'arp.src.hw_mac': arp?.senderHardwareAddress,
    'arp.src.proto_ipv4': arp?.senderProtocolAddress,
    'arp.dst.hw_mac': arp?.targetHardwareAddress,
    'arp.dst.proto_ipv4': arp?.targetProtocolAddress,
    'arp.isprobe': arp?.purpose === 'probe' ? '1' : undefined,
    'arp.isannouncement': arp?.operation === 1 && arp.purpose === 'announcement' ? '1' : undefined,
  };
}

function ipv4Fields({ ipv4 }: PacketSummary): Expected {
  if (ipv4 === undefined) return {};
  return {
    'ip.src': ipv4.source,
    'ip.dst': ipv4.destination,
    'ip.proto': ipv4.protocol,
    'ip.ttl': ipv4.ttl,
    'ip.dsfield.dscp': ipv4.dscp,
    'ip.dsfield.ecn': ipv4.ecn,
    'ip.id': hex(ipv4.identification, 4),
    'ip.flags.df': flag(ipv4.dontFragment),
    'ip.flags.mf': flag(ipv4.moreFragments),
    'ip.frag_offset': ipv4.fragmentOffset / 8,
    'ip.hdr_len': ipv4.headerLength,
    'ip.len': ipv4.totalLength,
    'ip.checksum.status': status(ipv4.checksumOk),
    'ip.opt.type': ipv4.options ?? [],
  };
}

function ipv6Fields({ ipv6 }: PacketSummary): Expected {
  if (ipv6 === undefined) return {};
  const chain = [...(ipv6.extensions ?? []), ipv6.protocol];
  const nextAfter = (kind: number): number | undefined =>
    chain.indexOf(kind) < 0 ? undefined : chain[chain.indexOf(kind) + 1];
  return {
    'ipv6.src': ipv6.source,
    'ipv6.dst': ipv6.destination,
    'ipv6.nxt': ipv6.nextHeader,
    'ipv6.hlim': ipv6.hopLimit,
    'ipv6.tclass': hex(ipv6.trafficClass, 8),
    'ipv6.flow': hex(ipv6.flowLabel, 6),
    'ipv6.plen': ipv6.payloadLength,
    'ipv6.fraghdr.ident': ipv6.fragment === undefined ? undefined : hex(ipv6.fragment.identification, 8),
    'ipv6.fraghdr.offset': ipv6.fragment === undefined ? undefined : ipv6.fragment.fragmentOffset / 8,
    'ipv6.fraghdr.more': ipv6.fragment === undefined ? undefined : flag(ipv6.fragment.moreFragments),
    'ipv6.hopopts.nxt': nextAfter(0),
    'ipv6.routing.nxt': nextAfter(43),
    'ah.next_header': nextAfter(51),
    'ipv6.dstopts.nxt': nextAfter(60),
  };
}

function icmpFields({ icmpv4, icmpv6 }: PacketSummary): Expected {
  return {
    'icmp.type': icmpv4?.type,
    'icmp.code': icmpv4?.code,
    'icmp.checksum.status': status(icmpv4?.checksumOk),
    'icmp.ident': icmpv4?.identifier,
    'icmp.seq': icmpv4?.sequenceNumber,
    'icmp.mtu': icmpv4?.nextHopMtu,
    'icmp.redir_gw': icmpv4?.gateway,
    'icmpv6.type': icmpv6?.type,
    'icmpv6.code': icmpv6?.code,
    'icmpv6.checksum.status': status(icmpv6?.checksumOk),
    'icmpv6.echo.identifier': icmpv6?.identifier === undefined ? undefined : hex(icmpv6.identifier, 4),
    'icmpv6.echo.sequence_number': icmpv6?.sequenceNumber,
    'icmpv6.mtu': icmpv6?.mtu,
    'icmpv6.pointer': icmpv6?.pointer,
  };
}

function ndpFields(ndp: NdpSummary | undefined): Expected {
  if (ndp === undefined) return {};
  const options = (kind: NdpSummary['options'][number]['kind']) => ndp.options.filter((option) => option.kind === kind);
  const addresses = ndp.options.map(({ address }) => address).filter((address) => address !== undefined);
  const prefixes = options('prefixInformation');
  const isAdvertisement = ndp.kind === 'neighborAdvertisement';
  const isRouter = ndp.kind === 'routerAdvertisement';
  return {
    'icmpv6.nd.ns.target_address': ndp.kind === 'neighborSolicitation' ? ndp.target : undefined,
    'icmpv6.nd.na.target_address': isAdvertisement ? ndp.target : undefined,
    'icmpv6.nd.na.flag.r': isAdvertisement ? flag(ndp.router) : undefined,
    'icmpv6.nd.na.flag.s': isAdvertisement ? flag(ndp.solicited) : undefined,
    'icmpv6.nd.na.flag.o': isAdvertisement ? flag(ndp.override) : undefined,
    'icmpv6.nd.rd.target_address': ndp.kind === 'redirect' ? ndp.target : undefined,
    'icmpv6.rd.na.destination_address': ndp.kind === 'redirect' ? ndp.destination : undefined,
    'icmpv6.nd.ra.cur_hop_limit': ndp.curHopLimit,
    'icmpv6.nd.ra.flag.m': isRouter ? flag(ndp.managed) : undefined,
    'icmpv6.nd.ra.flag.o': isRouter ? flag(ndp.otherConfig) : undefined,
    'icmpv6.nd.ra.router_lifetime': ndp.routerLifetimeSeconds,
    'icmpv6.nd.ra.reachable_time': ndp.reachableTimeMs,
    'icmpv6.nd.ra.retrans_timer': ndp.retransTimerMs,
    'icmpv6.opt.linkaddr': addresses,
    'icmpv6.opt.mtu': options('mtu').map(({ mtu }) => mtu),
    'icmpv6.opt.prefix': prefixes.map(({ prefix }) => prefix?.split('/')[0]),
    'icmpv6.opt.prefix.length': prefixes.map(({ prefix }) => prefix?.split('/')[1]),
    'icmpv6.opt.prefix.valid_lifetime': prefixes.map(({ validLifetimeSeconds }) => validLifetimeSeconds),
    'icmpv6.opt.prefix.preferred_lifetime': prefixes.map(({ preferredLifetimeSeconds }) => preferredLifetimeSeconds),
    'icmpv6.opt.prefix.flag.l': prefixes.map(({ onLink }) => flag(onLink)),
    'icmpv6.opt.prefix.flag.a': prefixes.map(({ autonomous }) => flag(autonomous)),
    'icmpv6.opt.rdnss': options('rdnss').flatMap(({ servers }) => servers),
    'icmpv6.opt.rdnss.lifetime': options('rdnss').map(({ lifetimeSeconds }) => lifetimeSeconds),
  };
}

const udpStatus = { ok: '1', bad: '0', none: '3' } as const;

/** The kinds that have a number of their own in `tcp.option_kind`. */
const tcpKinds = {
  noOperation: 1,
  maximumSegmentSize: 2,
  windowScale: 3,
  sackPermitted: 4,
  sack: 5,
  timestamps: 8,
} as const;

function portFields({ udp, tcp }: PacketSummary): Expected {
  const udpFields: Expected =
    udp === undefined
      ? {}
      : {
          'udp.srcport': udp.sourcePort,
          'udp.dstport': udp.destinationPort,
          'udp.length': udp.length,
          'udp.checksum.status': udp.checksum === undefined ? undefined : udpStatus[udp.checksum],
        };
  if (tcp === undefined) return udpFields;
  const options = (kind: keyof typeof tcpKinds) => tcp.options.filter((option) => option.kind === kind);
  const blocks = options('sack').flatMap((option) => option.blocks ?? []);
  return {
    'tcp.srcport': tcp.sourcePort,
    'tcp.dstport': tcp.destinationPort,
    'tcp.seq_raw': tcp.sequenceNumber,
    'tcp.ack_raw': tcp.acknowledgmentNumber,
    'tcp.flags': hex(tcp.flags, 4),
    'tcp.window_size_value': tcp.window,
    'tcp.urgent_pointer': tcp.urgentPointer,
    'tcp.len': tcp.payloadLength,
    'tcp.checksum.status': status(tcp.checksumOk),
    'tcp.option_kind': tcp.options.map(({ kind, type }) => (kind === 'other' ? type : tcpKinds[kind])),
    'tcp.options.mss_val': options('maximumSegmentSize').map(({ size }) => size),
    'tcp.options.wscale.shift': options('windowScale').map(({ shift }) => shift),
    'tcp.options.timestamp.tsval': options('timestamps').map(({ value }) => value),
    'tcp.options.timestamp.tsecr': options('timestamps').map(({ echoReply }) => echoReply),
    'tcp.options.sack_le': blocks.map(({ left }) => left),
    'tcp.options.sack_re': blocks.map(({ right }) => right),
  };
}

/** The fields of one row in which tshark and we differ, as `field: ours, tshark's`. */
function differences(packet: PacketSummary, row: Row): string[] {
  return Object.entries(expectedFields(packet)).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const said = row[name] ?? '';
    const theirs = Array.isArray(value) ? said : said.split(',')[0];
    const ours = Array.isArray(value) ? value.join(',') : String(value);
    return ours === theirs ? [] : [`${name}: ours ${ours}, tshark's ${theirs}`];
  });
}

/** Layers that tshark sees in a row; a quoted packet inside an ICMP error does not count. */
function layersOf(row: Row): string[] {
  return ['arp.opcode', 'ip.src', 'ipv6.src', 'icmp.type', 'icmpv6.type'].filter((name) => row[name] !== '');
}

function expectAgreement(frames: readonly Uint8Array[], rows: readonly Row[]): void {
  expect(rows.length).toBe(frames.length);
  for (const [i, frame] of frames.entries()) {
    const packet = summarizePacket(frame, 'ethernet');
    const row = rows[i] as Row;
    expect(differences(packet, row), `seed ${seed}, frame ${i + 1}\n${hexdump(frame)}`).toEqual([]);
    for (const layer of layersOf(row)) expect(Object.keys(expectedFields(packet)), layer).toContain(layer);
  }
}

test('tshark reads every generated frame as we do, finds none malformed and every checksum good', () => {
  const random = seededRandom(seed);
  const frames = Array.from({ length: generatedFrames }, () => randomFrame(random));
  const file = join(folder, 'generated.pcap');
  writePcap(file, frames);
  const rows = tsharkRows(file);
  expect(rows.map((row) => row['_ws.malformed'])).toEqual(rows.map(() => ''));
  expectAgreement(frames, rows);
  expect(frames.map((frame) => summarizePacket(frame, 'ethernet').drop)).toEqual(frames.map(() => undefined));
  for (const name of fieldNames) {
    if (name === '_ws.malformed') continue;
    expect(
      rows.some((row) => row[name] !== ''),
      `no frame has ${name}`,
    ).toBe(true);
  }
});

test('tshark and we find the same checksums wrong', () => {
  const random = seededRandom(seed + 1);
  const all = Array.from({ length: 400 }, () => randomFrame(random));
  const frames = all.filter(
    (frame) => frame.length > 60 && (summarizePacket(frame, 'ethernet').payloadLength ?? 0) > 0,
  );
  for (const frame of frames) {
    // The last octet of an unpadded frame with payload: the checksum changes by it, and nothing else.
    const last = frame.length - 1;
    frame[last] = (frame[last] as number) ^ 0x55;
  }
  const file = join(folder, 'wrong.pcap');
  writePcap(file, frames);
  expectAgreement(frames, tsharkRows(file));
  const wrong = frames.filter((frame) => summarizePacket(frame, 'ethernet').drop === 'bad-checksum');
  expect(wrong.length).toBeGreaterThan(100);
});

/**
 * Makes a veth pair between two fresh namespaces and captures what the kernels say to each other over it; by
 * dumpcap, since tcpdump wants to change its user, which a user namespace of one user refuses.
 */
const kernelTalk = `
set -e
unshare --net sleep 50 & peer=$!
for i in $(seq 200); do [ "$(readlink /proc/$peer/ns/net)" = "$(readlink /proc/self/ns/net)" ] || break; sleep 0.01; done
ip link add v0 type veth peer name v1 netns $peer
ip link set v0 up
dumpcap -q -P -i v0 -w "$1" 2>"$1.log" & dump=$!
for i in $(seq 300); do grep -q File: "$1.log" && break; sleep 0.01; done
ip addr add 10.0.0.1/24 dev v0
ip addr add fd00::1/64 dev v0
nsenter -t $peer -n sh -c 'ip addr add 10.0.0.2/24 dev v1; ip addr add fd00::2/64 dev v1; ip link set v1 up'
ping -q -c 3 -i 0.05 -W 5 10.0.0.2
for i in $(seq 60); do ping -q -c 1 -W 1 fd00::2 && break; sleep 0.1; done
ping -q -c 2 -i 0.05 -s 4000 -W 5 10.0.0.2
ping -q -c 2 -i 0.05 -s 4000 -W 5 fd00::2
for address in 10.0.0.2 fd00::2; do
  bash -c "echo hello > /dev/udp/$address/4000" || true
  bash -c "echo hello > /dev/tcp/$address/4000" || true
done
# The last packets stay in the capture ring for a while: wait until a mark has reached the file.
ping -q -c 1 -W 5 -p 656e642e 10.0.0.2
for i in $(seq 500); do grep -q end.end.end "$1" && break; sleep 0.01; done
kill -INT $dump; wait $dump || true
kill $peer
`;

test("tshark and we read the kernel's own packets alike", () => {
  const file = join(folder, 'kernel.pcap');
  const command = [
    '--user',
    '--map-root-user',
    '--net',
    '--pid',
    '--fork',
    '--mount-proc',
    '--kill-child',
    '--',
    'sh',
    '-c',
    kernelTalk,
    'talk',
    file,
  ];
  execFileSync('unshare', command, { stdio: 'ignore', timeout: 45_000 });
  const frames = readPcap(file);
  expectAgreement(frames, tsharkRows(file));
  const packets = frames.map((frame) => summarizePacket(frame, 'ethernet'));
  const seen = {
    arp: packets.some(({ arp }) => arp !== undefined),
    echo4: packets.some(({ icmpv4 }) => icmpv4?.type === 0),
    echo6: packets.some(({ icmpv6 }) => icmpv6?.type === 129),
    solicitation: packets.some(({ ndp }) => ndp?.kind === 'neighborSolicitation'),
    advertisement: packets.some(({ ndp }) => ndp?.kind === 'neighborAdvertisement'),
    listenerReport: packets.some(({ icmpv6, ipv6 }) => icmpv6?.type === 143 && ipv6?.extensions?.[0] === 0),
    fragment4: packets.some(({ ipv4 }) => (ipv4?.fragmentOffset ?? 0) > 0),
    fragment6: packets.some(({ ipv6 }) => (ipv6?.fragment?.fragmentOffset ?? 0) > 0),
    portUnreachable: packets.some(({ icmpv4 }) => icmpv4?.original?.udp?.destinationPort === 4000),
    portUnreachable6: packets.some(({ icmpv6 }) => icmpv6?.original?.udp?.destinationPort === 4000),
    syn: packets.some(({ tcp }) => tcp?.flags === TcpFlag.syn && tcp.options.length >= 4),
  };
  expect(Object.entries(seen).filter(([, wasSeen]) => !wasSeen)).toEqual([]);
  // UDP and TCP over veth carry the checksum of the pseudo header only: the rest is left to the receiver.
  const reasons = packets.filter(({ udp, tcp }) => udp === undefined && tcp === undefined).map(({ drop }) => drop);
  expect(reasons.filter((reason) => reason !== undefined)).toEqual([]);
});
