import { describe, expect, it } from 'vitest';

import { type BpduFields, bpduFrameLen, emitBpdu, parseBpdu } from './bpdu.ts';

const hex = (text: string): Uint8Array =>
  Uint8Array.from(text.match(/[0-9a-f]{2}/g) ?? [], (one) => Number(`0x${one}`));

/** As a kernel bridge sends it: root of itself, cost 0, port 1 of priority 0x80. */
const kernelConfig = hex(`
  0180c2000000 020000000001 0026 424203 0000 00 00 00
  8000020000000001 00000000 8000020000000001 8001 0000 1400 0200 0f00 0000000000000000`);

const rst: BpduFields = {
  kind: 'rst',
  topologyChange: true,
  topologyChangeAck: false,
  proposal: true,
  agreement: false,
  learning: true,
  forwarding: false,
  role: 'designated',
  rootId: 0x1000_0200_0000_0009n,
  rootPathCost: 20_000,
  bridgeId: 0x8000_0200_0000_0001n,
  portId: 0x8002,
  messageAgeMs: 1000,
  maxAgeMs: 20_000,
  helloTimeMs: 2000,
  forwardDelayMs: 15_000,
};

describe('BPDU', () => {
  it('reads what a kernel bridge sends', () => {
    expect(parseBpdu(kernelConfig, 0, kernelConfig.length)).toMatchObject({
      kind: 'config',
      role: 'designated',
      rootId: 0x8000_0200_0000_0001n,
      bridgeId: 0x8000_0200_0000_0001n,
      rootPathCost: 0,
      portId: 0x8001,
      messageAgeMs: 0,
      maxAgeMs: 20_000,
      helloTimeMs: 2000,
      forwardDelayMs: 15_000,
    });
  });

  it.each([
    rst,
    { ...rst, proposal: false, agreement: true, forwarding: true, role: 'root' as const },
    { ...rst, kind: 'config' as const, proposal: false, learning: false },
  ])('comes back as it was written', (fields) => {
    const out = new Uint8Array(bpduFrameLen + 5);
    const length = emitBpdu(fields, hex('020000000001'), out);
    expect(parseBpdu(out, 0, length)).toEqual(fields);
    expect(parseBpdu(out, 0, out.length)).toEqual(fields);
  });

  it('writes a notification of four octets', () => {
    const out = new Uint8Array(60);
    expect(emitBpdu({ ...rst, kind: 'tcn' }, hex('020000000001'), out)).toBe(21);
    expect(out.subarray(0, 21)).toEqual(hex('0180c2000000 020000000001 0007 424203 0000 00 80'));
    expect(parseBpdu(out, 0, 60)).toMatchObject({ kind: 'tcn' });
  });

  it('says of every shorter frame that it is truncated', () => {
    const end = 14 + 0x26;
    for (let length = 0; length < end; length++) expect(parseBpdu(kernelConfig, 0, length)).toBe('truncated');
  });

  it.each([
    [13, 0xff, 'truncated'],
    [13, 0x05, 'bad-length'],
    [13, 0x20, 'bad-length'],
    [14, 0xaa, 'bad-type'],
    [18, 0x01, 'bad-type'],
    [20, 0x07, 'bad-type'],
  ])('octet %i of %i is %s', (at, value, reason) => {
    const frame = kernelConfig.slice();
    frame[at] = value;
    expect(parseBpdu(frame, 0, frame.length)).toBe(reason);
  });
});
