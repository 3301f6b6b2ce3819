/**
 * The codecs of links, addresses, routes, rules, neighbours and forwarding entries on messages of kernel 6.18, whose meaning
 * `ip -d` confirmed when they were taken.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress } from '../base/index.ts';
import { parseAddress, putNewAddress } from './address.ts';
import { putBridge } from './bridge.ts';
import { Rtm } from './constants.ts';
import { parseEvent } from './event.ts';
import { parseFdbEntry } from './fdb-entry.ts';
import { linkFlags, parseLink, putLinkChange, putLinkSelector } from './link.ts';
import { MessageBuilder, type MessageFault, type NetlinkMessage, splitMessages } from './message.ts';
import { parseNeighbour } from './neighbour.ts';
import { parseRoute, putRoute, type RouteFields } from './route.ts';
import { parseRule } from './rule.ts';

/** A multi-queue TAP device that is up, with nobody attached. Counters numbered, attributes that are not read cut out. */
const tapLink = fromHex(
  'c80100001000000001000000f20b000000000100020000000310000000000000070003007430000008000d00e803000005001000' +
    '020000000800040078050000080032004400000008003300f1ff000008001b000000000008001e000000000008001f0000010000' +
    '080020000001000008002300010000000a00010002000000000100000a000200ffffffffffff0000cc001700e803000000000000' +
    'd0070000000000000300000000010000a00f00000000000088130000000000007017000000000000581b000000000000401f0000' +
    '0000000028230000000000001027000000000000f82a000000000000e02e000000000000c832000000000000b036000000000000' +
    '983a000000000000803e00000000000068420000000000005046000000000000384a000000000000204e00000000000008520000' +
    '00000000f055000000000000d859000000000000c05d000000000000a861000000000000500012000800010074756e0044000200' +
    '05000300020000000800010000000000050004000000000005000500000000000500060001000000050007000100000008000800' +
    '000000000800090000000000070006006d710000140034800f0035006f746865722d6e616d650000',
);

/** `ip addr add 10.0.0.1 peer 10.0.0.2/30 broadcast 10.0.0.3 dev t0` */
const ipv4Address = fromHex(
  '540000001400220001000000807a0000021e800002000000080001000a000002080002000a000001080004000a00000307000300' +
    '74300000080008008000000014000600ffffffffffffffff486f0400486f0400',
);

/** `ip addr add fd00::1/64 nodad valid_lft 1000 preferred_lft 500 dev t0` */
const ipv6Address = fromHex(
  '480000001400220001000000807a00000a4002000200000014000100fd00000000000000000000000000000114000600f4010000' +
    'e8030000486f0400486f04000800080002000000',
);

/** `ip route add 10.9.0.0/16 metric 5 mtu 1300 nexthop via inet6 fd00::9 dev t0 weight 3 onlink nexthop via 10.0.0.2 dev t0` */
const multipathRoute = fromHex(
  '740000001800220001000000807a000002100000fe0300010000000008000f00fe000000080001000a0900000800060005000000' +
    '0c0008000800020014050000340009002000040202000000160012000a00fd000000000000000000000000000009000010001000' +
    '02000000080005000a000002',
);

/** `ip -6 route add default via fd00::2 metric 7 dev t0`, the link without a carrier */
const defaultRoute = fromHex(
  '740000001800220001000000807a00000a000000fe0300011000000008000f00fe000000080006000700000014000500fd000000' +
    '000000000000000000000002080004000200000024000c0000000000000000000000000000000000000000000000000000000000' +
    '000000000500140000000000',
);

/** `ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev t0` */
const permanentNeighbour = fromHex(
  '4c0000001c00020001000000807a0000020000000200000080000001080001000a0000020a000200020000000002000008000400' +
    '000000001400030007000000070000000700000000000000',
);

