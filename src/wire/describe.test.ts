import { expect, test } from 'vitest';
import { IpAddress } from '../base/index.ts';
import { describePacket } from './describe.ts';
import { dropReasons, isDropReason } from './drop-reason.ts';
import { hexdump } from './hexdump.ts';
import { emitIcmpv4, type Icmpv4Fields } from './icmpv4.ts';
import { emitIpv4 } from './ipv4.ts';
import { summarizePacket } from './summarize.ts';

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));

/** Frames as Linux 6.18 sent them over a veth pair; the lines are those of tcpdump 4.99 with our additions. */
const kernelFrames: readonly (readonly [line: string, hex: string])[] = [
  [
    'ARP, Request who-has 10.0.0.2 tell 10.0.0.1, length 28',
    'ffffffffffff425e02af606408060001080006040001425e02af60640a0000010000000000000a000002',
  ],
  [
    'ARP, Reply 10.0.0.2 is-at f2:cb:64:b9:17:b0, length 28',
    '425e02af6064f2cb64b917b008060001080006040002f2cb64b917b00a000002425e02af60640a000001',
  ],
  [
    '10.0.0.1 > 10.0.0.2: ICMP echo request, id 21, seq 1, length 64',
    'f2cb64b917b0425e02af6064080045000054081a400040011e8d0a0000010a00000208007f0f00150001c685006b00000000ef16040000000000101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637',
  ],
  [
    '10.0.0.2 > 10.0.0.1: ICMP 10.0.0.2 udp port 4000 unreachable, length 42',
    '425e02af6064f2cb64b917b0080045c0003eac4000004001b9bc0a0000020a0000010303058a000000004500002236fa40004011efce0a0000010a0000028fc60fa0000e142268656c6c6f0a',
  ],
  [
    '10.0.0.1.60684 > 10.0.0.2.4000: Flags [S], seq 3609649622, win 64240, options [mss 1460,sackOK,TS val 917635686 ecr 0,nop,wscale 10], length 0 [bad-checksum]',
    'f2cb64b917b0425e02af606408004500003c459540004006e1240a0000010a000002ed0c0fa0d726e1d600000000a002faf014310000020405b40402080a36b20266000000000103030a',
  ],
  [
    '10.0.0.2.4000 > 10.0.0.1.60684: Flags [R.], seq 0, ack 3609649623, win 0, length 0',
    '425e02af6064f2cb64b917b008004500002800004000400626ce0a0000020a0000010fa0ed0c00000000d726e1d750140000e6220000',
  ],
  [
    ':: > ff02::1:ffaf:6064: ICMP6, neighbor solicitation, who has fe80::405e:2ff:feaf:6064, options [nonce], length 32',
    '3333ffaf6064425e02af606486dd6000000000203aff00000000000000000000000000000000ff0200000000000000000001ffaf60648700307100000000fe80000000000000405e02fffeaf60640e01d4717eeee6c7',
  ],
  [
    'fd00::2 > fd00::1: ICMP6, neighbor advertisement, tgt is fd00::2, flags [solicited, override], options [destination link-address f2:cb:64:b9:17:b0], length 32',
    '425e02af6064f2cb64b917b086dd6000000000203afffd000000000000000000000000000002fd0000000000000000000000000000018800af6660000000fd0000000000000000000000000000020201f2cb64b917b0',
  ],
  [
    'fe80::405e:2ff:feaf:6064 > ff02::2: ICMP6, router solicitation, options [source link-address 42:5e:02:af:60:64], length 16',
    '333300000002425e02af606486dd6000000000103afffe80000000000000405e02fffeaf6064ff0200000000000000000000000000028500344b000000000101425e02af6064',
  ],
  [
    'fe80::405e:2ff:feaf:6064 > ff02::16: HBH ICMP6, multicast listener report v2, length 48',
    '333300000016425e02af606486dd6000000000380001fe80000000000000405e02fffeaf6064ff0200000000000000000000000000163a000502000001008f006b690000000204000000ff0200000000000000000001ffaf606404000000ff0200000000000000000001ff000001',
  ],
  [
    'fd00::2 > fd00::1: ICMP6, destination unreachable, unreachable port, fd00::2 udp port 4000, length 62',
    '425e02af6064f2cb64b917b086dd600c024c003e3a40fd000000000000000000000000000002fd000000000000000000000000000001010484620000000060040c6d000e1140fd000000000000000000000000000001fd000000000000000000000000000002baa90fa0000efa2368656c6c6f0a',
  ],
];

