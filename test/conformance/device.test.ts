/**
 * Real TUN and TAP devices under the link conformance suite.
 *
 *   link under test <- fd -> tunX <- kernel -> AF_PACKET socket <- far side of the harness
 *
 * What the far side sends goes out of the device and is read by the link; what the link writes comes in by the
 * device and is seen by the far side.
 */

import { execFileSync } from 'node:child_process';
import { beforeAll, describe, it } from 'vitest';

import { joinedLinksHarness, type LinkHarness, linkConformanceCases, markPacket } from '../../src/testing/index.ts';
import { openInterface } from '../../src/transport/index.ts';
import { type DeviceOptions, TapDevice, TunDevice } from '../../src/tun/index.ts';
import { ioUringForbidden } from '../netns/io-uring.ts';
import { requirePrivateNetns } from '../netns/private-netns.ts';

beforeAll(() => requirePrivateNetns());

const ip = (...args: string[]): void => {
  execFileSync('ip', args);
};

const IPV4_UDP_LEN = 28;
const ETHERNET_LEN = 14;

/** To an address that the kernel neither has nor forwards to, so that it drops the packet without an answer. */
function writeIpv4Udp(packet: Uint8Array, at: number): void {
  const length = packet.length - at;
  const header = [0x45, 0, length >> 8, length & 0xff, 0, 0, 0, 0, 64, 17, 0, 0, 10, 99, 0, 2, 10, 99, 0, 3];
  const udpLength = length - 20;
  packet.set([...header, 0x10, 0, 0x10, 0, udpLength >> 8, udpLength & 0xff, 0, 0], at);
}

function ipPacket(size: number, seed: number): Uint8Array {
  const packet = markPacket(new Uint8Array(size), IPV4_UDP_LEN, seed);
  writeIpv4Udp(packet, 0);
  return packet;
}

function ethernetFrame(size: number, seed: number): Uint8Array {
  const frame = markPacket(new Uint8Array(size), ETHERNET_LEN + IPV4_UDP_LEN, seed);
  frame.set([2, 0, 0, 0, 0, 0x77, 2, 0, 0, 0, 0, 0x66, 8, 0]);
  writeIpv4Udp(frame, ETHERNET_LEN);
  return frame;
}

async function deviceHarness(kind: 'tun' | 'tap', options: DeviceOptions): Promise<LinkHarness> {
  const link = await (kind === 'tun' ? TunDevice : TapDevice).open({ name: 'conf%d', ...options });
  // The default queue of 500 packets would drop what a case injects before it reads.
  ip('link', 'set', link.name, 'txqueuelen', '10000', 'up');
  const peer = await openInterface({ name: link.name, receiveBufferLen: 16 << 20 });
  const harness = joinedLinksHarness(link, peer, {
    makePacket: kind === 'tun' ? ipPacket : ethernetFrame,
    backPressure: false,
  });
  return { ...harness, remove: async () => ip('link', 'delete', link.name) };
}

const throughRing = [
  { kind: 'tun', title: 'a TUN device through io_uring', options: { io: 'io_uring' } },
  { kind: 'tap', title: 'a TAP device through io_uring', options: { io: 'io_uring' } },
] as const;

describe.each([
  ...(ioUringForbidden ? [] : throughRing),
  { kind: 'tun', title: 'a TUN device', options: {} },
  { kind: 'tap', title: 'a TAP device', options: {} },
  { kind: 'tun', title: 'a TUN device that is read packet by packet', options: { io: 'readiness' } },
  { kind: 'tun', title: 'a TUN device with packet info', options: { packetInfo: true } },
  { kind: 'tap', title: 'a TAP device with a virtio-net header', options: { vnetHeader: true } },
  { kind: 'tun', title: 'a TUN device with offload', options: { offload: 'auto' } },
  { kind: 'tap', title: 'a TAP device with offload', options: { offload: 'auto' } },
  { kind: 'tun', title: 'a multi-queue TUN device', options: { multiQueue: true } },
] as const)('$title', ({ kind, options }) => {
  const cases = linkConformanceCases.filter(({ needs }) => needs !== 'backPressure');
  it.each(cases)('$title', ({ run }) => run(() => deviceHarness(kind, options)));
});
