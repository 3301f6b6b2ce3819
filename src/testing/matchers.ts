/** Checks of packets that a program under test has sent. They throw an `AssertionError` that says what is wrong. */

import assert from 'node:assert/strict';

import {
  ethernetHeaderLen,
  type Icmpv4Echo,
  type Icmpv6Echo,
  IpProtocol,
  Ipv4View,
  Ipv6View,
  isDropReason,
  parseIcmpv4,
  parseIcmpv6,
} from '../wire/index.ts';

/** An echo message with what its IP header says. */
export interface EchoSeen {
  readonly echo: Icmpv4Echo | Icmpv6Echo;
  readonly source: string;
  readonly destination: string;
  /** TTL or hop limit. */
  readonly hopLimit: number;
}

/** The echo message in an unfragmented IP packet without extension headers; all checksums must be right. */
export function expectEcho(packet: Uint8Array): EchoSeen {
  const ipv4 = (packet[0] as number) >> 4 === 4;
  const ip = ipv4 ? Ipv4View.from(packet) : Ipv6View.from(packet);
  if (isDropReason(ip)) assert.fail(`not an IP packet: ${ip}`);
  assert.equal(ip.end, packet.length, 'length of the IP packet');
  const { source, destination } = ip;
  const body = packet.subarray(ip.payloadOffset, ip.end);
  if (ip instanceof Ipv4View) assert.ok(ip.checksumOk, 'IPv4 header checksum');
  const protocol = ip instanceof Ipv4View ? ip.protocol : ip.nextHeader;
  assert.equal(protocol, ipv4 ? IpProtocol.icmpv4 : IpProtocol.icmpv6, 'protocol');
  const icmp = ipv4 ? parseIcmpv4(body) : parseIcmpv6(body, { source, destination });
  if (isDropReason(icmp)) assert.fail(`not an ICMP message: ${icmp}`);
  if (icmp.kind !== 'echoRequest' && icmp.kind !== 'echoReply') assert.fail(`an echo message, not ${icmp.kind}`);
  const hopLimit = ip instanceof Ipv4View ? ip.ttl : ip.hopLimit;
  return { echo: icmp, source: source.toString(), destination: destination.toString(), hopLimit };
}

/** Fails unless `reply` answers `request`: ends exchanged, same identifier, number and data, right checksums. */
export function expectEchoReply(request: Uint8Array, reply: Uint8Array): EchoSeen {
  const asked = expectEcho(request);
  const got = expectEcho(reply);
  assert.equal(got.echo.kind, 'echoReply');
  assert.deepEqual([got.source, got.destination], [asked.destination, asked.source], 'addresses');
  assert.equal(got.echo.identifier, asked.echo.identifier, 'identifier');
  assert.equal(got.echo.sequenceNumber, asked.echo.sequenceNumber, 'sequence number');
  assert.ok(Buffer.compare(got.echo.data, asked.echo.data) === 0, 'data');
  return got;
}

/** Puts a packet together from its fragments, in any order; fails where they do not fit exactly. */
export function joinFragments(fragments: readonly Uint8Array[]): Uint8Array {
  const parts = fragments.map(readFragment).sort((a, b) => a.from - b.from);
  let end = 0;
  for (const [i, part] of parts.entries()) {
    assert.equal(part.from, end, 'fragments follow each other without gap or overlap');
    assert.equal(part.more, i < parts.length - 1, 'only the last fragment says that it is the last');
    assert.equal(part.identification, parts[0]?.identification, 'all fragments have one identification');
    end += part.data.length;
  }
  const first = fragments[0];
  if (first === undefined) assert.fail('there are fragments');
  const header = (first[0] as number) >> 4 === 4 ? ipv4HeaderOf(first, end) : ipv6HeaderOf(first, end);
  return new Uint8Array(Buffer.concat([header, ...parts.map(({ data }) => data)]));
}

/** The IP packet in an Ethernet frame. */
export function packetOf(frame: Uint8Array): Uint8Array {
  return frame.subarray(ethernetHeaderLen);
}

interface Part {
  readonly from: number;
  readonly more: boolean;
  readonly identification: number;
  readonly data: Uint8Array;
}

function readFragment(packet: Uint8Array): Part {
  const view = (packet[0] as number) >> 4 === 4 ? Ipv4View.from(packet) : Ipv6View.from(packet);
  if (isDropReason(view)) assert.fail(`not an IP packet: ${view}`);
  const data = packet.subarray(view.payloadOffset, view.end);
  if (view instanceof Ipv4View) {
    assert.ok(view.checksumOk, 'IPv4 header checksum');
    const { fragmentOffset: from, moreFragments: more, identification } = view;
    return { from, more, identification, data };
  }
  assert.equal(view.nextHeader, IpProtocol.fragment, 'a fragment header');
  const header = new DataView(data.buffer, data.byteOffset, 8);
  const field = header.getUint16(2);
  return { from: field & 0xfff8, more: (field & 1) === 1, identification: header.getUint32(4), data: data.subarray(8) };
}

function ipv4HeaderOf(fragment: Uint8Array, payloadLen: number): Uint8Array {
  const header = fragment.slice(0, 20);
  new DataView(header.buffer).setUint16(2, 20 + payloadLen);
  header.fill(0, 6, 8);
  const view = new Ipv4View();
  view.wrapQuoted(header, 0, 20);
  view.updateChecksum();
  return header;
}

function ipv6HeaderOf(fragment: Uint8Array, payloadLen: number): Uint8Array {
  const header = fragment.slice(0, 40);
  new DataView(header.buffer).setUint16(4, payloadLen);
  header[6] = fragment[40] as number;
  return header;
}
