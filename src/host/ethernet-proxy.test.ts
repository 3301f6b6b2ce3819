import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress, MacAddress, seededRandom } from '../base/index.ts';
import { createLinkPair, type PacketLink } from '../link/index.ts';
import {
  arpRequestFrame,
  createVirtualClock,
  echoRequest,
  ethernetFrame,
  type MacText,
  ndpPacket,
  udpPacket,
  type VirtualClock,
} from '../testing/index.ts';
import { EtherType, emitArp, type PacketSummary, summarizePacket } from '../wire/index.ts';
import { EthernetProxy, type EthernetProxyOptions, proxyLink } from './index.ts';

const HOST = { mac: '02:00:00:00:00:11', ipv4: '10.0.0.1', ipv6: 'fd00::1', linkLocal: 'fe80::11' };
const OWN_MAC = '02:76:0a:00:00:02';

function proxyFor(options: Partial<EthernetProxyOptions> = {}): EthernetProxy {
  const proxied = ['10.0.0.2', 'fd00::2'].map((text) => Cidr.parse(text));
  return new EthernetProxy({ proxied, ...options });
}

/** Takes the frames out of the outbox. */
function said(proxy: EthernetProxy): PacketSummary[] {
  const frames = [...proxy.outbox].map((frame) => summarizePacket(frame.slice(), 'ethernet'));
  proxy.outbox.clear();
  return frames;
}

function sends(proxy: EthernetProxy, packet: Uint8Array, nowMs: number): PacketSummary[] {
  proxy.send(packet, 0, packet.length, nowMs);
  return said(proxy);
}

/** Hands over a frame behind some other bytes; gives the IP packet that is for the other side. */
function receives(proxy: EthernetProxy, frame: Uint8Array, nowMs = 0): Uint8Array {
  const bytes = Uint8Array.of(9, 9, 9, ...frame);
  const length = proxy.receive(bytes, 3, frame.length, nowMs);
  return bytes.slice(17, 17 + length);
}

function arpReplyFrame(address: string, mac: MacText = HOST.mac): Uint8Array {
  const payload = new Uint8Array(28);
  const hardware = MacAddress.parse(String(mac));
  const fields = {
    operation: 2,
    senderHardwareAddress: hardware,
    senderProtocolAddress: IpAddress.parse(address),
    targetHardwareAddress: MacAddress.parse(OWN_MAC),
    targetProtocolAddress: IpAddress.parse('10.0.0.2'),
  };
  emitArp(fields, payload, 0);
  return ethernetFrame({ source: hardware, destination: OWN_MAC, etherType: EtherType.arp }, payload);
}

function advertisementFrame(
  target: string,
  options: { mac?: string; override?: boolean; solicited?: boolean } = {},
): Uint8Array {
  const { mac = HOST.mac, override = true, solicited = true } = options;
  const packet = ndpPacket(
    { source: target, destination: solicited ? 'fd00::2' : 'ff02::1' },
    {
      kind: 'neighborAdvertisement',
      target: IpAddress.parse(target),
      router: false,
      solicited,
      override,
      options: [{ kind: 'targetLinkLayerAddress', address: MacAddress.parse(mac) }],
    },
  );
  return ethernetFrame({ source: mac, destination: OWN_MAC }, packet);
}

const ping4 = echoRequest({ source: '10.0.0.2', destination: HOST.ipv4 });
const ping6 = echoRequest({ source: 'fd00::2', destination: HOST.ipv6 });

