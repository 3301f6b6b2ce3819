import fc from 'fast-check';
import { describe, expect, it } from 'vitest';

import { IpAddress, MacAddress } from '../base/index.ts';
import { createLinkPair, type Medium, PacketBatch } from '../link/index.ts';
import { ethernetFrame, ipv4Packet, ipv6Packet } from '../testing/index.ts';
import {
  EtherType,
  emitEthernet,
  emitIpv6Extension,
  emitTcp,
  emitVlan,
  IpProtocol,
  parseTcp,
  type TcpFields,
  TcpFlag,
  type TcpOption,
} from '../wire/index.ts';
import { clampMss, findMss, lowerMss } from './index.ts';

const v4 = { source: IpAddress.parse('10.0.0.1'), destination: IpAddress.parse('10.0.0.2') };
const v6 = { source: IpAddress.parse('fd00::1'), destination: IpAddress.parse('fd00::2') };
const mss = (size: number): TcpOption => ({ kind: 'maximumSegmentSize', size });

function segment(ends: typeof v4, options: readonly TcpOption[], fields: Partial<TcpFields> = {}): Uint8Array {
  const out = new Uint8Array(200);
  const all: TcpFields = {
    sourcePort: 40_000,
    destinationPort: 80,
    sequenceNumber: 0x1234_5678,
    acknowledgmentNumber: 0,
    flags: TcpFlag.syn,
    window: 64_240,
    urgentPointer: 0,
    options,
    payload: new Uint8Array(0),
    ...fields,
  };
  return out.slice(0, emitTcp(all, out, 0, ends));
}

const synV4 = (size: number): Uint8Array =>
  ipv4Packet({ ...v4, protocol: IpProtocol.tcp, payload: segment(v4, [mss(size)]) });
const synV6 = (size: number): Uint8Array =>
  ipv6Packet({ ...v6, nextHeader: IpProtocol.tcp, payload: segment(v6, [mss(size)]) });

/** The MSS of a segment whose checksum is right. */
function mssOf(packet: Uint8Array, tcpAt: number, ends: typeof v4): number | undefined {
  const fields = parseTcp(packet.slice(tcpAt), ends);
  if (typeof fields === 'string') return expect.fail(fields);
  for (const option of fields.options) if (option.kind === 'maximumSegmentSize') return option.size;
  return undefined;
}

const lower = (packet: Uint8Array, medium: Medium = 'ip'): boolean =>
  lowerMss(packet, 0, packet.length, medium, 1000, 980);

describe('the MSS of a SYN', () => {
  it('is lowered over IPv4, and the checksum is right', () => {
    const packet = synV4(1460);
    expect(lower(packet)).toBe(true);
    expect(mssOf(packet, 20, v4)).toBe(1000);
  });

  it('is lowered over IPv6', () => {
    const packet = synV6(1440);
    expect(lower(packet)).toBe(true);
    expect(mssOf(packet, 40, v6)).toBe(980);
  });

  it('is lowered in the answer too', () => {
    const payload = segment(v4, [mss(1460)], { flags: TcpFlag.syn | TcpFlag.ack, acknowledgmentNumber: 1 });
    const packet = ipv4Packet({ ...v4, protocol: IpProtocol.tcp, payload });
    expect(lower(packet)).toBe(true);
    expect(mssOf(packet, 20, v4)).toBe(1000);
  });

  it('is never raised', () => {
    const packet = synV4(900);
    const before = packet.slice();
    expect(lower(packet)).toBe(false);
    expect(packet).toEqual(before);
  });

  it('is found behind IP options', () => {
    const options = Uint8Array.of(1, 1, 1, 0);
    const packet = ipv4Packet({ ...v4, protocol: IpProtocol.tcp, payload: segment(v4, [mss(1460)]), options });
    expect(lower(packet)).toBe(true);
    expect(mssOf(packet, 24, v4)).toBe(1000);
  });

  it('is found behind extension headers', () => {
    const extension = new Uint8Array(64);
    const len = emitIpv6Extension(
      { kind: 'destinationOptions', nextHeader: IpProtocol.tcp, options: [] },
      extension,
      0,
    );
    const payload = Uint8Array.from([...extension.slice(0, len), ...segment(v6, [mss(1440)])]);
    const packet = ipv6Packet({ ...v6, nextHeader: IpProtocol.destinationOptions, payload });
    expect(lower(packet)).toBe(true);
    expect(mssOf(packet, 40 + len, v6)).toBe(980);
  });

  it('is found in Ethernet frames, with none, one and two VLAN tags', () => {
    const ends = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
    const plain = ethernetFrame(ends, synV4(1460));
    expect(lower(plain, 'ethernet')).toBe(true);
    expect(mssOf(plain, 34, v4)).toBe(1000);
    for (const tags of [1, 2]) {
      const frame = new Uint8Array(14 + 4 * tags + 60);
      const [source, destination] = [MacAddress.parse(ends.source), MacAddress.parse(ends.destination)];
      emitEthernet({ source, destination, etherType: tags === 1 ? EtherType.vlan : EtherType.serviceVlan }, frame, 0);
      for (let tag = 0; tag < tags; tag++) {
        const etherType = tag === tags - 1 ? EtherType.ipv6 : EtherType.vlan;
        emitVlan({ priority: 0, dropEligible: false, vlanId: 7, etherType }, frame, 14 + 4 * tag);
      }
      const packet = Uint8Array.from([...frame.slice(0, 14 + 4 * tags), ...synV6(1440)]);
      expect(lower(packet, 'ethernet')).toBe(true);
      expect(mssOf(packet, 14 + 4 * tags + 40, v6)).toBe(980);
    }
  });

  it('keeps the checksum right among any options, also at an odd offset', () => {
    const others = fc.array(
      fc.constantFrom<TcpOption>(
        { kind: 'noOperation' },
        { kind: 'sackPermitted' },
        { kind: 'windowScale', shift: 7 },
        { kind: 'other', type: 200, data: Uint8Array.of(1, 2, 3) },
      ),
      { maxLength: 5 },
    );
    fc.assert(
      fc.property(others, others, fc.nat(0xffff), fc.nat(0xffff_ffff), (before, after, size, sequenceNumber) => {
        const payload = segment(v4, [...before, mss(size), ...after], { sequenceNumber });
        const packet = ipv4Packet({ ...v4, protocol: IpProtocol.tcp, payload });
        expect(lower(packet)).toBe(size > 1000);
        expect(mssOf(packet, 20, v4)).toBe(Math.min(size, 1000));
      }),
    );
  });
});

