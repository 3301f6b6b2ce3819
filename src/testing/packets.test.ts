import { describe, expect, it } from 'vitest';

import {
  countingBytes,
  echoRequest,
  expectEcho,
  expectEchoReply,
  fragmentPacket,
  isIntact,
  joinFragments,
  markedUdpPacket,
  markPacket,
  seedOf,
} from './index.ts';

const v4 = { source: '10.0.0.1', destination: '10.0.0.2' };
const v6 = { source: 'fd00::1', destination: 'fd00::2' };

describe('marked packets', () => {
  it('give their seed back, and foreign packets give none', () => {
    expect(seedOf(markPacket(new Uint8Array(100), 20, 0xdeadbeef))).toBe(0xdeadbeef);
    expect(seedOf(new Uint8Array(100))).toBeUndefined();
    expect(seedOf(new Uint8Array(3))).toBeUndefined();
  });

  it('are intact only with their length and every octet of the pattern', () => {
    const packet = markPacket(new Uint8Array(100), 20, 5);
    expect(isIntact(packet, 100)).toBe(true);
    expect(isIntact(packet, 101)).toBe(false);
    expect(isIntact(packet.subarray(1), 100)).toBe(false);
    packet[70] = (packet[70] as number) ^ 1;
    expect(isIntact(packet, 100)).toBe(false);
  });

  it('keep what stands in their headers', () => {
    expect([...markPacket(new Uint8Array(40).fill(9), 20, 1).subarray(0, 20)]).toEqual(new Array(20).fill(9));
  });

  it('have room for the mark, or are refused', () => {
    expect(() => markPacket(new Uint8Array(31), 20, 1)).toThrow(
      expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' }),
    );
  });

  it.each([
    [v4, 100],
    [v6, 100],
    [v4, 1500],
  ])('over UDP have exactly the size asked for', (ends, size) => {
    const ports = { sourcePort: 4000, destinationPort: 5000 };
    const packet = markedUdpPacket({ ...ends, ...ports }, size, 3);
    expect(isIntact(packet, size)).toBe(true);
    const stations = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
    expect(isIntact(markedUdpPacket({ ...ends, ...ports }, size, 3, stations), size)).toBe(true);
  });
});

describe('expectEchoReply', () => {
  it.each([v4, v6])('refuses a request, and a reply to another', (ends) => {
    const request = echoRequest(ends);
    expect(() => expectEchoReply(request, request)).toThrow();
    expect(() => expectEchoReply(request, request.subarray(0, 30))).toThrow();
  });
});

describe('fragments', () => {
  it.each([v4, v6])('join to the packet that they were made of', (ends) => {
    const packet = echoRequest({ ...ends, data: countingBytes(5000) });
    expect(expectEcho(joinFragments(fragmentPacket(packet, 1200, 9)))).toEqual(expectEcho(packet));
  });

  it.each([v4, v6])('do not join with a gap, an overlap or without the last', (ends) => {
    const [a, b, c] = fragmentPacket(echoRequest({ ...ends, data: countingBytes(3000) }), 1200, 9) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    expect(() => joinFragments([a, c])).toThrow('gap');
    expect(() => joinFragments([a, b])).toThrow('last');
    expect(() => joinFragments([a, b, b, c])).toThrow('overlap');
  });
});