describe('a proxy answers on the segment', () => {
  it('ARP requests and probes for what is behind it, and no others', () => {
    const proxy = proxyFor();
    expect(proxy.mac.toString()).toBe(OWN_MAC);
    expect(receives(proxy, arpRequestFrame({ mac: HOST.mac, address: HOST.ipv4 }, '10.0.0.2'))).toHaveLength(0);
    expect(said(proxy)).toMatchObject([
      {
        ethernet: { source: OWN_MAC, destination: HOST.mac },
        arp: {
          operation: 2,
          senderHardwareAddress: OWN_MAC,
          senderProtocolAddress: '10.0.0.2',
          targetHardwareAddress: HOST.mac,
          targetProtocolAddress: HOST.ipv4,
        },
      },
    ]);
    receives(proxy, arpRequestFrame({ mac: HOST.mac, address: '0.0.0.0' }, '10.0.0.2'));
    expect(said(proxy)).toHaveLength(1);
    receives(proxy, arpRequestFrame({ mac: HOST.mac, address: HOST.ipv4 }, '10.0.0.3'));
    expect(said(proxy)).toEqual([]);
    // Another has the address.
    receives(proxy, arpRequestFrame({ mac: HOST.mac, address: '10.0.0.2' }, '10.0.0.2'));
    expect(said(proxy)).toEqual([]);
    expect(proxy.counters).toMatchObject({
      arpReplies: 2,
      dropped: { 'address-conflict': 1, 'neighbour-discovery': 1 },
    });
  });

  it('for whole prefixes', () => {
    const proxy = proxyFor({ proxied: [Cidr.parse('10.7.0.0/16')] });
    receives(proxy, arpRequestFrame({ mac: HOST.mac, address: HOST.ipv4 }, '10.7.200.1'));
    expect(said(proxy)).toMatchObject([{ arp: { senderProtocolAddress: '10.7.200.1' } }]);
  });

  it('solicitations, those of duplicate address detection too', () => {
    const proxy = proxyFor();
    const target = IpAddress.parse('fd00::2');
    const asked = (source: string, destination: string, station: string): Uint8Array => {
      const options =
        source === '::' ? [] : [{ kind: 'sourceLinkLayerAddress', address: MacAddress.parse(HOST.mac) } as const];
      const packet = ndpPacket({ source, destination }, { kind: 'neighborSolicitation', target, options });
      return ethernetFrame({ source: HOST.mac, destination: station }, packet);
    };
    expect(receives(proxy, asked(HOST.ipv6, 'ff02::1:ff00:2', '33:33:ff:00:00:02'))).toHaveLength(0);
    expect(said(proxy)).toMatchObject([
      {
        ethernet: { source: OWN_MAC, destination: HOST.mac },
        ipv6: { source: 'fd00::2', destination: HOST.ipv6, hopLimit: 255 },
        ndp: { kind: 'neighborAdvertisement', solicited: true, override: false },
      },
    ]);
    receives(proxy, asked('::', 'ff02::1:ff00:2', '33:33:ff:00:00:02'));
    expect(said(proxy)).toMatchObject([
      {
        ethernet: { destination: '33:33:00:00:00:01' },
        ipv6: { destination: 'ff02::1' },
        ndp: { kind: 'neighborAdvertisement', solicited: false },
      },
    ]);
    // Routed here, or damaged: RFC 4861 section 7.1.1.
    const routed = ndpPacket(
      { source: HOST.ipv6, destination: 'fd00::2' },
      { kind: 'neighborSolicitation', target, options: [] },
      64,
    );
    receives(proxy, ethernetFrame({ source: HOST.mac, destination: OWN_MAC }, routed));
    const damaged = asked(HOST.ipv6, 'fd00::2', OWN_MAC);
    damaged[damaged.length - 1] = 0x77;
    receives(proxy, damaged);
    expect(said(proxy)).toEqual([]);
    expect(proxy.counters.dropped['neighbour-discovery']).toBe(2);
  });

  it('link-local addresses that packets from behind it have, and its own', () => {
    const proxy = proxyFor();
    const target = IpAddress.parse('fe80::abcd');
    const ask = (of: IpAddress): PacketSummary[] => {
      const packet = ndpPacket(
        { source: HOST.linkLocal, destination: of },
        { kind: 'neighborSolicitation', target: of, options: [] },
      );
      receives(proxy, ethernetFrame({ source: HOST.mac, destination: OWN_MAC }, packet));
      return said(proxy);
    };
    expect(ask(target)).toEqual([]);
    const hello = udpPacket({
      source: 'fe80::abcd',
      destination: 'ff02::1234:5678',
      sourcePort: 1,
      destinationPort: 2,
      payload: new Uint8Array(3),
    });
    expect(sends(proxy, hello, 0)).toMatchObject([{ ethernet: { destination: '33:33:12:34:56:78' } }]);
    expect(ask(target)).toHaveLength(1);
    expect(ask(IpAddress.parse('fe80::76:aff:fe00:2'))).toHaveLength(1);
  });

  it('nothing that comes from itself, is for another, or makes no sense', () => {
    const proxy = proxyFor();
    const frames: readonly (readonly [reason: string, frame: Uint8Array])[] = [
      ['truncated', new Uint8Array(13)],
      ['bad-source', ethernetFrame({ source: OWN_MAC, destination: OWN_MAC }, ping4)],
      ['bad-source', ethernetFrame({ source: '01:00:00:00:00:01', destination: OWN_MAC }, ping4)],
      ['not-for-us', ethernetFrame({ source: HOST.mac, destination: '02:00:00:00:00:77' }, ping4)],
      ['other-protocol', ethernetFrame({ source: HOST.mac, destination: OWN_MAC, etherType: 0x8100 }, ping4)],
      ['bad-version', ethernetFrame({ source: HOST.mac, destination: OWN_MAC, etherType: 0x0800 }, ping6)],
      ['bad-version', ethernetFrame({ source: HOST.mac, destination: OWN_MAC, etherType: 0x86dd }, ping4)],
      ['truncated', ethernetFrame({ source: HOST.mac, destination: OWN_MAC }, ping4.subarray(0, 19))],
      ['truncated', ethernetFrame({ source: HOST.mac, destination: OWN_MAC }, ping4.subarray(0, 30))],
      ['truncated', ethernetFrame({ source: HOST.mac, destination: OWN_MAC }, ping6.subarray(0, 50))],
      ['neighbour-discovery', ethernetFrame({ source: HOST.mac, destination: OWN_MAC, etherType: 0x0806 }, ping4)],
    ];
    for (const [reason, frame] of frames) {
      const before = { ...proxy.counters.dropped };
      expect(receives(proxy, frame), reason).toHaveLength(0);
      expect(proxy.counters.dropped).toEqual({
        ...before,
        [reason]: ((before as Record<string, number>)[reason] ?? 0) + 1,
      });
    }
    expect(said(proxy)).toEqual([]);
  });

  it('and announces single addresses', () => {
    const proxy = proxyFor();
    proxy.announce();
    expect(said(proxy)).toMatchObject([
      {
        ethernet: { destination: 'ff:ff:ff:ff:ff:ff' },
        arp: { senderProtocolAddress: '10.0.0.2', targetProtocolAddress: '10.0.0.2' },
      },
      { ethernet: { destination: '33:33:00:00:00:01' }, ndp: { kind: 'neighborAdvertisement', override: false } },
    ]);
  });
});

