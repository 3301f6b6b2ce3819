import { describe, expect, it } from 'vitest';

import { type AeadAlgorithm, AeadLayout, aeadBackends, createAead } from './index.ts';

interface Vector {
  readonly source: string;
  readonly algorithm: AeadAlgorithm;
  readonly key: string;
  readonly nonce: string;
  readonly aad?: string;
  readonly plain: string;
  readonly sealed: string;
  readonly tag: string;
}

const ladies =
  "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
const drafts =
  'Internet-Drafts are draft documents valid for a maximum of six months and may be updated, replaced, or obsoleted ' +
  'by other documents at any time. It is inappropriate to use Internet-Drafts as reference material or to cite them ' +
  'other than as /“work in progress./”';

const gcmPlain =
  'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72' +
  '1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255';
const gcmSealed128 =
  '42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e' +
  '21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091473f5985';
const gcmSealed256 =
  '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa' +
  '8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad';
const gcmKey = 'feffe9928665731c6d6a8f9467308308';
const gcmNonce = 'cafebabefacedbaddecaf888';
const gcmAad = 'feedfacedeadbeeffeedfacedeadbeefabaddad2';
const zeros = (length: number): string => '00'.repeat(length);

const vectors: readonly Vector[] = [
  {
    source: 'RFC 8439, 2.8.2',
    algorithm: 'chacha20-poly1305',
    key: '808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f',
    nonce: '070000004041424344454647',
    aad: '50515253c0c1c2c3c4c5c6c7',
    plain: Buffer.from(ladies).toString('hex'),
    sealed:
      'd31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b' +
      '1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc' +
      '3ff4def08e4b7a9de576d26586cec64b6116',
    tag: '1ae10b594f09e26a7e902ecbd0600691',
  },
  {
    source: 'RFC 8439, A.5',
    algorithm: 'chacha20-poly1305',
    key: '1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0',
    nonce: '000000000102030405060708',
    aad: 'f33388860000000000004e91',
    plain: Buffer.from(drafts).toString('hex'),
    sealed:
      '64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb24c6cfc18755d43eea09ee94e382d26b0' +
      'bdb7b73c321b0100d4f03b7f355894cf332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855' +
      '9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4b9166c767b804d46a59b5216cde7a4e9' +
      '9040c5a40433225ee282a1b0a06c523eaf4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a' +
      '0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a1049e617d91d361094fa68f0ff77987130' +
      '305beaba2eda04df997b714d6c6f2c29a6ad5cb4022b02709b',
    tag: 'eead9d67890cbb22392336fea1851f38',
  },
  {
    source: 'McGrew and Viega, test case 1',
    algorithm: 'aes-128-gcm',
    key: zeros(16),
    nonce: zeros(12),
    plain: '',
    sealed: '',
    tag: '58e2fccefa7e3061367f1d57a4e7455a',
  },
  {
    source: 'McGrew and Viega, test case 2',
    algorithm: 'aes-128-gcm',
    key: zeros(16),
    nonce: zeros(12),
    plain: zeros(16),
    sealed: '0388dace60b6a392f328c2b971b2fe78',
    tag: 'ab6e47d42cec13bdf53a67b21257bddf',
  },
  {
    source: 'McGrew and Viega, test case 3',
    algorithm: 'aes-128-gcm',
    key: gcmKey,
    nonce: gcmNonce,
    plain: gcmPlain,
    sealed: gcmSealed128,
    tag: '4d5c2af327cd64a62cf35abd2ba6fab4',
  },
  {
    source: 'McGrew and Viega, test case 4',
    algorithm: 'aes-128-gcm',
    key: gcmKey,
    nonce: gcmNonce,
    aad: gcmAad,
    plain: gcmPlain.slice(0, 120),
    sealed: gcmSealed128.slice(0, 120),
    tag: '5bc94fbc3221a5db94fae95ae7121a47',
  },
  {
    source: 'McGrew and Viega, test case 13',
    algorithm: 'aes-256-gcm',
    key: zeros(32),
    nonce: zeros(12),
    plain: '',
    sealed: '',
    tag: '530f8afbc74536b9a963b4f1c4cb738b',
  },
  {
    source: 'McGrew and Viega, test case 14',
    algorithm: 'aes-256-gcm',
    key: zeros(32),
    nonce: zeros(12),
    plain: zeros(16),
    sealed: 'cea7403d4d606b6e074ec5d3baf39d18',
    tag: 'd0d1c8a799996bf0265b98b5d48ab919',
  },
  {
    source: 'McGrew and Viega, test case 15',
    algorithm: 'aes-256-gcm',
    key: gcmKey + gcmKey,
    nonce: gcmNonce,
    plain: gcmPlain,
    sealed: gcmSealed256,
    tag: 'b094dac5d93471bdec1a502270e3cc6c',
  },
  {
    source: 'McGrew and Viega, test case 16',
    algorithm: 'aes-256-gcm',
    key: gcmKey + gcmKey,
    nonce: gcmNonce,
    aad: gcmAad,
    plain: gcmPlain.slice(0, 120),
    sealed: gcmSealed256.slice(0, 120),
    tag: '76fc6ece0f4e1768cddf8853bb2d551b',
  },
];

const cases = vectors.flatMap((vector) =>
  aeadBackends()[vector.algorithm].map((backend) => ({ ...vector, backend, title: `${vector.source}: ${backend}` })),
);

describe('published vectors', () => {
  it('are tried with every backend of this node', () => {
    expect(aeadBackends()).toEqual({
      'chacha20-poly1305': ['low-level', 'evp', 'node'],
      'aes-128-gcm': ['evp', 'node'],
      'aes-256-gcm': ['evp', 'node'],
    });
  });

  it.each(cases)('$title', ({ algorithm, backend, aad = '', ...hex }) => {
    const header = Buffer.from(aad, 'hex');
    const sealed = Buffer.from(aad + hex.sealed + hex.tag, 'hex');
    const bytes = new Uint8Array(sealed.length);
    bytes.set(Buffer.from(aad + hex.plain, 'hex'));
    const length = bytes.length - 16;
    const descriptors = Uint32Array.of(0, length, 0, 0);
    const layout = new AeadLayout({
      payloadOffset: header.length,
      aad: { offset: 0, length: header.length },
      tag: 'end',
    });
    using key = createAead({
      algorithm,
      backend,
      key: Buffer.from(hex.key, 'hex'),
      nonce: { iv: Buffer.from(hex.nonce, 'hex') },
    });
    if (bytes.length === 16) return expectTagOfNothing();

    expect(key.sealBatch(bytes, descriptors, 0, 1, layout)).toBe(1);
    expect(Buffer.from(bytes).toString('hex')).toBe(sealed.toString('hex'));
    expect(key.openBatch(bytes, descriptors, 0, 1, layout)).toBe(1);
    expect(Buffer.from(bytes.subarray(0, length)).toString('hex')).toBe(aad + hex.plain);
    expect(descriptors[1]).toBe(length);

    // A packet of length 0 is a dropped one, so the empty message gets a header that nobody authenticates.
    function expectTagOfNothing(): void {
      const packet = new Uint8Array(17);
      const words = Uint32Array.of(0, 1, 0, 0);
      const unread = new AeadLayout({ payloadOffset: 1, tag: 'end' });
      expect(key.sealBatch(packet, words, 0, 1, unread)).toBe(1);
      expect(Buffer.from(packet).toString('hex')).toBe(`00${hex.tag}`);
      expect([key.openBatch(packet, words, 0, 1, unread), words[1]]).toEqual([1, 1]);
    }
  });
});
