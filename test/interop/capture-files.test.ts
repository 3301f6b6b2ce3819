/** Capture files against Wireshark's programs, both ways: what is written here is read there, and the other way round. */

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { IpAddress, MacAddress } from '../../src/base/index.ts';
import {
  CaptureDecoder,
  type CaptureFormat,
  createCaptureRecord,
  LinkType,
  packetStart,
  pcapFormat,
  pcapngFormat,
} from '../../src/capture/index.ts';
import { EtherType, emitEthernet, emitIpv4, emitUdp, IpProtocol } from '../../src/wire/index.ts';

let folder = '';

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'vnic-capture-files-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const run = (program: string, ...args: string[]): string =>
  execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** UDP datagrams of different lengths, odd ones too. */
function packet(number: number, linkType: number): Uint8Array {
  const payload = Uint8Array.from({ length: number * 3 + 1 }, (_, i) => i);
  const linkLen = linkType === LinkType.ethernet ? 14 : 0;
  const out = new Uint8Array(linkLen + 28 + payload.length);
  const [source, destination] = ['10.0.0.1', '10.0.0.2'].map((text) => IpAddress.parse(text)) as [IpAddress, IpAddress];
  if (linkLen > 0) {
    const mac = MacAddress.parse('02:00:00:00:00:01');
    emitEthernet({ destination: mac, source: mac, etherType: EtherType.ipv4 }, out, 0);
  }
  const header = { source, destination, protocol: IpProtocol.udp, payloadLen: 8 + payload.length, ttl: 64 };
  const at = linkLen + emitIpv4({ ...header, identification: number }, out, linkLen);
  emitUdp({ sourcePort: 5000, destinationPort: 5001, payload }, out, at, { source, destination });
  return out;
}

function write(format: CaptureFormat, linkType: number, count: number): string {
  const path = join(folder, `written-${format.name}-${linkType}`);
  const parts = [format.header({ linkType, name: 'tap0', snapLen: 262_144 })];
  for (let i = 0; i < count; i++) {
    const bytes = packet(i, linkType);
    const out = new Uint8Array(format.recordLen(bytes.length));
    const one = { bytes, offset: 0, length: bytes.length, originalLength: bytes.length };
    const direction = i % 2 === 0 ? 'in' : 'out';
    const time = { seconds: 1_700_000_000 + i, nanoseconds: 123_456_789 };
    format.encode(out, new DataView(out.buffer), 0, time, { ...one, direction });
    parts.push(out);
  }
  writeFileSync(path, Buffer.concat(parts));
  return path;
}

const written: readonly (readonly [name: string, format: CaptureFormat, linkType: number, fraction: string])[] = [
  ['pcapng of Ethernet', pcapngFormat, LinkType.ethernet, '123456789'],
  ['pcapng of IP', pcapngFormat, LinkType.raw, '123456789'],
  ['pcap of Ethernet', pcapFormat(), LinkType.ethernet, '123456000'],
  ['pcap of IP, in nanoseconds', pcapFormat({ nanoseconds: true }), LinkType.raw, '123456789'],
];

describe.each(written)('%s', (_name, format, linkType, fraction) => {
  it('is read by tshark and capinfos as it was written', () => {
    const path = write(format, linkType, 5);
    const fields = [
      'frame.time_epoch',
      'frame.len',
      'ip.id',
      'udp.length',
      'frame.interface_name',
      'frame.packet_flags',
    ];
    const rows = run('tshark', '-r', path, '-n', '-T', 'fields', ...fields.flatMap((field) => ['-e', field]))
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(rows).toHaveLength(5);
    for (const [i, row] of rows.entries()) {
      const [time, length, id, udpLen, name = '', flags = ''] = row;
      expect(time).toBe(`${1_700_000_000 + i}.${fraction}`);
      expect(Number(length)).toBe(packet(i, linkType).length);
      expect([Number(id), Number(udpLen)]).toEqual([i, 8 + i * 3 + 1]);
      if (format.name === 'pcapng') expect([name, Number(flags)]).toEqual(['tap0', i % 2 === 0 ? 1 : 2]);
    }
    const info = run('capinfos', path);
    expect(info).toMatch(/Number of packets: +5\b/);
    expect(info).toContain(linkType === LinkType.ethernet ? 'Ethernet' : 'Raw IP');
  });

  it.each(['pcap', 'pcapng', 'nsecpcap'])('is read again after editcap has made %s of it', (other) => {
    const path = write(format, linkType, 5);
    const converted = `${path}.${other}`;
    run('editcap', '-F', other, path, converted);
    const decoder = new CaptureDecoder();
    const record = createCaptureRecord();
    decoder.append(readFileSync(converted));
    decoder.end();
    for (let i = 0; i < 5; i++) {
      expect(decoder.next(record)).toBe('record');
      const { bytes, offset, length } = record;
      expect(bytes.slice(offset, offset + length)).toEqual(packet(i, linkType));
      expect(packetStart(record.linkType, bytes, offset, length)).toBe(0);
      expect(record.seconds).toBe(1_700_000_000 + i);
      const isCoarse = fraction === '123456000' || other === 'pcap';
      expect(record.nanoseconds).toBe(isCoarse ? 123_456_000 : 123_456_789);
    }
    expect([decoder.next(record), decoder.damage]).toEqual(['end', undefined]);
  });
});