/** `bridge fdb add 02:00:00:00:00:aa dev p0 master static`; p0 is link 4, its bridge link 2 */
const staticFdbEntry = fromHex(
  '4c0000001c00000000000000000000000700000004000000400000000a0002000200000000aa0000080009000200000008000f0000' +
    '0000001400030000000000000000000000000000000000',
);

/**
 * `ip rule add not priority 103 from 10.1.0.0/24 to 10.2.0.1 iif p0 oif p1 fwmark 0x10/0xff tos 0x10 ipproto udp sport 53
 * dport 1000-2000 uidrange 0-99 table 1000 suppress_prefixlength 0`
 */
const fullRule = fromHex(
  '98000000200000000eb2066b1c59000002201810fc0000010200000008000f00e803000008000e0000000000050015000000000007' +
    '000300703000000700110070310000080006006700000008000a001000000008001000ff0000000c001400000000006300000008' +
    '0017003500350006001c00ffff000008001800e803d0070500160011000000080001000a020001080002000a010000',
);

/** `ip -6 rule add priority 100 from fd01::/64 prohibit protocol static` */
const prohibitRule = fromHex(
  '50000000200000000eb2066b215900000a004000000000080000000008000f000000000008000e00ffffffff05001500040000000800' +
    '06006400000014000200fd010000000000000000000000000000',
);

/** `ip netns set red 7` */
const namespaceId = fromHex('1c000000580000000eb2066b24590000000000000800010007000000');

const all = {
  tapLink,
  ipv4Address,
  ipv6Address,
  multipathRoute,
  defaultRoute,
  permanentNeighbour,
  staticFdbEntry,
  fullRule,
  prohibitRule,
  namespaceId,
};

describe('parseLink', () => {
  it('reads a TAP device with everything that the kernel says of it', () => {
    expect(plain(parseLink(bodyOf(tapLink)))).toEqual({
      index: 2,
      name: 't0',
      altNames: ['other-name'],
      kind: 'tun',
      tun: {
        kind: 'tap',
        owner: 0,
        packetInfo: false,
        vnetHeader: false,
        persist: true,
        multiQueue: true,
        numQueues: 0,
        numDisabledQueues: 0,
      },
      flags: ['NO-CARRIER', 'BROADCAST', 'MULTICAST', 'UP'],
      flagBits: 0x1003,
      isUp: true,
      isRunning: false,
      operState: 'DOWN',
      mtu: 1400,
      minMtu: 68,
      maxMtu: 65521,
      mac: '02:00:00:00:00:01',
      broadcast: 'ff:ff:ff:ff:ff:ff',
      linkType: 'ether',
      linkTypeNumber: 1,
      txQueueLen: 1000,
      promiscuity: 0,
      group: 0,
      qdisc: 'mq',
      carrierChanges: 1,
      numTxQueues: 256,
      numRxQueues: 256,
      statistics: {
        rxPackets: 1000,
        txPackets: 2000,
        rxBytes: 2 ** 40 + 3,
        txBytes: 4000,
        rxErrors: 5000,
        txErrors: 6000,
        rxDropped: 7000,
        txDropped: 8000,
        multicast: 9000,
        collisions: 10000,
        rxLengthErrors: 11000,
        rxOverErrors: 12000,
        rxCrcErrors: 13000,
        rxFrameErrors: 14000,
        rxFifoErrors: 15000,
        rxMissedErrors: 16000,
        txAbortedErrors: 17000,
        txCarrierErrors: 18000,
        txFifoErrors: 19000,
        txHeartbeatErrors: 20000,
        txWindowErrors: 21000,
        rxCompressed: 22000,
        txCompressed: 23000,
        rxNohandler: 24000,
        rxOtherhostDropped: 25000,
      },
    });
  });

  it('leaves out what a bridge says of its ports', () => {
    const body = bodyOf(tapLink).slice();
    body[0] = 7;
    expect(parseLink(body)).toBeUndefined();
  });

  it('does with the fixed part alone', () => {
    const link = parseLink(bodyOf(tapLink).slice(0, 16));
    expect(link).toMatchObject({
      index: 2,
      name: '',
      kind: undefined,
      tun: undefined,
      mac: undefined,
      operState: 'UNKNOWN',
    });
  });

  it('tells where a deleted link moved to', () => {
    const moved = new MessageBuilder(Rtm.DELLINK, 0)
      .fixed(16, (view) => view.setInt32(4, 9, true))
      .u32(45, 3)
      .u32(49, 12);
    expect(parseLink(bodyOf(moved.finish(0)))).toMatchObject({ index: 9, movedTo: { netnsId: 3, index: 12 } });
  });

  it('prints flags in the order of iproute2', () => {
    expect(linkFlags(0x1_0049)).toEqual(['LOOPBACK', 'UP', 'LOWER_UP']);
    expect(linkFlags(0x10d1)).toEqual(['POINTOPOINT', 'MULTICAST', 'NOARP', 'UP']);
    expect(linkFlags(0)).toEqual([]);
  });
});

