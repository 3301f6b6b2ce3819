import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress, MacAddress } from '../base/index.ts';
import { PacketBatch } from '../link/index.ts';
import { arpRequestFrame, echoRequest, ethernetFrame, expectEchoReply, ndpPacket, packetOf } from '../testing/index.ts';
import { type emitArp, type NdpFields, parseArp, parseEthernet, parseIpv6, parseNdp } from '../wire/index.ts';
import { createResponder, type HostDropReason, type Responder, type ResponderOptions } from './index.ts';

const mac = '02:76:6e:69:63:01';
const kernel = { mac: '02:00:00:00:00:99', address: '10.0.0.1' };

function responderFor(options: Partial<ResponderOptions> = {}): Responder {
  return createResponder({
    medium: 'ethernet',
    answer: [Cidr.parse('10.0.0.0/24'), Cidr.parse('fd00::/64')],
    except: [IpAddress.parse('10.0.0.1'), IpAddress.parse('fd00::1')],
    ...options,
  });
}

function answersTo(responder: Responder, packet: Uint8Array): Uint8Array[] {
  const batch = new PacketBatch();
  batch.append(packet);
  responder.handle(batch, 0);
  const answers = [...batch, ...responder.outbox].map((answer) => answer.slice());
  responder.outbox.clear();
  return answers;
}

function expectDropped(responder: Responder, packet: Uint8Array, reason: HostDropReason): void {
  expect(answersTo(responder, packet), reason).toEqual([]);
  expect(responder.counters.dropped[reason], reason).toBe(1);
}

describe('ARP', () => {
  it('tells the MAC of an answered address to the station that asks', () => {
    const [reply] = answersTo(responderFor(), arpRequestFrame(kernel, '10.0.0.2')) as [Uint8Array];
    expect(parseEthernet(reply)).toMatchObject({
      destination: MacAddress.parse(kernel.mac),
      source: MacAddress.parse(mac),
    });
    expect(JSON.parse(JSON.stringify(parseArp(packetOf(reply))))).toEqual({
      operation: 2,
      senderHardwareAddress: mac,
      senderProtocolAddress: '10.0.0.2',
      targetHardwareAddress: kernel.mac,
      targetProtocolAddress: '10.0.0.1',
    });
    expect(reply.length).toBe(42);
  });

  it('answers a probe, so that duplicate address detection sees the conflict', () => {
    const [reply] = answersTo(responderFor(), arpRequestFrame({ ...kernel, address: '0.0.0.0' }, '10.0.0.2')) as [
      Uint8Array,
    ];
    expect(JSON.parse(JSON.stringify(parseArp(packetOf(reply))))).toMatchObject({
      senderProtocolAddress: '10.0.0.2',
      targetProtocolAddress: '0.0.0.0',
      targetHardwareAddress: kernel.mac,
    });
  });

  it('does not answer a probe for an address of the kernel', () => {
    expectDropped(responderFor(), arpRequestFrame({ ...kernel, address: '0.0.0.0' }, '10.0.0.1'), 'not-for-us');
  });

  it.each(['10.0.0.1', '10.0.1.2', '10.0.0.255', '10.0.0.0', '224.0.0.1'])('is silent about %s', (target) => {
    expectDropped(responderFor(), arpRequestFrame(kernel, target), 'not-for-us');
  });

  it('does not answer announcements, and counts one of an answered address as a conflict', () => {
    expectDropped(responderFor(), arpRequestFrame(kernel, '10.0.0.1'), 'not-for-us');
    expectDropped(responderFor(), arpRequestFrame({ ...kernel, address: '10.0.0.5' }, '10.0.0.5'), 'address-conflict');
  });

  it.each(['127.0.0.1', '224.0.0.1', '255.255.255.255', '10.0.0.255'])('does not answer the sender %s', (address) => {
    expectDropped(responderFor(), arpRequestFrame({ ...kernel, address }, '10.0.0.2'), 'bad-source');
  });

  it('does not answer a sender with a multicast or zero MAC', () => {
    const frame = arpRequestFrame(kernel, '10.0.0.2');
    frame[22] = 0x03;
    expectDropped(responderFor(), frame, 'bad-source');
    frame.fill(0, 22, 28);
    expectDropped(responderFor(), frame, 'bad-source');
    expectDropped(responderFor(), arpRequestFrame({ ...kernel, mac: 'ff:ff:ff:ff:ff:ff' }, '10.0.0.2'), 'bad-source');
  });

  it('does not answer replies, other operations, and other address lengths or types', () => {
    const changed = (at: number, value: number): Uint8Array => {
      const frame = arpRequestFrame(kernel, '10.0.0.2');
      frame[14 + at] = value;
      return frame;
    };
    expectDropped(responderFor(), changed(7, 2), 'not-echo');
    expectDropped(responderFor(), changed(7, 8), 'not-echo');
    expectDropped(responderFor(), changed(4, 8), 'bad-address-length');
    expectDropped(responderFor(), changed(5, 16), 'bad-address-length');
    expectDropped(responderFor(), changed(1, 6), 'bad-hardware-type');
    expectDropped(responderFor(), changed(2, 9), 'bad-protocol-type');
    expectDropped(responderFor(), arpRequestFrame(kernel, '10.0.0.2').subarray(0, 41), 'truncated');
  });

  it('answers a request sent to the MAC itself, and none sent to another', () => {
    const frame = arpRequestFrame(kernel, '10.0.0.2');
    frame.set(MacAddress.parse(mac).bytes, 0);
    expect(answersTo(responderFor(), frame).length).toBe(1);
    const foreign = arpRequestFrame(kernel, '10.0.0.2');
    foreign.set(MacAddress.parse('02:00:00:00:00:77').bytes, 0);
    expectDropped(responderFor(), foreign, 'not-for-us');
  });

  it('cuts the padding of the request off', () => {
    const padded = Buffer.concat([arpRequestFrame(kernel, '10.0.0.2'), Buffer.alloc(18, 0xaa)]);
    expect(answersTo(responderFor(), padded)[0]?.length).toBe(42);
  });

  it('is neither delayed nor lost', () => {
    const responder = responderFor({ delayMs: 100, loss: 1, random: () => 0 });
    expect(answersTo(responder, arpRequestFrame(kernel, '10.0.0.2')).length).toBe(1);
  });

  it('gives every address a MAC of its own when told to, and echo wants that MAC', () => {
    const responder = responderFor({ perAddressMacs: true });
    const [reply] = answersTo(responder, arpRequestFrame(kernel, '10.0.0.77')) as [Uint8Array];
    const told = parseArp(packetOf(reply)) as ReturnType<typeof arpOf>;
    expect(told.senderHardwareAddress.toString()).toBe('02:76:0a:00:00:4d');
    const request = echoRequest({ source: '10.0.0.1', destination: '10.0.0.77' });
    const stations = { source: kernel.mac, destination: told.senderHardwareAddress };
    const [echo] = answersTo(responder, ethernetFrame(stations, request)) as [Uint8Array];
    expectEchoReply(request, packetOf(echo));
    const [big] = answersTo(responder, ethernetFrame({ ...stations, destination: mac }, request));
    expect(big).toBeUndefined();
  });
});