test.each(kernelFrames)('%s', (line, hex) => {
  expect(describePacket(bytesOf(hex), 'ethernet')).toBe(line);
});

test('a packet without its Ethernet header reads the same', () => {
  for (const [line, hex] of kernelFrames.slice(2)) expect(describePacket(bytesOf(hex).subarray(14), 'ip')).toBe(line);
});

test('a pending checksum above IP is not judged, and that of the IPv4 header is', () => {
  const syn = bytesOf(kernelFrames[4]?.[1] ?? '');
  const { tcp, drop } = summarizePacket(syn, 'ethernet', { checksumPending: true });
  expect(tcp).toMatchObject({ destinationPort: 4000 });
  expect(tcp).not.toHaveProperty('checksumOk');
  expect(drop).toBeUndefined();
  syn[22] = 63;
  expect(summarizePacket(syn, 'ethernet', { checksumPending: true }).drop).toBe('bad-checksum');
});

const echo = bytesOf(kernelFrames[2]?.[1] ?? '').subarray(14);

test('a VLAN tag stands before the packet', () => {
  const tagged = bytesOf(`020000000002 020000000001 88a8 a005 8100 1007 0800 ${Buffer.from(echo).toString('hex')}`);
  expect(describePacket(tagged, 'ethernet')).toBe(
    's-vlan 5, p 5, vlan 7, p 0, DEI, 10.0.0.1 > 10.0.0.2: ICMP echo request, id 21, seq 1, length 64',
  );
});

test('fragments tell their id, offset and whether more follow', () => {
  const out = new Uint8Array(28);
  const addresses = { source: IpAddress.parse('10.0.0.1'), destination: IpAddress.parse('10.0.0.2') };
  const header = { ...addresses, protocol: 1, payloadLen: 8, ttl: 64, identification: 1 };
  emitIpv4({ ...header, moreFragments: true, fragmentOffset: 1480 }, out, 0);
  expect(describePacket(out, 'ip')).toBe('10.0.0.1 > 10.0.0.2: ICMP, length 8 (frag id 1 offset 1480 more)');
});

test('the checksum of a first fragment is not judged, since it covers what is elsewhere', () => {
  const out = echo.slice(0, 44);
  const addresses = { source: IpAddress.parse('10.0.0.1'), destination: IpAddress.parse('10.0.0.2') };
  emitIpv4({ ...addresses, protocol: 1, payloadLen: 24, ttl: 64, identification: 1, moreFragments: true }, out, 0);
  const { icmpv4, drop } = summarizePacket(out, 'ip');
  expect([icmpv4?.checksumOk, drop]).toEqual([undefined, undefined]);
  expect(describePacket(out, 'ip')).toBe(
    '10.0.0.1 > 10.0.0.2: ICMP echo request, id 21, seq 1, length 24 (frag id 1 offset 0 more)',
  );
});

test('ports are told from four octets of UDP or TCP on', () => {
  const udp = bytesOf(kernelFrames[3]?.[1] ?? '').subarray(14 + 28);
  expect(describePacket(udp.subarray(0, 24), 'ip')).toBe(
    '10.0.0.1.36806 > 10.0.0.2.4000: UDP, length 4 [malformed: truncated]',
  );
  expect(describePacket(udp.subarray(0, 23), 'ip')).toBe('10.0.0.1 > 10.0.0.2: UDP, length 3 [malformed: truncated]');
});

test('frames of other protocols tell their addresses and type', () => {
  const addresses = '0180c200000e 020000000001';
  const route = '02:00:00:00:00:01 > 01:80:c2:00:00:0e';
  expect(describePacket(bytesOf(`${addresses} 88cc 0000`), 'ethernet')).toBe(
    `${route}, ethertype LLDP (0x88cc), length 16`,
  );
  expect(describePacket(bytesOf(`${addresses} 9999 0000`), 'ethernet')).toBe(`${route}, ethertype 0x9999, length 16`);
  expect(describePacket(bytesOf(`${addresses} 0002 4242`), 'ethernet')).toBe(`${route}, 802.3, length 2`);
});

