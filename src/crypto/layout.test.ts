import { describe, expect, it } from 'vitest';

import { isVnicError } from '../base/index.ts';
import { type AeadAlgorithm, AeadLayout, type AeadLayoutOptions, type AeadOptions, createAead } from './index.ts';

const good: AeadLayoutOptions = {
  payloadOffset: 32,
  aad: { offset: 0, length: 8 },
  counter: { offset: 4, length: 4 },
  tag: 8,
};

function refused(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isVnicError(error)) return error.code;
    throw error;
  }
  return 'nothing';
}

describe('AeadLayout', () => {
  it('takes a counter inside the associated data, and parts that touch', () => {
    expect(new AeadLayout(good).counters).toBe('header');
    expect(new AeadLayout({ ...good, tag: 16 }).tag).toBe(16);
  });

  it('expects counters in the descriptors when the header has none', () => {
    expect(new AeadLayout({ payloadOffset: 0, tag: 'end' }).counters).toBe('descriptors');
  });

  it.each<[string, Partial<Record<keyof AeadLayoutOptions, unknown>>]>([
    ['a negative payload offset', { payloadOffset: -1 }],
    ['half a payload offset', { payloadOffset: 32.5 }],
    ['a payload offset beyond every header', { payloadOffset: 70_000 }],
    ['associated data over the payload', { aad: { offset: 0, length: 33 } }],
    ['associated data before the packet', { aad: { offset: -1, length: 2 } }],
    ['associated data of NaN bytes', { aad: { offset: 0, length: Number.NaN } }],
    ['a tag over the payload', { tag: 17 }],
    ['a tag over associated data', { tag: 7 }],
    ['a tag over the counter', { tag: 10, counter: { offset: 9, length: 2 } }],
    ['a tag nowhere', { tag: undefined }],
    ['a counter of 9 bytes', { counter: { offset: 0, length: 9 } }],
    ['a counter of no bytes', { counter: { offset: 0, length: 0 } }],
    ['a counter over the payload', { counter: { offset: 30, length: 4 }, tag: 'end' }],
    ['an unknown byte order', { counter: { offset: 4, length: 4, endian: 'middle' } }],
    ['counters in a header that has none', { counter: undefined, counters: 'header' }],
    ['counters elsewhere', { counters: 'packet' }],
  ])('refuses %s', (_, change) => {
    expect(refused(() => new AeadLayout({ ...good, ...change } as AeadLayoutOptions))).toBe('VNIC_INVALID_ARGUMENT');
  });
});

describe('createAead', () => {
  const algorithm: AeadAlgorithm = 'chacha20-poly1305';
  const key = new Uint8Array(32);

  it('takes the fastest backend when none is named', () => {
    expect(createAead({ algorithm, key }).backend).toBe('low-level');
    expect(createAead({ algorithm: 'aes-128-gcm', key: new Uint8Array(16) }).backend).toBe('evp');
  });

  it.each<[string, Partial<Record<keyof AeadOptions, unknown>>]>([
    ['an unknown algorithm', { algorithm: 'rot13' }],
    ['a short key', { key: new Uint8Array(31) }],
    ['a long key', { key: new Uint8Array(33) }],
    ['a key as text', { key: 'secret' }],
    ['a short IV', { nonce: { iv: new Uint8Array(11) } }],
    ['a counter that leaves the nonce', { nonce: { counterOffset: 5 } }],
    ['a counter of 9 bytes', { nonce: { counterOffset: 0, counterLength: 9 } }],
    ['an unknown byte order', { nonce: { endian: 'middle' } }],
    ['a limit of nothing', { nonce: { limit: 0n } }],
    ['a limit over what the counter holds', { nonce: { counterLength: 4, limit: 2n ** 32n + 1n } }],
    ['a limit that is no bigint', { nonce: { limit: 5 } }],
  ])('refuses %s', (_, change) => {
    expect(refused(() => createAead({ algorithm, key, ...change } as AeadOptions))).toBe('VNIC_INVALID_ARGUMENT');
  });

  it('says nothing of a key that it refuses', () => {
    const secret = new Uint8Array(31).fill(0x5a);
    try {
      createAead({ algorithm, key: secret });
      expect.fail('it was taken');
    } catch (error) {
      expect(JSON.stringify(error)).not.toMatch(/90|5a|ZZ/i);
    }
  });

  it('says what the runtime offers when the backend is not among it', () => {
    const options: AeadOptions = { algorithm: 'aes-256-gcm', key, backend: 'low-level' };
    expect(refused(() => createAead(options))).toBe('VNIC_UNSUPPORTED');
    expect(() => createAead(options)).toThrow('evp, node');
  });
});
