/** UDP and TCP: known bytes, cuts, wrong checksums, options. */

import { expect, test } from 'vitest';
import { IpAddress } from '../base/index.ts';
import { updateChecksum16, updateChecksumRange } from './checksum.ts';
import { emitTcp, parseTcp, TcpFlag, TcpView } from './tcp.ts';
import { emitTcpOptions, parseTcpOptions } from './tcp-option.ts';
import { emitUdp, parseUdp, UdpView } from './udp.ts';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
const v4 = { source: IpAddress.parse('10.0.0.1'), destination: IpAddress.parse('10.0.0.2') };
const v6 = { source: IpAddress.parse('fd00::1'), destination: IpAddress.parse('fd00::2') };
const datagram = { sourcePort: 36_806, destinationPort: 4000, payload: bytesOf('68656c6c6f0a') };

/** A refusal as Linux 6.18 sent it over a veth pair, from 10.0.0.2 to 10.0.0.1. */
const refusal = bytesOf('0fa0ed0c 00000000 d726e1d7 5014 0000 e622 0000');
const back = { source: v4.destination, destination: v4.source };
/** Options of the SYN before it. */
const synOptions = bytesOf('020405b4 0402 080a36b2026600000000 01 03030a');

test('a datagram is emitted with the checksum of its pseudo header', () => {
  const out = new Uint8Array(14);
  expect(emitUdp(datagram, out, 0, v4)).toBe(14);
  // By hand: pseudo header 0x1422 (the partial sum Linux left in it), header 0x9f74, payload 0x143db: 0x1f771.
  expect(out).toEqual(bytesOf('8fc6 0fa0 000e 088d 68656c6c6f0a'));
  expect(parseUdp(out, v4)).toEqual(datagram);
});

test('a computed checksum of 0 is sent as 0xffff (RFC 768)', () => {
  const out = new Uint8Array(10);
  emitUdp({ sourcePort: 0, destinationPort: 0, payload: bytesOf('0000') }, out, 0, v4);
  const rest = (out[6] as number) * 256 + (out[7] as number);
  emitUdp({ sourcePort: 0, destinationPort: 0, payload: Uint8Array.of(rest >> 8, rest & 0xff) }, out, 0, v4);
  expect([out[6], out[7]]).toEqual([0xff, 0xff]);
  expect(typeof parseUdp(out, v4)).toBe('object');
});

test('a checksum may be missing over IPv4 and not over IPv6', () => {
  const bytes = bytesOf('8fc6 0fa0 000e 0000 68656c6c6f0a');
  expect(parseUdp(bytes, v4)).toEqual(datagram);
  expect(parseUdp(bytes, v6)).toBe('bad-checksum');
});

test('every cut of a datagram is truncated, every wrong octet a wrong checksum or length', () => {
  const whole = new Uint8Array(14);
  emitUdp(datagram, whole, 0, v6);
  for (let length = 0; length < 14; length++) expect(parseUdp(whole.subarray(0, length), v6)).toBe('truncated');
  for (let at = 0; at < 14; at++) {
    const bytes = whole.slice();
    bytes[at] = (bytes[at] as number) ^ 0x20;
    expect(parseUdp(bytes, v6), `octet ${at}`).toBe(at === 4 || at === 5 ? 'truncated' : 'bad-checksum');
  }
});

test('a length below the header is a bad length, a longer payload is cut', () => {
  expect(parseUdp(bytesOf('00010002 0007 0000'), v4)).toBe('bad-length');
  const view = UdpView.from(bytesOf('00010002 0009 0000 aabbcc'));
  expect(typeof view === 'string' ? view : view.payloadLen).toBe(1);
});

test("the kernel's refusal reads as its fields and is emitted the same", () => {
  const fields = {
    sourcePort: 4000,
    destinationPort: 60_684,
    sequenceNumber: 0,
    acknowledgmentNumber: 3_609_649_623,
    flags: TcpFlag.rst | TcpFlag.ack,
    window: 0,
    urgentPointer: 0,
    options: [],
    payload: new Uint8Array(0),
  };
  expect(parseTcp(refusal, back)).toEqual(fields);
  const out = new Uint8Array(20);
  expect(emitTcp(fields, out, 0, back)).toBe(20);
  expect(out).toEqual(refusal);
});

