import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress, MacAddress } from '../base/index.ts';
import {
  DROP_ACCESS,
  DROP_MALFORMED,
  DROP_NO_CLIENT,
  DROP_SOURCE,
  EthernetFabric,
  IpFabric,
  TO_ALL,
  TO_DEVICE,
} from './fabric.ts';

const networks = (...texts: string[]): Cidr[] => texts.map((text) => Cidr.parse(text));

function ipPacket(source: string, destination: string): Uint8Array {
  const [from, to] = [IpAddress.parse(source), IpAddress.parse(destination)];
  const packet = new Uint8Array(from.family === 4 ? 20 : 40);
  packet[0] = from.family === 4 ? 0x45 : 0x60;
  packet.set(from.bytes, from.family === 4 ? 12 : 8);
  packet.set(to.bytes, from.family === 4 ? 16 : 24);
  return packet;
}

function frame(source: string, destination: string): Uint8Array {
  const bytes = new Uint8Array(60);
  bytes.set(MacAddress.parse(destination).bytes);
  bytes.set(MacAddress.parse(source).bytes, 6);
  return bytes;
}

describe('IpFabric', () => {
  const fabric = new IpFabric();
  fabric.attach(0, { networks: networks('10.9.0.2/32', 'fd09::2/128', '192.168.7.0/24') });
  fabric.attach(1, { networks: networks('10.9.0.3/32'), access: networks('10.9.0.1/32', '10.0.5.0/24') });
  const fromDevice = (source: string, destination: string): number => {
    const packet = ipPacket(source, destination);
    return fabric.fromDevice(packet, 0, packet.length);
  };
  const fromClient = (id: number, source: string, destination: string): number => {
    const packet = Uint8Array.of(9, 9, ...ipPacket(source, destination));
    return fabric.fromClient(id, packet, 2, packet.length - 2);
  };

  it('sends to the client whose address it is, or whose network', () => {
    expect(fromDevice('10.9.0.1', '10.9.0.2')).toBe(0);
    expect(fromDevice('fd09::1', 'fd09::2')).toBe(0);
    expect(fromDevice('10.9.0.1', '192.168.7.77')).toBe(0);
    expect(fromDevice('10.9.0.1', '10.9.0.9')).toBe(DROP_NO_CLIENT);
  });

  it('takes from a client only what has a source of its own', () => {
    expect(fromClient(0, '192.168.7.1', '10.9.0.1')).toBe(TO_DEVICE);
    expect(fromClient(0, '10.9.0.3', '10.9.0.1')).toBe(DROP_SOURCE);
    expect(fromClient(0, '192.0.2.1', '10.9.0.1')).toBe(DROP_SOURCE);
    expect(fromClient(7, '10.9.0.2', '10.9.0.1')).toBe(DROP_SOURCE);
  });

  it('keeps a client to its access list, both ways', () => {
    expect(fromClient(1, '10.9.0.3', '10.0.5.6')).toBe(TO_DEVICE);
    expect(fromClient(1, '10.9.0.3', '10.0.6.6')).toBe(DROP_ACCESS);
    expect(fromDevice('10.0.5.6', '10.9.0.3')).toBe(1);
    expect(fromDevice('10.0.6.6', '10.9.0.3')).toBe(DROP_ACCESS);
  });

  it.each([0, 1, 19])('drops what is too short for a header: %i bytes', (length) => {
    expect(fabric.fromDevice(ipPacket('10.9.0.1', '10.9.0.2'), 0, length)).toBe(DROP_MALFORMED);
    expect(fabric.fromClient(0, ipPacket('10.9.0.2', '10.9.0.1'), 0, length)).toBe(DROP_MALFORMED);
    expect(fabric.fromDevice(ipPacket('fd09::1', 'fd09::2'), 0, length + 20)).toBe(DROP_MALFORMED);
  });

  it('forgets a client, but not what another has got since', () => {
    const moving = new IpFabric();
    moving.attach(0, { networks: networks('10.9.0.2/32') });
    moving.attach(1, { networks: networks('10.9.0.2/32') });
    moving.detach(0);
    const packet = ipPacket('10.9.0.1', '10.9.0.2');
    expect(moving.fromDevice(packet, 0, packet.length)).toBe(1);
    moving.detach(1);
    expect(moving.fromDevice(packet, 0, packet.length)).toBe(DROP_NO_CLIENT);
  });
});

describe('EthernetFabric', () => {
  const [host, one, two] = ['02:00:00:00:00:01', '02:00:00:00:00:02', '02:00:00:00:00:03'] as const;
  const BROADCAST = 'ff:ff:ff:ff:ff:ff';

  it('learns where addresses are, and floods what it does not know', () => {
    const fabric = new EthernetFabric();
    const from = (id: number, bytes: Uint8Array, nowMs = 0): number =>
      id < 0 ? fabric.fromDevice(bytes, 0, bytes.length, nowMs) : fabric.fromClient(id, bytes, 0, bytes.length, nowMs);
    expect(from(0, frame(one, host))).toBe(TO_ALL);
    expect(from(-1, frame(host, one))).toBe(0);
    expect(from(1, frame(two, host))).toBe(TO_DEVICE);
    expect(from(1, frame(two, one))).toBe(0);
    expect(from(0, frame(one, BROADCAST))).toBe(TO_ALL);
    // It has moved.
    expect(from(1, frame(one, host))).toBe(TO_DEVICE);
    expect(from(-1, frame(host, one))).toBe(1);
    // Never back to where it came from.
    expect(from(1, frame(two, one))).toBe(DROP_NO_CLIENT);
    fabric.detach(1);
    expect(from(-1, frame(host, one))).toBe(TO_ALL);
    expect(from(0, frame(one, host), 300_001)).toBe(TO_ALL);
    expect(from(0, new Uint8Array(13))).toBe(DROP_MALFORMED);
  });
});