const solicit = (target: string): NdpFields => ({
  kind: 'neighborSolicitation',
  target: IpAddress.parse(target),
  options: [{ kind: 'sourceLinkLayerAddress', address: MacAddress.parse(kernel.mac) }],
});
const group = 'ff02::1:ff00:2';
const groupStations = { source: kernel.mac, destination: '33:33:ff:00:00:02' };
const ends = { source: 'fd00::1', destination: group };

function solicitationFrame(fields = solicit('fd00::2'), from = ends, hopLimit = 255): Uint8Array {
  return ethernetFrame(groupStations, ndpPacket(from, fields, hopLimit));
}

describe('neighbour discovery', () => {
  it('advertises the MAC of an answered address to the station that solicits', () => {
    const [reply] = answersTo(responderFor(), solicitationFrame()) as [Uint8Array];
    expect(String((parseEthernet(reply) as { destination: MacAddress }).destination)).toBe(kernel.mac);
    const { fields, ip } = advertisementIn(packetOf(reply));
    expect(ip).toMatchObject({ hopLimit: 255, source: 'fd00::2', destination: 'fd00::1' });
    expect(fields).toEqual({
      kind: 'neighborAdvertisement',
      target: 'fd00::2',
      router: false,
      solicited: true,
      override: true,
      options: [{ kind: 'targetLinkLayerAddress', address: mac }],
    });
  });

  it('answers duplicate address detection to all nodes, unsolicited', () => {
    const probe: NdpFields = { kind: 'neighborSolicitation', target: IpAddress.parse('fd00::2'), options: [] };
    const [reply] = answersTo(responderFor(), solicitationFrame(probe, { ...ends, source: '::' })) as [Uint8Array];
    expect(String((parseEthernet(reply) as { destination: MacAddress }).destination)).toBe('33:33:00:00:00:01');
    const { fields, ip } = advertisementIn(packetOf(reply));
    expect(ip).toMatchObject({ source: 'fd00::2', destination: 'ff02::1', hopLimit: 255 });
    expect(fields).toMatchObject({ solicited: false, override: true, target: 'fd00::2' });
  });

  it('answers a solicitation sent to the address itself (reachability)', () => {
    const packet = ndpPacket({ source: 'fd00::1', destination: 'fd00::2' }, solicit('fd00::2'));
    const frame = ethernetFrame({ source: kernel.mac, destination: mac }, packet);
    expect(answersTo(responderFor(), frame).length).toBe(1);
  });

  it('answers without link-layer address where the link has none', () => {
    const [reply] = answersTo(responderFor({ medium: 'ip' }), ndpPacket(ends, solicit('fd00::2'))) as [Uint8Array];
    expect(advertisementIn(reply).fields).toMatchObject({ options: [] });
  });

  it.each(['fd00::1', 'fd00:0:0:1::2', 'fe80::2'])('is silent about %s', (target) => {
    expectDropped(responderFor(), solicitationFrame(solicit(target)), 'not-for-us');
  });

  it('ignores solicitations from off the link, with a code, or a wrong checksum', () => {
    expectDropped(responderFor(), solicitationFrame(solicit('fd00::2'), ends, 254), 'bad-hop-limit');
    const wrong = solicitationFrame();
    wrong[wrong.length - 1] = (wrong.at(-1) as number) ^ 1;
    expectDropped(responderFor(), wrong, 'bad-checksum');
  });

  it('ends at an option of length 0', () => {
    const options: NdpFields['options'] = [{ kind: 'other', type: 200, data: new Uint8Array(6) }];
    const frame = solicitationFrame({ ...solicit('fd00::2'), options } as NdpFields);
    const at = 14 + 40 + 24 + 1;
    frame[at] = 0;
    const checksumAt = 14 + 40 + 2;
    // One octet less in the low half of a word: the checksum grows by it.
    frame[checksumAt + 1] = (frame[checksumAt + 1] as number) + 1;
    expectDropped(responderFor(), frame, 'bad-option');
  });

  it('ignores multicast targets, probes with a source option and probes to a unicast address', () => {
    expectDropped(responderFor(), solicitationFrame(solicit('ff02::2')), 'bad-address');
    expectDropped(responderFor(), solicitationFrame(solicit('fd00::2'), { ...ends, source: '::' }), 'bad-option');
    const probe: NdpFields = { kind: 'neighborSolicitation', target: IpAddress.parse('fd00::2'), options: [] };
    const unicast = { source: '::', destination: 'fd00::2' };
    expectDropped(responderFor(), solicitationFrame(probe, unicast), 'bad-address');
  });

  it('counts who else claims an answered address as a conflict', () => {
    const claim = {
      ...solicit('fd00::2'),
      kind: 'neighborAdvertisement',
      router: false,
      solicited: false,
      override: true,
    };
    const fields = { ...claim, options: [] } as NdpFields;
    expectDropped(
      responderFor(),
      solicitationFrame(fields, { source: 'fd00::2', destination: 'ff02::1' }),
      'address-conflict',
    );
    expectDropped(
      responderFor(),
      solicitationFrame(solicit('fd00::3'), { ...ends, source: 'fd00::5', destination: 'ff02::1:ff00:3' }),
      'address-conflict',
    );
  });

  it('answers no router solicitation', () => {
    const frame = solicitationFrame(
      { kind: 'routerSolicitation', options: [] },
      { source: 'fe80::1', destination: 'ff02::2' },
    );
    expectDropped(responderFor(), frame, 'not-echo');
  });

  it('gives every address a MAC of its own when told to, and echo wants that MAC', () => {
    const responder = responderFor({ perAddressMacs: true });
    const macOf = (target: string): string => {
      const destination = `ff02::1:ff00:${target.at(-1)}`;
      const [reply] = answersTo(responder, solicitationFrame(solicit(target), { ...ends, destination })) as [
        Uint8Array,
      ];
      return String((parseEthernet(reply) as { source: MacAddress }).source);
    };
    expect(macOf('fd00::2')).not.toBe(macOf('fd00::3'));
    const request = echoRequest({ source: 'fd00::1', destination: 'fd00::3' });
    const frame = ethernetFrame({ source: kernel.mac, destination: macOf('fd00::3') }, request);
    const [reply] = answersTo(responder, frame) as [Uint8Array];
    expectEchoReply(request, packetOf(reply));
  });
});

function advertisementIn(packet: Uint8Array): { ip: Record<string, unknown>; fields: Record<string, unknown> } {
  const ip = parseIpv6(packet);
  if (typeof ip === 'string') return expect.unreachable(ip);
  const fields = parseNdp(packet.subarray(40), ip);
  if (typeof fields === 'string') return expect.unreachable(fields);
  return JSON.parse(JSON.stringify({ ip, fields }));
}

function arpOf(fields: Parameters<typeof emitArp>[0]): typeof fields {
  return fields;
}