describe('packets from the segment', () => {
  it('lose their header and what padded them', () => {
    const proxy = proxyFor();
    const short = udpPacket({
      source: HOST.ipv4,
      destination: '10.0.0.2',
      sourcePort: 1,
      destinationPort: 2,
      payload: Uint8Array.of(5),
    });
    const padded = new Uint8Array(60).fill(0xee);
    padded.set(ethernetFrame({ source: HOST.mac, destination: OWN_MAC }, short));
    expect(receives(proxy, padded)).toEqual(short);
    expect(receives(proxy, ethernetFrame({ source: HOST.mac, destination: '33:33:00:00:00:01' }, ping6))).toEqual(
      ping6,
    );
    const router = ndpPacket(
      { source: HOST.linkLocal, destination: 'ff02::1' },
      {
        kind: 'routerAdvertisement',
        curHopLimit: 64,
        managed: false,
        otherConfig: false,
        routerLifetimeSeconds: 1800,
        reachableTimeMs: 0,
        retransTimerMs: 0,
        options: [],
      },
    );
    expect(receives(proxy, ethernetFrame({ source: HOST.mac, destination: '33:33:00:00:00:01' }, router))).toEqual(
      router,
    );
    expect(proxy.counters.packetsReceived).toBe(3);
  });
});