describe('what is left as it is', () => {
  it.each([
    ['a segment without SYN', segment(v4, [mss(1460)], { flags: TcpFlag.ack })],
    ['a SYN without the option', segment(v4, [{ kind: 'sackPermitted' }])],
    ['an option of a wrong length', segment(v4, [{ kind: 'other', type: 2, data: Uint8Array.of(5, 180, 0) }])],
    ['a SYN that is cut off', segment(v4, [mss(1460)]).slice(0, 22)],
  ])('%s', (_what, payload) => {
    const packet = ipv4Packet({ ...v4, protocol: IpProtocol.tcp, payload });
    const before = packet.slice();
    expect(lower(packet)).toBe(false);
    expect(packet).toEqual(before);
  });

  it('a later fragment, another protocol', () => {
    const payload = segment(v4, [mss(1460)]);
    for (const packet of [
      ipv4Packet({ ...v4, protocol: IpProtocol.tcp, payload, fragmentOffset: 8 }),
      ipv4Packet({ ...v4, protocol: IpProtocol.udp, payload }),
    ]) {
      expect(findMss(packet, 0, packet.length, 'ip')).toBe(-1);
    }
  });

  it('whatever else the network sends: nothing is thrown, and nothing beyond the packet is read or written', () => {
    const media = fc.constantFrom<Medium>('ip', 'ethernet');
    const start = fc.constantFrom(
      synV4(1460),
      synV6(1440),
      ethernetFrame({ source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' }, synV6(1440)),
    );
    const damage = fc.array(fc.tuple(fc.nat(90), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(start, media, damage, fc.nat(100), (packet, medium, changes, length) => {
        const bytes = new Uint8Array(300).fill(0xaa);
        const cut = packet.slice(0, length);
        for (const [at, value] of changes) if (at < cut.length) cut[at] = value;
        bytes.set(cut, 100);
        lowerMss(bytes, 100, cut.length, medium, 1000, 980);
        expect(bytes.slice(0, 100).every((byte) => byte === 0xaa)).toBe(true);
        expect(bytes.slice(100 + cut.length).every((byte) => byte === 0xaa)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('a link that clamps', () => {
  it('does so both ways by its MTU, and leaves what belongs to the writer', async () => {
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1400 });
    const link = clampMss(inner);
    const batch = new PacketBatch();
    for (const packet of [synV4(100), synV4(1460), synV6(1440), synV4(200)]) batch.append(packet);
    expect(link.write(batch)).toBe(4);
    expect(mssOf(batch.packet(1), 20, v4)).toBe(1460);
    const got = [...((await far.read()) ?? [])].map((packet) => packet.slice());
    expect(got.map((packet) => packet.length)).toEqual([44, 44, 64, 44]);
    expect([mssOf(got[0] as Uint8Array, 20, v4), mssOf(got[1] as Uint8Array, 20, v4)]).toEqual([100, 1360]);
    expect([mssOf(got[2] as Uint8Array, 40, v6), mssOf(got[3] as Uint8Array, 20, v4)]).toEqual([1340, 200]);
    far.write(synV6(1440));
    expect(mssOf((await link.read())?.packet(0) as Uint8Array, 40, v6)).toBe(1340);
    expect(link.clamped).toEqual({ toLink: 2, fromLink: 1 });
    await link.close();
    expect(inner.closed).toBe(true);
  });

  it('takes a value that is given, or the smaller MTU of another link', async () => {
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1400 });
    clampMss(inner, { mss: 500 }).write(synV6(1440));
    clampMss(inner, { besides: { mtu: 1280 } }).write(synV6(1440));
    const got = [...((await far.read()) ?? [])];
    expect(got.map((packet) => mssOf(packet, 40, v6))).toEqual([500, 1220]);
    await inner.close();
    expect(() => clampMss(far, { mss: 20 })).toThrow(/an MSS from 88 to 65495/);
  });

  it('says how many packets of a batch were taken when there is back-pressure', async () => {
    const [inner, far] = createLinkPair({ medium: 'ip', mtu: 1400, capacityPackets: 3 });
    const link = clampMss(inner);
    const batch = new PacketBatch();
    for (let i = 0; i < 6; i++) batch.append(synV4(1460));
    expect(link.write(batch)).toBe(3);
    expect(link.clamped.toLink).toBe(3);
    await far.read();
    expect(link.write(batch, 3)).toBe(3);
    expect(link.clamped.toLink).toBe(6);
    await link.close();
  });
});
