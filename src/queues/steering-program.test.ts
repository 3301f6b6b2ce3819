import { describe, expect, it } from 'vitest';

import { type PortSteering, steerByDestinationPort, steerToQueue } from './steering-program.ts';

const UDP = 17;
const TCP = 6;

/** Runs a program as the kernel does (`instruction-set.rst`), for the instructions that are used. */
function run(program: Uint8Array, packet: Uint8Array): number {
  const view = new DataView(program.buffer);
  const data = new DataView(packet.buffer, packet.byteOffset, packet.length);
  const registers = Array<number>(11).fill(0);
  for (let at = 0, steps = 0; steps < 100; steps++, at++) {
    const opcode = view.getUint8(at * 8);
    const to = view.getUint8(at * 8 + 1) & 15;
    const from = view.getUint8(at * 8 + 1) >> 4;
    const offset = view.getInt16(at * 8 + 2, true);
    const value = view.getInt32(at * 8 + 4, true);
    const register = registers[to] as number;
    const load = (width: number, index: number): boolean => {
      if (index + width > packet.length) return false;
      registers[0] = width === 1 ? data.getUint8(index) : data.getUint16(index);
      return true;
    };
    const set = (result: number): undefined => {
      registers[to] = result;
    };
    const jump = (taken: boolean): undefined => {
      if (taken) at += offset;
    };
    const step = new Map<number, () => number | undefined>([
      [0xb4, () => set(value)],
      [0xbf, () => set(registers[from] as number)],
      [0x54, () => set(register & value)],
      [0x74, () => set(register >>> value)],
      [0x64, () => set(register << value)],
      [0x30, () => (load(1, value) ? undefined : 0)],
      [0x28, () => (load(2, value) ? undefined : 0)],
      [0x48, () => (load(2, value + (registers[from] as number)) ? undefined : 0)],
      [0x15, () => jump(register === value)],
      [0x55, () => jump(register !== value)],
      [0x05, () => jump(true)],
      [0x95, () => registers[0] as number],
    ]);
    const result = (step.get(opcode) as () => number | undefined)();
    if (result !== undefined) return result;
  }
  return expect.unreachable('the program does not end');
}

function ipv4(fields: { protocol: number; port: number; words?: number; fragment?: number }): Uint8Array {
  const { protocol, port, words = 5, fragment = 0x4000 } = fields;
  const packet = new Uint8Array(words * 4 + 8);
  packet.set([0x40 | words, 0, 0, packet.length, 0, 0, fragment >> 8, fragment & 0xff, 64, protocol]);
  packet.set([0x12, 0x34, port >> 8, port & 0xff], words * 4);
  return packet;
}

function ipv6(protocol: number, port: number): Uint8Array {
  const packet = new Uint8Array(48);
  packet.set([0x60, 0, 0, 0, 0, 8, protocol, 64]);
  packet.set([0x12, 0x34, port >> 8, port & 0xff], 40);
  return packet;
}

function framed(etherType: number, packet: Uint8Array): Uint8Array {
  const frame = new Uint8Array(14 + packet.length);
  frame.set([etherType >> 8, etherType & 0xff], 12);
  frame.set(packet, 14);
  return frame;
}

const queueOf = (packet: Uint8Array, options: PortSteering = { medium: 'ip' }): number =>
  run(steerByDestinationPort(options), packet);

describe('steering programs', () => {
  it('assembles the bytes of two instructions that the kernel documents', () => {
    // mov32 r0, 3; exit
    expect([...steerToQueue(3)]).toEqual([0xb4, 0, 0, 0, 3, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0]);
    expect(run(steerToQueue(255), new Uint8Array(0))).toBe(255);
  });

  it('finds the destination port of TCP and UDP over IPv4, with options, and IPv6', () => {
    for (const protocol of [TCP, UDP]) {
      for (const port of [1, 80, 0x1234, 0xffff]) {
        for (let words = 5; words <= 15; words++) expect(queueOf(ipv4({ protocol, port, words }))).toBe(port);
        expect(queueOf(ipv6(protocol, port))).toBe(port);
        expect(queueOf(framed(0x0800, ipv4({ protocol, port })), { medium: 'ethernet' })).toBe(port);
        expect(queueOf(framed(0x86dd, ipv6(protocol, port)), { medium: 'ethernet' })).toBe(port);
        expect(queueOf(ipv4({ protocol, port }), { medium: 'ip', mask: 0x0f })).toBe(port & 15);
      }
    }
  });

  it('gives what has no port to queue 0: fragments, other protocols, extension headers, other frames', () => {
    for (const fragment of [0x2000, 0x2001, 1, 0x1fff]) {
      expect(queueOf(ipv4({ protocol: UDP, port: 7, fragment }))).toBe(0);
    }
    for (const protocol of [0, 1, 2, 44, 50, 58, 132]) {
      expect(queueOf(ipv4({ protocol, port: 7 }))).toBe(0);
      expect(queueOf(ipv6(protocol, 7))).toBe(0);
    }
    for (const etherType of [0x0806, 0x8100, 0x88cc]) {
      expect(queueOf(framed(etherType, ipv4({ protocol: UDP, port: 7 })), { medium: 'ethernet' })).toBe(0);
    }
    expect(queueOf(Uint8Array.of(0x50, 0, 0, 0))).toBe(0);
  });

  it('gives packets that are cut off before the port to queue 0, at every length', () => {
    for (const [packet, portEnd] of [
      [ipv4({ protocol: UDP, port: 7 }), 24],
      [ipv6(TCP, 7), 44],
    ] as const) {
      for (let length = 0; length <= packet.length; length++) {
        expect(queueOf(packet.slice(0, length))).toBe(length < portEnd ? 0 : 7);
      }
    }
  });

  it('refuses queues and masks out of range', () => {
    const refused = expect.objectContaining({ code: 'VNIC_INVALID_ARGUMENT' });
    for (const queue of [-1, 256, 1.5, Number.NaN]) expect(() => steerToQueue(queue)).toThrow(refused);
    for (const mask of [0, 0x1_0000, 1.5, Number.NaN]) {
      expect(() => steerByDestinationPort({ medium: 'ip', mask })).toThrow(refused);
    }
  });
});