test("the options of the kernel's SYN are read in order and emitted the same", () => {
  const options = parseTcpOptions(synOptions);
  expect(options).toEqual([
    { kind: 'maximumSegmentSize', size: 1460 },
    { kind: 'sackPermitted' },
    { kind: 'timestamps', value: 917_635_686, echoReply: 0 },
    { kind: 'noOperation' },
    { kind: 'windowScale', shift: 10 },
  ]);
  if (typeof options === 'string') throw new TypeError(options);
  expect(emitTcpOptions(options)).toEqual(synOptions);
});

test('unknown options and known ones of another length are kept as octets', () => {
  expect(parseTcpOptions(bytesOf('fd04aabb 0203050000'))).toEqual([
    { kind: 'other', type: 253, data: bytesOf('aabb') },
    { kind: 'other', type: 2, data: bytesOf('05') },
  ]);
});

test.each(['02', '0200', '0201', '020405', '050affffffff'])('the option area %s is a bad option', (hex) => {
  expect(parseTcpOptions(bytesOf(hex))).toBe('bad-option');
});

test('every cut of a segment is a reason', () => {
  for (let length = 0; length < 20; length++) expect(parseTcp(refusal.subarray(0, length), back)).toBe('truncated');
});

test('a header length below 20 or beyond the segment is a reason', () => {
  const bytes = refusal.slice();
  bytes[12] = 0x40;
  expect(TcpView.from(bytes)).toBe('bad-header-length');
  bytes[12] = 0x60;
  expect(TcpView.from(bytes)).toBe('truncated');
});

test('the TCP checksum covers header, payload and addresses', () => {
  const bytes = refusal.slice();
  bytes[0] = 1;
  expect(parseTcp(bytes, back)).toBe('bad-checksum');
  expect(parseTcp(refusal, { ...back, source: IpAddress.parse('10.0.0.9') })).toBe('bad-checksum');
});

test('emit refuses options of more than 40 octets and kinds without a length', () => {
  const block = { left: 1, right: 2 };
  const sack = { kind: 'sack', blocks: [block, block, block, block] } as const;
  expect(() => emitTcpOptions([sack, { kind: 'timestamps', value: 1, echoReply: 1 }])).toThrow(/total octets/);
  expect(() => emitTcpOptions([{ kind: 'other', type: 1, data: new Uint8Array(1) }])).toThrow(/kind/);
});

test('rewriting ports in place with an incremental update keeps the checksum right', () => {
  const bytes = new Uint8Array(14);
  emitUdp(datagram, bytes, 0, v4);
  const udp = UdpView.from(bytes);
  if (typeof udp === 'string') throw new TypeError(udp);
  udp.checksum = updateChecksum16(updateChecksum16(udp.checksum, 36_806, 1), 4000, 53);
  udp.sourcePort = 1;
  udp.destinationPort = 53;
  expect(parseUdp(bytes, v4)).toEqual({ ...datagram, sourcePort: 1, destinationPort: 53 });

  const tcp = TcpView.from(refusal.slice());
  if (typeof tcp === 'string') throw new TypeError(tcp);
  tcp.checksum = updateChecksum16(updateChecksum16(tcp.checksum, 4000, 80), 60_684, 2);
  tcp.sourcePort = 80;
  tcp.destinationPort = 2;
  expect(parseTcp(tcp.bytes, back)).toMatchObject({ sourcePort: 80, destinationPort: 2 });
});

test('an address rewritten in IPv4 is carried over into the UDP checksum (RFC 1624)', () => {
  const bytes = new Uint8Array(14);
  emitUdp(datagram, bytes, 0, v4);
  const moved = { ...v4, destination: IpAddress.parse('192.168.7.9') };
  const udp = UdpView.from(bytes);
  if (typeof udp === 'string') throw new TypeError(udp);
  udp.checksum = updateChecksumRange(udp.checksum, v4.destination.bytes, 0, moved.destination.bytes, 0, 4);
  expect(parseUdp(bytes, moved)).toEqual(datagram);
});
