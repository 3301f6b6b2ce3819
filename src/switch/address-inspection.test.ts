import { describe, expect, it } from 'vitest';

import { seededRandom } from '../base/index.ts';
import { AddressInspection, type AddressInspectionOptions } from './address-inspection.ts';

const SERVER = 9;
const hex = (text: string): number[] => (text.match(/[0-9a-f]{2}/g) ?? []).map((one) => Number(`0x${one}`));
const u16 = (value: number): number[] => [value >> 8, value & 0xff];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value & 0xffff)];
const station = (number: number): number[] => [2, 0, 0, 0, 0, number];
const text = (number: number): string => `02:00:00:00:00:0${number}`;

function udp4(from: number[], to: number[], [source, destination]: [number, number], payload: number[]): Uint8Array {
  const ip = [0x45, 0, ...u16(28 + payload.length), 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255];
  return Uint8Array.of(
    ...to,
    ...from,
    8,
    0,
    ...ip,
    ...u16(source),
    ...u16(destination),
    ...u16(8 + payload.length),
    0,
    0,
    ...payload,
  );
}

interface Dhcp {
  readonly op: 1 | 2;
  readonly type: number;
  readonly of: number;
  readonly address?: number[];
  readonly lease?: number;
}

/** A message of BOOTP with its options. */
function dhcp({ op, type, of, address = [0, 0, 0, 0], lease }: Dhcp): number[] {
  const ciaddr = op === 1 ? address : [0, 0, 0, 0];
  const yiaddr = op === 2 ? address : [0, 0, 0, 0];
  const head = [
    op,
    1,
    6,
    0,
    ...u32(7),
    0,
    0,
    0,
    0,
    ...ciaddr,
    ...yiaddr,
    ...u32(0),
    ...u32(0),
    ...station(of),
    ...Array(10).fill(0),
  ];
  const options = [53, 1, type, ...(lease === undefined ? [] : [51, 4, ...u32(lease)]), 255];
  return [...head, ...Array(192).fill(0), ...hex('63825363'), ...options];
}

const broadcast = Array<number>(6).fill(255);
const request = (of: number, type = 3, address?: number[], from = of): Uint8Array =>
  udp4(station(from), broadcast, [68, 67], dhcp({ op: 1, type, of, ...(address && { address }) }));
const ack = (of: number, address: number[], lease?: number): Uint8Array =>
  udp4(station(8), station(of), [67, 68], dhcp({ op: 2, type: 5, of, address, ...(lease !== undefined && { lease }) }));

function arp(from: number, address: number[], sender = from): Uint8Array {
  return Uint8Array.of(
    ...broadcast,
    ...station(from),
    8,
    6,
    0,
    1,
    8,
    0,
    6,
    4,
    0,
    2,
    ...station(sender),
    ...address,
    ...Array(10).fill(0),
  );
}

function ipv6(
  from: number,
  next: number,
  payload: number[],
  source = hex(`fe8000000000000000000000000000 0${from}`),
): Uint8Array {
  const head = [
    0x60,
    0,
    0,
    0,
    ...u16(payload.length),
    next,
    255,
    ...source,
    ...hex('ff020000000000000000000000010002'),
  ];
  return Uint8Array.of(0x33, 0x33, 0, 1, 0, 2, ...station(from), 0x86, 0xdd, ...head, ...payload);
}

const address6 = hex('20010db8000000000000000000000007');
/** A message of DHCPv6 with an association of one address. */
function dhcp6(type: number, lease: number): number[] {
  const address = [...u16(5), ...u16(24), ...address6, ...u32(lease), ...u32(lease)];
  return [
    type,
    0,
    0,
    7,
    ...u16(1),
    ...u16(2),
    0,
    0,
    ...u16(3),
    ...u16(12 + address.length),
    ...u32(1),
    ...u32(0),
    ...u32(0),
    ...address,
  ];
}
const udp6 = (ports: [number, number], payload: number[]): number[] => [
  ...u16(ports[0]),
  ...u16(ports[1]),
  ...u16(8 + payload.length),
  0,
  0,
  ...payload,
];

class Lab {
  readonly under: AddressInspection;

  constructor(options: AddressInspectionOptions = { arp: true }) {
    this.under = new AddressInspection(options);
  }

  send(port: number, frame: Uint8Array, nowMs = 0, vlan = 0): string | undefined {
    return this.under.inspect(port, port === SERVER ? 'trusted' : 'untrusted', vlan, frame, 0, 14, frame.length, nowMs);
  }
}