describe('a request for a link', () => {
  it('selects by index, by name, and by a long alternative name', () => {
    const bytes = (link: string | number): string =>
      hexOf(putLinkSelector(new MessageBuilder(18, 5), link).finish(1)).slice(32);
    expect(bytes(9)).toBe('00000000090000000000000000000000');
    expect(bytes('t0')).toBe('000000000000000000000000000000000700030074300000');
    expect(bytes('sixteen-bytes-16')).toBe(
      `${'00'.repeat(16)}15003500${Buffer.from('sixteen-bytes-16').toString('hex')}00000000`,
    );
  });

  it('changes only the flags that were named', () => {
    const bytes = hexOf(
      putLinkChange(new MessageBuilder(19, 5), 2, { up: false, promisc: true, arp: false }).finish(1),
    );
    // ifi_flags = PROMISC | NOARP, ifi_change = PROMISC | NOARP | UP
    expect(bytes.slice(32)).toBe('00000000 02000000 80010000 81010000'.replaceAll(' ', ''));
  });
});

describe('parseAddress', () => {
  it('reads the address, the peer and the label of an IPv4 address', () => {
    expect(plain(parseAddress(bodyOf(ipv4Address)))).toEqual({
      family: 4,
      linkIndex: 2,
      cidr: '10.0.0.1/30',
      peer: '10.0.0.2',
      broadcast: '10.0.0.3',
      label: 't0',
      scope: 'global',
      flags: ['permanent'],
      flagBits: 0x80,
      validLft: 'forever',
      preferredLft: 'forever',
    });
  });

  it('reads the lifetimes and flags of an IPv6 address', () => {
    expect(plain(parseAddress(bodyOf(ipv6Address)))).toEqual({
      family: 6,
      linkIndex: 2,
      cidr: 'fd00::1/64',
      scope: 'global',
      flags: ['nodad'],
      flagBits: 2,
      validLft: 1000,
      preferredLft: 500,
    });
  });

  it('finds a prefix longer than the address, and one without an address, malformed', () => {
    const long = bodyOf(ipv4Address).slice();
    long[1] = 33;
    expect(parseAddress(long)).toBe('bad-length');
    expect(parseAddress(bodyOf(ipv4Address).slice(0, 8))).toBe('truncated');
  });

  it('reads back what is added', () => {
    const family = fc.constantFrom(4, 16);
    const bytes = (length: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ minLength: length, maxLength: length });
    const any = family.chain((length) =>
      fc.record({
        own: bytes(length),
        peer: bytes(length),
        prefixLen: fc.nat(length * 8),
        index: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
      }),
    );
    fc.assert(
      fc.property(any, ({ own, peer, prefixLen, index }) => {
        const cidr = new Cidr(IpAddress.fromBytes(own), prefixLen);
        const options = { peer: IpAddress.fromBytes(peer), label: 'x', validLftSec: 9, noDad: true, metric: 3 };
        const message = putNewAddress(new MessageBuilder(Rtm.NEWADDR, 0), index, cidr, 253, options);
        expect(plain(parseAddress(bodyOf(message.finish(1))))).toEqual({
          ...(plain({ family: own.length === 4 ? 4 : 6, linkIndex: index, cidr, label: 'x', scope: 'link' }) as object),
          ...(options.peer.equals(cidr.address) ? {} : { peer: options.peer.toString() }),
          flags: ['nodad'],
          flagBits: 2,
          validLft: 9,
          preferredLft: 9,
          metric: 3,
        });
      }),
    );
  });
});