test('ICMP errors are put into words', () => {
  const original = echo.slice(0, 28);
  const messages: [Icmpv4Fields, string][] = [
    [{ kind: 'destinationUnreachable', code: 1, nextHopMtu: 0, original }, 'host 10.0.0.2 unreachable'],
    [{ kind: 'destinationUnreachable', code: 2, nextHopMtu: 0, original }, '10.0.0.2 protocol 1 unreachable'],
    [
      { kind: 'destinationUnreachable', code: 4, nextHopMtu: 1400, original },
      '10.0.0.2 unreachable - need to frag (mtu 1400)',
    ],
    [{ kind: 'timeExceeded', code: 0, original }, 'time exceeded in-transit'],
    [{ kind: 'parameterProblem', code: 0, pointer: 20, original }, 'parameter problem, octet 20'],
    [
      { kind: 'redirect', code: 1, gateway: IpAddress.parse('10.0.0.3'), original },
      'redirect 10.0.0.2 to host 10.0.0.3',
    ],
  ];
  const addresses = { source: IpAddress.parse('10.0.0.9'), destination: IpAddress.parse('10.0.0.1') };
  for (const [message, text] of messages) {
    const out = new Uint8Array(56);
    emitIcmpv4(message, out, 20);
    emitIpv4({ ...addresses, protocol: 1, payloadLen: 36, ttl: 64 }, out, 0);
    expect(describePacket(out, 'ip')).toBe(`10.0.0.9 > 10.0.0.1: ICMP ${text}, length 36`);
  }
});

test('what cannot be read says why, after what can', () => {
  expect(describePacket(new Uint8Array(0), 'ip')).toBe('length 0 [malformed: truncated]');
  expect(describePacket(bytesOf('95'), 'ip')).toBe('length 1 [malformed: bad-version]');
  expect(describePacket(echo.subarray(0, 40), 'ip')).toBe(
    '10.0.0.1 > 10.0.0.2: ICMP echo request, id 21, seq 1, length 20 [malformed: truncated]',
  );
  expect(describePacket(echo.subarray(0, 24), 'ip')).toBe('10.0.0.1 > 10.0.0.2: ICMP, length 4 [malformed: truncated]');
});

test('a summary is plain data that survives JSON', () => {
  for (const [, hex] of kernelFrames) {
    const summary = summarizePacket(bytesOf(hex), 'ethernet');
    expect(JSON.parse(JSON.stringify(summary))).toEqual(summary);
  }
  expect(summarizePacket(echo, 'ip')).toEqual({
    length: 84,
    ipv4: {
      source: '10.0.0.1',
      destination: '10.0.0.2',
      protocol: 1,
      ttl: 64,
      dscp: 0,
      ecn: 0,
      identification: 0x081a,
      dontFragment: true,
      moreFragments: false,
      fragmentOffset: 0,
      headerLength: 20,
      totalLength: 84,
      checksumOk: true,
    },
    icmpv4: { type: 8, code: 0, length: 64, checksumOk: true, identifier: 21, sequenceNumber: 1 },
    payloadLength: 56,
  });
});

test('an error quoted in an error is not opened, so nothing nests without end', () => {
  const addresses = { source: IpAddress.parse('10.0.0.9'), destination: IpAddress.parse('10.0.0.1') };
  let packet = echo.slice(0, 28);
  for (let depth = 0; depth < 20; depth++) {
    const out = new Uint8Array(28 + packet.length);
    const payloadLen = emitIcmpv4({ kind: 'timeExceeded', code: 0, original: packet }, out, 20);
    emitIpv4({ ...addresses, protocol: 1, payloadLen, ttl: 64 }, out, 0);
    packet = out;
  }
  const { icmpv4 } = summarizePacket(packet, 'ip');
  expect(icmpv4?.original?.icmpv4?.type).toBe(11);
  expect(icmpv4?.original?.icmpv4?.original).toBeUndefined();
});

test('a hexdump shows offsets, pairs and printable ASCII only', () => {
  expect(hexdump(bytesOf('48690a1b5b41ff20 00112233445566778899'))).toBe(
    '\t0x0000:  4869 0a1b 5b41 ff20 0011 2233 4455 6677  Hi..[A...."3DUfw\n' +
      '\t0x0010:  8899                                     ..',
  );
  expect(hexdump(new Uint8Array(0))).toBe('');
});

test('every drop reason is kebab-case and explained in a sentence', () => {
  for (const [reason, sentence] of Object.entries(dropReasons)) {
    expect(reason).toMatch(/^[a-z]+(-[a-z]+)*$/);
    expect(sentence).toMatch(/^[A-Z].{20,}\.$/);
    expect(isDropReason(reason)).toBe(true);
  }
  expect([isDropReason('toString'), isDropReason('nonsense'), isDropReason({})]).toEqual([false, false, false]);
});