describe('AddressInspection', () => {
  it('binds what a trusted server leases to the port that has asked', () => {
    const lab = new Lab();
    expect(lab.send(1, request(1))).toBeUndefined();
    expect(lab.send(SERVER, ack(1, [10, 0, 0, 7], 60))).toBeUndefined();
    expect(lab.under.bindings(0)).toEqual([{ vlan: 0, mac: text(1), address: '10.0.0.7', port: 1, expiresMs: 60_000 }]);
    expect(lab.send(1, arp(1, [10, 0, 0, 7]))).toBeUndefined();
    expect(lab.send(2, arp(2, [10, 0, 0, 7]))).toBe('arp-inspection');
    expect(lab.send(2, arp(1, [10, 0, 0, 7]))).toBe('arp-inspection');
    expect(lab.send(1, arp(1, [10, 0, 0, 7], 5))).toBe('arp-inspection');
    expect(lab.send(1, arp(1, [10, 0, 0, 8]))).toBe('arp-inspection');
    expect(lab.send(1, arp(1, [0, 0, 0, 0]))).toBeUndefined();
    expect(lab.send(1, arp(1, [10, 0, 0, 7]), 0, 5)).toBe('arp-inspection');
    expect(lab.send(SERVER, arp(8, [10, 0, 0, 1]))).toBeUndefined();
    expect(lab.send(1, arp(1, [10, 0, 0, 7]), 60_000)).toBe('arp-inspection');
    expect(lab.under.bindings(60_000)).toEqual([]);
  });

  it('lets nobody else be a server, or speak for another station', () => {
    const lab = new Lab();
    expect(lab.send(1, ack(2, [10, 0, 0, 7], 60))).toBe('dhcp-server');
    expect(lab.send(1, request(2, 3, undefined, 1))).toBe('dhcp-source');
    expect(lab.send(1, ipv6(1, 17, udp6([547, 546], dhcp6(7, 60))))).toBe('dhcp-server');
    expect(lab.under.bindings(0)).toEqual([]);
  });

  it('takes back what its owner gives back, and from nobody else', () => {
    const lab = new Lab();
    lab.send(1, request(1));
    lab.send(SERVER, ack(1, [10, 0, 0, 7], 60));
    expect(lab.send(2, request(2, 7, [10, 0, 0, 7]))).toBe('dhcp-source');
    expect(lab.under.bindings(0)).toHaveLength(1);
    expect(lab.send(1, request(1, 7, [10, 0, 0, 7]))).toBeUndefined();
    expect(lab.under.bindings(0)).toEqual([]);
  });

  it('binds IPv6 addresses, and lets nobody else speak for them', () => {
    const lab = new Lab();
    const client = ipv6(1, 17, udp6([546, 547], [3, 0, 0, 7]));
    expect(lab.send(1, client)).toBeUndefined();
    const reply = ipv6(8, 17, udp6([547, 546], dhcp6(7, 60)));
    reply.set(station(1), 0);
    expect(lab.send(SERVER, reply)).toBeUndefined();
    expect(lab.under.bindings(0)).toMatchObject([{ mac: text(1), address: '2001:db8::7', port: 1, expiresMs: 60_000 }]);
    const advertisement = (from: number): Uint8Array => ipv6(from, 58, [136, 0, 0, 0, 0, 0, 0, 0, ...address6]);
    expect(lab.send(1, advertisement(1))).toBeUndefined();
    expect(lab.send(2, advertisement(2))).toBe('nd-inspection');
    expect(lab.send(2, ipv6(2, 58, [135, 0, 0, 0, 0, 0, 0, 0, ...hex('fe80'.padEnd(32, '0'))], address6))).toBe(
      'nd-inspection',
    );
    // One that nobody has leased is somebody's own.
    expect(lab.send(2, ipv6(2, 58, [136, 0, 0, 0, 0, 0, 0, 0, ...hex('fe80'.padEnd(32, '0'))]))).toBeUndefined();
    lab.under.removePort(1);
    expect(lab.send(2, advertisement(2))).toBeUndefined();
  });

  it('lets routers speak where they are expected, whatever stands before it', () => {
    const lab = new Lab({});
    const advertisement = [134, 0, 0, 0, ...Array<number>(12).fill(0)];
    expect(lab.send(1, ipv6(1, 58, advertisement))).toBe('router-advertisement');
    expect(lab.send(1, ipv6(1, 0, [60, 0, 1, 4, 0, 0, 0, 0, 58, 0, 1, 4, 0, 0, 0, 0, ...advertisement]))).toBe(
      'router-advertisement',
    );
    expect(lab.send(SERVER, ipv6(1, 58, advertisement))).toBeUndefined();
    expect(lab.send(1, ipv6(1, 58, [128, ...Array<number>(20).fill(0)]))).toBeUndefined();
    expect(lab.send(1, arp(1, [10, 0, 0, 7]))).toBeUndefined();
  });

  it('knows what is set by hand', () => {
    const lab = new Lab();
    expect(lab.under.bind(0, text(3), '10.0.0.3', 3)).toBe(true);
    expect(lab.send(3, arp(3, [10, 0, 0, 3]), 1e12)).toBeUndefined();
  });

  it('is bounded: who comes too late is not bound, until a lease has ended', () => {
    const lab = new Lab({ capacity: 3, arp: true });
    for (let i = 1; i <= 5; i++) {
      lab.send(i, request(i));
      lab.send(SERVER, ack(i, [10, 0, 0, i], 60));
    }
    expect(lab.under.bindings(0).map(({ address }) => address)).toEqual(['10.0.0.1', '10.0.0.2', '10.0.0.3']);
    expect(lab.under.refused).toBe(2);
    lab.send(5, request(5), 61_000);
    lab.send(SERVER, ack(5, [10, 0, 0, 5], 60), 61_000);
    expect(lab.under.bindings(61_000).map(({ address }) => address)).toEqual(['10.0.0.5']);
  });

  it('takes no harm from messages that are cut short or bent', () => {
    const random = seededRandom(5);
    const lab = new Lab();
    const reply = ipv6(8, 17, udp6([547, 546], dhcp6(7, 60)));
    const whole = [
      request(1),
      ack(1, [10, 0, 0, 7], 60),
      arp(1, [10, 0, 0, 7]),
      reply,
      ipv6(1, 58, [136, 0, 0, 0, ...address6]),
    ];
    for (const frame of whole) {
      for (let length = 15; length < frame.length; length++) {
        lab.send(SERVER, frame.subarray(0, length));
        lab.send(1, frame.subarray(0, length));
      }
      for (let i = 0; i < 2000; i++) {
        const bent = frame.slice();
        bent[14 + Math.floor(random() * (bent.length - 14))] = Math.floor(random() * 256);
        lab.send(i % 2 === 0 ? SERVER : 1, bent);
      }
    }
    expect(lab.under.bindings(0).length).toBeLessThanOrEqual(4096);
  });
});
