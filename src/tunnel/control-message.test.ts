import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { Cidr, IpAddress } from '../base/index.ts';
import { CONTROL_PREFIX, type ControlMessage, emitControl, isControl, parseControl } from './control-message.ts';

const welcome: ControlMessage = {
  type: 'welcome',
  addresses: [Cidr.parse('10.9.0.2/24'), Cidr.parse('fd09::2/64')],
  routes: [Cidr.parse('10.0.0.0/8')],
  gateways: [IpAddress.parse('10.9.0.1')],
  mtu: 1400,
  keepAliveMs: 10_000,
  superPackets: false,
};

const messages: ControlMessage[] = [
  { type: 'hello', version: 1, medium: 'ip', name: 'café', superPackets: true },
  welcome,
  { type: 'refused', reason: 'no-address' },
  { type: 'ping', id: 0 },
  { type: 'pong', id: 0xffff_ffff },
  { type: 'bye' },
];

function withFields(fields: object): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(fields));
  return Uint8Array.of(...CONTROL_PREFIX, ...text);
}

describe('control messages', () => {
  it.each(messages.map((message) => [message.type, message] as const))('%s comes back as it was', (_type, message) => {
    const packet = emitControl(message);
    expect(isControl(packet, 0, packet.length)).toBe(true);
    expect(JSON.stringify(parseControl(packet))).toBe(JSON.stringify(message));
  });

  it('are told from packets by their first six bytes', () => {
    const packet = emitControl({ type: 'bye' });
    for (let i = 0; i < CONTROL_PREFIX.length; i++) {
      const other = packet.slice();
      other[i] = (other[i] as number) ^ 0x40;
      expect(isControl(other, 0, other.length)).toBe(false);
    }
    expect(isControl(packet, 0, CONTROL_PREFIX.length - 1)).toBe(false);
    expect(isControl(Uint8Array.of(0, 0, ...packet), 2, packet.length)).toBe(true);
  });

  const base = JSON.parse(JSON.stringify(welcome)) as Record<string, unknown>;
  it.each([
    ['no type', {}],
    ['an unknown type', { type: 'please' }],
    ['a type of the prototype', { type: '__proto__' }],
    ['a hello without a version', { type: 'hello', medium: 'ip', name: '', superPackets: false }],
    ['a hello of another medium', { type: 'hello', version: 1, medium: 'token ring', name: '', superPackets: false }],
    ['a name too long', { type: 'hello', version: 1, medium: 'ip', name: 'x'.repeat(65), superPackets: false }],
    ['an address that is none', { ...base, addresses: ['10.9.0.300/24'] }],
    ['an address that is no text', { ...base, addresses: [4] }],
    ['addresses without end', { ...base, addresses: new Array(257).fill('10.9.0.2/24') }],
    ['routes that are no list', { ...base, routes: '10.0.0.0/8' }],
    ['a gateway with a prefix', { ...base, gateways: ['10.9.0.1/24'] }],
    ['an MTU of 67', { ...base, mtu: 67 }],
    ['an MTU of half a byte', { ...base, mtu: 1400.5 }],
    ['no time between pings', { ...base, keepAliveMs: 0 }],
    ['a refusal without a reason', { type: 'refused', reason: 'mood' }],
    ['a ping without a number', { type: 'ping' }],
    ['a ping of -1', { type: 'ping', id: -1 }],
  ])('%s is refused', (_title, fields) => {
    expect(parseControl(withFields(fields))).toBeUndefined();
  });

  it('clears host bits of routes', () => {
    const parsed = parseControl(withFields({ ...base, routes: ['10.1.2.3/8'] }));
    expect(parsed).toMatchObject({ routes: [Cidr.parse('10.0.0.0/8')] });
  });

  it('takes any bytes without throwing, and nothing longer than the limit', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const parsed = parseControl(Uint8Array.of(...CONTROL_PREFIX, ...bytes));
        expect(parsed === undefined || typeof parsed.type === 'string').toBe(true);
      }),
    );
    const long = withFields({ type: 'bye', more: 'x'.repeat(17_000) });
    expect(parseControl(long)).toBeUndefined();
    for (const message of messages) {
      const packet = emitControl(message);
      for (let length = 0; length < packet.length; length++)
        expect(parseControl(packet.subarray(0, length))).toBeUndefined();
    }
  });
});