describe('parseRoute', () => {
  it('reads each way of a route with several, gateways of the other family too', () => {
    expect(plain(parseRoute(bodyOf(multipathRoute)))).toEqual({
      family: 4,
      destination: '10.9.0.0/16',
      metric: 5,
      table: 254,
      protocol: 'boot',
      scope: 'global',
      type: 'unicast',
      flags: [],
      mtu: 1300,
      tos: 0,
      nextHops: [
        { via: 'fd00::9', linkIndex: 2, weight: 3, flags: ['onlink'] },
        { via: '10.0.0.2', linkIndex: 2, weight: 1, flags: ['linkdown'] },
      ],
    });
  });

  it('reads a default route', () => {
    expect(plain(parseRoute(bodyOf(defaultRoute)))).toEqual({
      family: 6,
      destination: '::/0',
      via: 'fd00::2',
      linkIndex: 2,
      metric: 7,
      table: 254,
      protocol: 'boot',
      scope: 'global',
      type: 'unicast',
      flags: ['linkdown'],
      tos: 0,
      nextHops: [],
    });
  });

  it.each([0, 7, 8, 0x33, 0xffff])('ends at a next hop that says it has %i bytes', (length) => {
    const body = bodyOf(multipathRoute).slice();
    const at = hexOf(body).indexOf('34000900') / 2 + 4;
    new DataView(body.buffer).setUint16(at, length, true);
    // 8 bytes are a next hop without attributes; what follows is then read as another one.
    expect(typeof parseRoute(body)).toBe('string');
  });

  it('reads back what is added', () => {
    const route: RouteFields = {
      family: 4,
      destination: Cidr.parse('10.7.0.0/16'),
      table: 70_000,
      protocol: 4,
      scope: 253,
      type: 1,
      flags: 4,
      via: IpAddress.parse('fd00::1'),
      linkIndex: 7,
      metric: 11,
      source: IpAddress.parse('10.0.0.1'),
      mtu: 1280,
    };
    const message = putRoute(new MessageBuilder(Rtm.NEWROUTE, 0), route).finish(1);
    expect(plain(parseRoute(bodyOf(message)))).toEqual({
      family: 4,
      destination: '10.7.0.0/16',
      via: 'fd00::1',
      linkIndex: 7,
      metric: 11,
      source: '10.0.0.1',
      table: 70_000,
      protocol: 'static',
      scope: 'link',
      type: 'unicast',
      flags: ['onlink'],
      mtu: 1280,
      tos: 0,
      nextHops: [],
    });
  });
});

describe('parseNeighbour', () => {
  it('reads an entry that was set by hand', () => {
    expect(plain(parseNeighbour(bodyOf(permanentNeighbour)))).toEqual({
      family: 4,
      linkIndex: 2,
      address: '10.0.0.2',
      mac: '02:00:00:00:00:02',
      state: 'PERMANENT',
      flags: [],
    });
  });

  it('leaves out bridge forwarding entries', () => {
    const body = bodyOf(permanentNeighbour).slice();
    body[0] = 7;
    expect(parseNeighbour(body)).toBeUndefined();
  });
});

describe('parseFdbEntry', () => {
  it('reads an entry that was set by hand, and leaves out neighbours', () => {
    expect(plain(parseFdbEntry(bodyOf(staticFdbEntry)))).toEqual({
      mac: '02:00:00:00:00:aa',
      linkIndex: 4,
      master: 2,
      type: 'static',
      flags: [],
    });
    expect(parseFdbEntry(bodyOf(permanentNeighbour))).toBeUndefined();
  });
});

