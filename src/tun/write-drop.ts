/** What a packet that could not be written is explained with. */

import { VnicError } from '../base/index.ts';
import type { Medium } from '../link/index.ts';
import { errnoName } from '../native/index.ts';

/** The device is down. */
export function linkDown(name: string): VnicError {
  return new VnicError('VNIC_LINK_DOWN', {
    attempted: `write to ${name}`,
    hint: `Bring it up: \`vnic up ${name}\`.`,
    errno: 'EIO',
    syscall: 'write',
  });
}

/** The kernel takes no such packet; `start` is its first bytes. */
export function packetRefused(name: string, medium: Medium, error: number, start: Uint8Array): VnicError {
  const bytes = Array.from(start, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const expected =
    medium === 'ip'
      ? 'an IPv4 or IPv6 header (first byte 4x or 6x)'
      : 'an Ethernet header of 14 bytes with something behind it';
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `write to ${name}`,
    reason: `the packet starts with ${bytes === '' ? 'nothing' : bytes}, the device expects ${expected}`,
    hint: 'Write whole packets without packet info or virtio-net header; the device adds what it needs.',
    errno: errnoName(error),
    syscall: 'write',
  });
}

/** Longer than IP knows. */
export function packetTooLong(name: string, length: number, maxLen: number): VnicError {
  return new VnicError('VNIC_PACKET_REFUSED', {
    attempted: `write to ${name}`,
    reason: `the packet has ${length} bytes, more than the ${maxLen} that fit`,
    hint: 'Fragment it, or write one packet per call.',
  });
}