describe.each([
  ['IPv4', ping4, HOST.ipv4, 'ff:ff:ff:ff:ff:ff', () => arpReplyFrame(HOST.ipv4)],
  ['IPv6', ping6, HOST.ipv6, '33:33:ff:00:00:01', () => advertisementFrame(HOST.ipv6)],
] as const)('a packet for the segment, %s', (_family, ping, target, group, answer) => {
  const askedFor = (frames: readonly PacketSummary[]): (string | undefined)[] =>
    frames.map(({ arp, ndp }) => arp?.targetProtocolAddress ?? (ndp as { target?: string } | undefined)?.target);

  it('waits until its next hop has answered', () => {
    const proxy = proxyFor();
    const asked = sends(proxy, ping, 0);
    expect(askedFor(asked)).toEqual([target]);
    expect(asked[0]?.ethernet?.destination).toBe(group);
    expect(sends(proxy, ping, 1)).toEqual([]);
    receives(proxy, answer(), 10);
    expect(said(proxy).map(({ ethernet }) => ethernet?.destination)).toEqual([HOST.mac, HOST.mac]);
    expect(sends(proxy, ping, 20)).toMatchObject([{ ethernet: { source: OWN_MAC, destination: HOST.mac } }]);
    expect(proxy.nextWakeupMs === undefined || proxy.nextWakeupMs >= 1000).toBe(true);
    proxy.poll(2000);
    expect([said(proxy), proxy.nextWakeupMs]).toEqual([[], undefined]);
  });

  it('is lost when nobody answers three requests, a second apart', () => {
    const proxy = proxyFor();
    for (let i = 0; i < 10; i++) sends(proxy, ping, i);
    // Eight wait.
    expect(proxy.counters.dropped.unresolved).toBe(2);
    for (const nowMs of [999, 1000, 1500, 2000]) proxy.poll(nowMs);
    expect(askedFor(said(proxy))).toEqual([target, target]);
    proxy.poll(3000);
    expect(proxy.counters.dropped.unresolved).toBe(10);
    expect([said(proxy), proxy.nextWakeupMs]).toEqual([[], undefined]);
    // The next one has it asked for again.
    expect(askedFor(sends(proxy, ping, 4000))).toEqual([target]);
  });

  it('has a next hop that was silent for long asked at its address, and used meanwhile', () => {
    const proxy = proxyFor();
    sends(proxy, ping, 0);
    receives(proxy, answer(), 0);
    said(proxy);
    expect(sends(proxy, ping, 30_000)).toHaveLength(1);
    const probed = sends(proxy, ping, 30_001);
    expect(askedFor(probed)).toEqual([target, undefined]);
    expect(probed.map(({ ethernet }) => ethernet?.destination)).toEqual([HOST.mac, HOST.mac]);
    receives(proxy, answer(), 30_100);
    expect([sends(proxy, ping, 40_000).length, sends(proxy, ping, 60_200).length]).toEqual([1, 2]);
    // No answer any more: everybody is asked, and what comes now waits.
    for (const nowMs of [61_200, 62_200, 63_200]) proxy.poll(nowMs);
    expect(said(proxy).map(({ ethernet }) => ethernet?.destination)).toEqual([HOST.mac, HOST.mac, group]);
    expect(sends(proxy, ping, 63_300)).toEqual([]);
    receives(proxy, answer(), 63_400);
    expect(said(proxy)).toHaveLength(1);
  });
});

