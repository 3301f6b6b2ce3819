import { describe, expect, it } from 'vitest';

import { emitIgmpQuery, igmpQueryLen, internetChecksum } from '../wire/index.ts';
import { groupOf, writeQuery } from './multicast-frames.ts';
import { MulticastSnooping, type MulticastSnoopingOptions } from './multicast-snooping.ts';

const own = Uint8Array.of(2, 0, 0, 0, 0, 9);
const group = Uint8Array.of(239, 1, 2, 3);
const querier = {
  mac: own,
  ipv4: Uint8Array.of(10, 0, 0, 9),
  ipv6: Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9),
};

/** An IPv4 frame to a group. */
function frameTo(
  address: Uint8Array,
  protocol: number,
  payload: Uint8Array,
  source = [10, 0, 0, 1],
  ttl = 1,
): Uint8Array {
  const [, b = 0, c = 0, d = 0] = address;
  const total = 20 + payload.length;
  const ip = Uint8Array.of(0x45, 0, 0, total, 0, 0, 0, 0, ttl, protocol, 0, 0, ...source, ...address);
  const sum = internetChecksum(ip, 0, 20);
  ip[10] = sum >> 8;
  ip[11] = sum & 0xff;
  return Uint8Array.of(1, 0, 0x5e, b & 0x7f, c, d, 2, 0, 0, 0, 0, 1, 8, 0, ...ip, ...payload);
}

function igmp(type: number, to: Uint8Array, address: Uint8Array): Uint8Array {
  const message = Uint8Array.of(type, 0, 0, 0, ...address);
  const sum = internetChecksum(message, 0, 8);
  message[2] = sum >> 8;
  message[3] = sum & 0xff;
  return frameTo(to, 2, message);
}

const join = igmp(0x16, group, group);
const leave = igmp(0x17, Uint8Array.of(224, 0, 0, 2), group);
const data = frameTo(group, 17, new Uint8Array(20), [10, 0, 0, 1], 8);

function queryFrom(source: number[], asked?: Uint8Array): Uint8Array {
  const message = new Uint8Array(igmpQueryLen);
  emitIgmpQuery({ group: asked, maxResponseMs: 1000 }, message, 0);
  return frameTo(Uint8Array.of(224, 0, 0, 1), 2, message, source);
}

class Lab {
  readonly sent: { readonly vlan: number; readonly port: number | 'all'; readonly frame: Uint8Array }[] = [];
  readonly under: MulticastSnooping;

  constructor(options: Partial<MulticastSnoopingOptions> = {}) {
    const transmit: MulticastSnoopingOptions['transmit'] = (vlan, port, frame) => this.sent.push({ vlan, port, frame });
    this.under = new MulticastSnooping({ ...options, transmit }, 0);
  }

  /** The ports that a frame leaves by. */
  send(port: number, frame: Uint8Array, nowMs: number, vlan = 0): number[] | 'all' {
    const set = this.under.select(port, vlan, frame, 0, 14, frame.length, nowMs);
    return set === undefined ? 'all' : [...set].toSorted((a, b) => a - b);
  }

  /** Lets time go on, with every wake-up. */
  until(nowMs: number): void {
    for (let at = this.under.nextWakeupMs; at <= nowMs; at = this.under.nextWakeupMs) this.under.advance(at);
  }
}

