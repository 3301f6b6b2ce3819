import { describe, expect, it } from 'vitest';

import { echoRequest, ethernetFrame } from '../testing/index.ts';
import { emitPathProbe, looksLikePathProbe, parsePathProbe, pathProbeMinLen } from './index.ts';

describe.each(['ip', 'ethernet'] as const)('on a link of %s', (medium) => {
  const probe = { kind: 'probe', size: 1452, sequence: 0xfedc_ba98 } as const;
  const emitted = (): Uint8Array => {
    const bytes = new Uint8Array(1452).fill(0xaa);
    expect(emitPathProbe(probe, medium, bytes)).toBe(1452);
    return bytes;
  };

  it('a probe is as long as it says, and read back', () => {
    expect(parsePathProbe(emitted(), 0, 1452, medium)).toEqual(probe);
    const at = Uint8Array.from([1, 2, 3, ...emitted()]);
    expect(parsePathProbe(at, 3, 1452, medium)).toEqual(probe);
  });

  it('an acknowledgement is short, and read back', () => {
    const bytes = new Uint8Array(pathProbeMinLen(medium));
    const acknowledgement = { ...probe, kind: 'acknowledgement' } as const;
    expect(emitPathProbe(acknowledgement, medium, bytes)).toBe(bytes.length);
    expect(parsePathProbe(bytes, 0, bytes.length, medium)).toEqual(acknowledgement);
  });

  it('a probe that was cut off is none', () => {
    for (let length = 0; length < 1452; length++) expect(parsePathProbe(emitted(), 0, length, medium)).toBeUndefined();
  });

  it('one of another version or kind is none', () => {
    const at = medium === 'ip' ? 0 : 14;
    for (const [offset, value] of [
      [0, 0x45],
      [1, 0],
      [4, 2],
      [5, 3],
    ] as const) {
      const bytes = emitted();
      bytes[at + offset] = value;
      expect(parsePathProbe(bytes, 0, 1452, medium)).toBeUndefined();
    }
  });

  it('packets are none', () => {
    for (const ends of [
      { source: '10.0.0.1', destination: '10.0.0.2' },
      { source: 'fd00::1', destination: 'fd00::2' },
    ]) {
      const packet = echoRequest({ ...ends, identifier: 1, sequenceNumber: 1, data: new Uint8Array(100) });
      const macs = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
      const sent = medium === 'ip' ? packet : ethernetFrame({ ...macs, etherType: 0x0800 }, packet);
      expect(looksLikePathProbe(sent, 0, sent.length, medium)).toBe(false);
    }
  });
});

it('a frame of a station is none, whatever is in it', () => {
  const body = new Uint8Array(100);
  emitPathProbe({ kind: 'acknowledgement', size: 114, sequence: 1 }, 'ip', body);
  const macs = { source: '02:00:00:00:00:01', destination: '02:00:00:00:00:02' };
  const frame = ethernetFrame({ ...macs, etherType: 0x88b5 }, body);
  expect(looksLikePathProbe(frame, 0, frame.length, 'ethernet')).toBe(true);
  expect(parsePathProbe(frame, 0, frame.length, 'ethernet')).toBeUndefined();
});