describe('the next hop', () => {
  it('is the gateway for what is off-link, and the destination for the rest', () => {
    const proxy = proxyFor({
      onLink: [Cidr.parse('10.0.0.0/24'), Cidr.parse('fd00::/64')],
      gateways: [IpAddress.parse('10.0.0.254'), IpAddress.parse('fe80::1')],
    });
    const hop = (source: string, destination: string): string | undefined => {
      const [frame] = sends(proxy, echoRequest({ source, destination }), 0);
      return frame?.arp?.targetProtocolAddress ?? (frame?.ndp as { target?: string } | undefined)?.target;
    };
    expect(hop('10.0.0.2', '10.0.0.7')).toBe('10.0.0.7');
    expect(hop('10.0.0.2', '192.0.2.1')).toBe('10.0.0.254');
    expect(hop('fd00::2', 'fd00::7')).toBe('fd00::7');
    expect(hop('fd00::2', '2001:db8::1')).toBe('fe80::1');
    expect(hop('fe80::5', 'fe80::6')).toBe('fe80::6');
  });

  it('is asked for with an address that the answer can go to', () => {
    const proxy = proxyFor({ proxied: [Cidr.parse('10.8.0.0/16')] });
    const asking = (source: string, destination: string): PacketSummary | undefined =>
      sends(proxy, echoRequest({ source, destination }), 0)[0];
    expect(asking('10.8.3.3', '10.0.0.5')?.arp?.senderProtocolAddress).toBe('10.8.3.3');
    expect(asking('192.0.2.9', '10.0.0.6')?.arp?.senderProtocolAddress).toBe('0.0.0.0');
    expect(asking('2001:db8::9', 'fd00::6')?.ipv6?.source).toBe('fe80::76:aff:fe08:0');
  });

  it('of groups and broadcasts needs no question', () => {
    const proxy = proxyFor({ onLink: [Cidr.parse('10.0.0.0/24')] });
    const station = (destination: string): string | undefined =>
      sends(
        proxy,
        udpPacket({ source: '10.0.0.2', destination, sourcePort: 1, destinationPort: 2, payload: ping4 }),
        0,
      )[0]?.ethernet?.destination;
    expect(station('224.129.2.3')).toBe('01:00:5e:01:02:03');
    expect(station('255.255.255.255')).toBe('ff:ff:ff:ff:ff:ff');
    expect(station('10.0.0.255')).toBe('ff:ff:ff:ff:ff:ff');
  });

  it('is not replaced by an advertisement without the override flag, nor by one that nobody asked for', () => {
    const proxy = proxyFor();
    const station = (): string | undefined => sends(proxy, ping6, 5)[0]?.ethernet?.destination;
    receives(proxy, advertisementFrame('fd00::1'), 0);
    expect(sends(proxy, ping6, 0)[0]?.ndp?.kind).toBe('neighborSolicitation');
    receives(proxy, advertisementFrame('fd00::1'), 1);
    said(proxy);
    receives(proxy, advertisementFrame('fd00::1', { mac: '02:00:00:00:00:66', override: false }), 2);
    expect(station()).toBe(HOST.mac);
    receives(proxy, advertisementFrame('fd00::1', { mac: '02:00:00:00:00:66', solicited: false }), 3);
    expect(station()).toBe('02:00:00:00:00:66');
  });
});