describe('MulticastSnooping', () => {
  it('sends a group to who has asked for it, and reports to routers alone', () => {
    const lab = new Lab();
    expect(lab.send(0, data, 0)).toBe('all');
    expect(lab.send(7, queryFrom([10, 0, 0, 254]), 0)).toBe('all');
    expect(lab.send(0, data, 0)).toEqual([7]);
    expect(lab.send(1, join, 0)).toEqual([7]);
    expect(lab.send(2, join, 0)).toEqual([7]);
    expect(lab.send(0, data, 1)).toEqual([1, 2, 7]);
    expect(lab.send(0, data, 1, 5)).toBe('all');
    expect(lab.under.groups(1)).toEqual([{ vlan: 0, mac: Uint8Array.of(1, 0, 0x5e, 1, 2, 3), ports: [1, 2] }]);
    expect(lab.under.routers(0, 1)).toEqual([7]);
  });

  it('forgets who is silent, at the time', () => {
    const lab = new Lab();
    lab.send(1, join, 0);
    lab.send(2, join, 100_000);
    lab.until(259_999);
    expect(lab.send(0, data, 259_999)).toEqual([1, 2]);
    expect(lab.send(0, data, 260_000)).toEqual([2]);
    lab.until(400_000);
    expect(lab.under.groups(400_000)).toEqual([]);
    expect(lab.under.nextWakeupMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('asks who else is there when somebody leaves, and believes one who leaves fast', () => {
    const lab = new Lab({ querier });
    lab.until(0);
    lab.send(1, join, 0);
    lab.send(2, join, 0);
    lab.sent.length = 0;
    lab.send(1, leave, 1000);
    expect(lab.sent.map(({ port }) => port)).toEqual([1]);
    expect(lab.sent[0]?.frame.subarray(30, 34)).toEqual(group);
    expect(lab.send(0, data, 2000)).toEqual([1, 2]);
    // One is still there.
    lab.send(1, join, 2500);
    expect(lab.send(0, data, 9000)).toEqual([1, 2]);
    lab.send(1, leave, 10_000);
    expect(lab.send(0, data, 12_000)).toEqual([2]);
    lab.under.setFastLeave(2, 'fast');
    lab.send(2, leave, 12_000);
    expect(lab.under.groups(12_000).flatMap(({ ports }) => ports)).toEqual([]);
  });

  it('is the querier until somebody with a lower address is', () => {
    const lab = new Lab({ querier: { ...querier, vlans: [0, 10] } });
    lab.until(0);
    expect(lab.sent.map(({ vlan, frame }) => `${vlan} ${frame[0]}`)).toEqual(['0 1', '0 51', '10 1', '10 51']);
    const first = lab.sent[0]?.frame as Uint8Array;
    expect(groupOf(first, 14, first.length)).toMatchObject({ family: 4 });
    lab.until(31_250);
    expect(lab.sent).toHaveLength(8);
    expect(lab.send(0, data, 40_000)).toEqual([]);
    lab.send(3, queryFrom([10, 0, 0, 200]), 40_000);
    lab.until(160_000);
    expect(lab.sent).toHaveLength(12);
    lab.send(3, queryFrom([10, 0, 0, 1]), 160_001);
    lab.until(290_000);
    // Of IPv4 in VLAN 0 somebody else asks.
    expect(lab.sent.slice(12).map(({ vlan, frame }) => `${vlan} ${frame[0]}`)).toEqual(['0 51', '10 1', '10 51']);
    lab.until(540_000);
    expect(lab.sent.slice(-4).map(({ vlan, frame }) => `${vlan} ${frame[0]}`)).toEqual([
      '0 1',
      '0 51',
      '10 1',
      '10 51',
    ]);
  });

  it('takes 0.0.0.0 for no router, and the ports that are said to be for some', () => {
    const lab = new Lab();
    lab.send(7, queryFrom([0, 0, 0, 0]), 0);
    lab.under.setRouter(4, 'router');
    expect(lab.send(1, join, 0)).toEqual([4]);
    lab.under.removePort(4);
    expect(lab.send(1, join, 0)).toEqual([]);
  });

  it('lets everything through after a change of the topology, until it has asked again', () => {
    const lab = new Lab({ querier });
    lab.until(40_000);
    lab.send(1, join, 40_000);
    expect(lab.send(0, data, 40_000)).toEqual([1]);
    lab.sent.length = 0;
    lab.under.topologyChanged(41_000);
    expect(lab.send(0, data, 41_000)).toBe('all');
    lab.until(41_000);
    expect(lab.sent).toHaveLength(2);
  });

  it('never touches what is of this link alone', () => {
    const lab = new Lab({ querier });
    lab.until(60_000);
    expect(lab.send(0, frameTo(Uint8Array.of(224, 0, 0, 251), 17, new Uint8Array(20)), 60_000)).toBe('all');
    expect(lab.send(0, Uint8Array.of(...new Uint8Array(6).fill(255), ...data.subarray(6)), 60_000)).toBe('all');
    lab.send(1, igmp(0x16, Uint8Array.of(224, 0, 0, 251), Uint8Array.of(224, 0, 0, 251)), 60_000);
    expect(lab.under.groups(60_000)).toEqual([]);
  });

  it('looks at IPv6 as well', () => {
    const lab = new Lab();
    const general = writeQuery(querier, 6, undefined, 1000) as Uint8Array;
    expect(lab.send(7, general, 0)).toBe('all');
    const wanted = Uint8Array.of(0x33, 0x33, 0, 0, 0xab, 0xcd, ...general.subarray(6, 14), 0x60, ...new Uint8Array(60));
    expect(lab.send(0, wanted, 0)).toEqual([7]);
    expect(lab.send(0, data, 0)).toBe('all');
  });

  it('is bounded, and counts what is wrong', () => {
    const lab = new Lab({ capacity: 100 });
    for (let i = 0; i < 300; i++) {
      const address = Uint8Array.of(239, 5, i >> 8, i & 0xff);
      lab.send(1, igmp(0x16, address, address), 0);
    }
    expect(lab.under.groups(0)).toHaveLength(100);
    const bent = join.slice();
    bent[40] = 9;
    lab.send(1, bent, 0);
    const far = join.slice();
    far[22] = 64;
    lab.send(1, far, 0);
    const short = join.slice();
    short[17] = 200;
    lab.send(1, short, 0);
    for (let length = 15; length < join.length; length++) {
      lab.under.select(1, 0, join.subarray(0, length), 0, 14, length, 0);
    }
    expect(lab.under.dropped).toMatchObject({ full: 200, 'bad-checksum': 1, 'bad-hop-limit': 1, truncated: 9 });
  });
});