describe('parseRule', () => {
  it('reads a rule with everything that it can ask for', () => {
    expect(plain(parseRule(bodyOf(fullRule)))).toEqual({
      family: 4,
      priority: 103,
      from: '10.1.0.0/24',
      to: '10.2.0.1/32',
      iif: 'p0',
      oif: 'p1',
      fwmark: 16,
      fwmask: 255,
      tos: 16,
      invert: true,
      action: 'table',
      table: 1000,
      suppressPrefixLength: 0,
      ipProtocol: 17,
      sourcePorts: { from: 53, to: 53 },
      destinationPorts: { from: 1000, to: 2000 },
      uids: { from: 0, to: 99 },
      protocol: 'unspec',
    });
  });

  it('reads one that looks in no table', () => {
    expect(plain(parseRule(bodyOf(prohibitRule)))).toEqual({
      family: 6,
      priority: 100,
      from: 'fd01::/64',
      tos: 0,
      invert: false,
      action: 'prohibit',
      table: 0,
      protocol: 'static',
    });
  });
});

describe('settings of bridges', () => {
  it('are read back as they were written', () => {
    const settings = {
      stp: true,
      ageingTimeSec: 60.25,
      forwardDelaySec: 4,
      helloTimeSec: 1,
      maxAgeSec: 8,
      priority: 4096,
      vlanFiltering: true,
      vlanDefaultPvid: 7,
      multicastSnooping: false,
      groupForwardMask: 8,
    };
    const { body } = messageOf(putBridge(putLinkSelector(new MessageBuilder(Rtm.NEWLINK, 0), 3), settings).finish(1));
    const link = parseLink(body);
    expect(typeof link === 'object' ? link.bridge : link).toMatchObject(settings);
  });
});

describe('any message', () => {
  it('cut at any length is whole in itself or a fault, and never an exception', () => {
    for (const bytes of Object.values(all)) {
      const { type, flags, sequence, portId, body } = messageOf(bytes);
      for (let length = 0; length < body.length; length++) {
        const event = parseEvent({ type, flags, sequence, portId, body: body.slice(0, length) });
        if (length < fixedLenOf(type)) expect(event).toBe('truncated');
        if (typeof event === 'string') expect(faults).toContain(event);
      }
      expect(typeof parseEvent(messageOf(bytes))).toBe('object');
    }
  });

  it('with any bytes changed neither throws nor hangs', () => {
    const change = fc.tuple(fc.nat(2000), fc.nat(255));
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.values(all)),
        fc.array(change, { minLength: 1, maxLength: 8 }),
        (bytes, changes) => {
          const mutated = bytes.slice();
          for (const [at, value] of changes) mutated[at % mutated.length] = value;
          for (const message of splitMessages(mutated).messages) {
            const event = parseEvent(message);
            if (typeof event === 'string') expect(faults).toContain(event);
          }
        },
      ),
      { numRuns: 20_000 },
    );
  });

  it('of a type that is not of interest gives no event', () => {
    expect(parseEvent({ ...messageOf(tapLink), type: 99 })).toBeUndefined();
  });
});

const faults: readonly MessageFault[] = ['truncated', 'bad-length', 'length-past-end'];

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function messageOf(bytes: Uint8Array): NetlinkMessage {
  const { messages, fault } = splitMessages(bytes);
  expect([messages.length, fault]).toEqual([1, undefined]);
  return messages[0] as NetlinkMessage;
}

function bodyOf(bytes: Uint8Array): Uint8Array {
  return messageOf(bytes).body;
}

function fixedLenOf(type: number): number {
  if (type >= Rtm.NEWNSID) return 1;
  if (type < Rtm.NEWADDR) return 16;
  return type < Rtm.NEWROUTE ? 8 : 12;
}

/** Addresses as text, and what is undefined left out. */
function plain(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