describe('the memory of a proxy', () => {
  it('is bounded when somebody scans the segment', () => {
    const proxy = proxyFor({ neighbours: 100 });
    const random = seededRandom(3);
    for (let i = 0; i < 5000; i++) {
      const destination = `10.${Math.floor(random() * 256)}.${Math.floor(random() * 256)}.1`;
      sends(proxy, echoRequest({ source: '10.0.0.2', destination }), i);
      receives(proxy, arpRequestFrame({ mac: HOST.mac, address: `10.1.${i >> 8}.${i & 255}` }, '10.0.0.2'), i);
      said(proxy);
    }
    // At most 64 are asked for at a time, with a packet each.
    expect(proxy.counters.dropped.unresolved).toBeGreaterThanOrEqual(5000 - 100);
    // A host that is in use meanwhile stays known.
    receives(proxy, arpRequestFrame({ mac: HOST.mac, address: HOST.ipv4 }, '10.0.0.2'), 5000);
    said(proxy);
    for (let i = 0; i < 300; i++) {
      receives(proxy, arpRequestFrame({ mac: HOST.mac, address: `10.2.${i >> 8}.${i & 255}` }, '10.0.0.2'), 5001 + i);
      said(proxy);
      expect(sends(proxy, ping4, 5001 + i)).toHaveLength(1);
    }
    for (let nowMs = 6000; proxy.nextWakeupMs !== undefined; nowMs += 1000) proxy.poll(nowMs);
  });

  it('says so when its outbox is full', () => {
    const proxy = proxyFor();
    receives(proxy, arpRequestFrame({ mac: HOST.mac, address: HOST.ipv4 }, '10.0.0.2'));
    for (let i = 0; i < 300; i++) proxy.send(ping4, 0, ping4.length, 0);
    expect(proxy.outbox.count).toBe(256);
    expect(proxy.counters.dropped['outbox-full']).toBe(45);
  });

  it('survives garbage', () => {
    const proxy = proxyFor();
    const random = seededRandom(5);
    const seeds = [ping4, ping6, arpReplyFrame(HOST.ipv4), advertisementFrame(HOST.ipv6)];
    for (let i = 0; i < 20_000; i++) {
      const bytes = (seeds[i % seeds.length] as Uint8Array).slice();
      for (let n = 0; n < 3; n++) bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256);
      const length = Math.floor(random() * (bytes.length + 1));
      if (length > 0) proxy.send(bytes, 0, length, i);
      expect(proxy.receive(bytes, 0, length, i)).toBeLessThanOrEqual(Math.max(0, length - 14));
      proxy.poll(i);
      proxy.outbox.clear();
    }
  });

  it.each([
    { proxied: [] },
    { neighbours: 0 },
    { mac: MacAddress.parse('01:00:00:00:00:01') },
    { gateways: ['10.0.0.1', '10.0.0.3'].map((text) => IpAddress.parse(text)) },
  ])('is not made of %o', (options) => {
    expect(() => proxyFor(options)).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });
});

describe('an IP link on a segment', () => {
  const nextTurn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

  function onSegment(): { clock: VirtualClock; segment: PacketLink; inside: PacketLink; frames: Uint8Array[] } {
    const clock = createVirtualClock();
    const [link, inside] = createLinkPair({ medium: 'ip', capacityPackets: 4 });
    const segment = proxyLink(link, proxyFor(), clock);
    const frames: Uint8Array[] = [];
    segment.onBatch((batch) => void frames.push(...[...batch].map((frame) => frame.slice())));
    return { clock, segment, inside, frames };
  }

  it('announces itself, asks, and asks again in time', async () => {
    const { clock, segment, inside, frames } = onSegment();
    clock.advance(0);
    expect(frames.splice(0)).toHaveLength(2);
    inside.write(ping4);
    await expect.poll(() => frames.splice(0).length, { timeout: 10_000 }).toBe(1);
    clock.advance(1000);
    clock.advance(0);
    expect(frames.splice(0)).toHaveLength(1);
    segment.write(arpReplyFrame(HOST.ipv4));
    clock.advance(0);
    expect(frames.splice(0).map((frame) => frame.subarray(14))).toEqual([ping4]);
    await segment.close();
    expect([clock.pendingTimers, inside.closed]).toEqual([0, false]);
    await nextTurn();
    expect(() => inside.write(ping4)).toThrow(expect.objectContaining({ code: 'VNIC_DEVICE_GONE' }));
  });

  it('has the back-pressure of the IP link, and loses nothing of it', async () => {
    const { clock, segment, inside } = onSegment();
    const frame = ethernetFrame({ source: HOST.mac, destination: OWN_MAC }, ping4);
    let taken = 0;
    while (segment.write(frame) === 1) taken++;
    expect(taken).toBeGreaterThanOrEqual(4);
    expect(segment.counters.packetsWritten).toBe(4);
    let read = 0;
    const room = segment.writable();
    while (read < taken) {
      read += (await inside.read())?.count ?? 0;
      await nextTurn();
      clock.advance(0);
    }
    await room;
    expect(segment.counters.packetsWritten).toBe(taken);
    expect(segment.write(new Uint8Array(70_000))).toBe(1);
    expect(segment.counters.writeDropped['too-long']).toBe(1);
    await segment.close();
  });

  it('is refused for a link that is Ethernet already', () => {
    const [link] = createLinkPair({ medium: 'ethernet' });
    const made = (): PacketLink => proxyLink(link, proxyFor(), createVirtualClock());
    expect(made).toThrow(expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }));
  });
});
