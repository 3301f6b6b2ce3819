/**
 * ARP of the responder (RFC 826, RFC 5227): requests and probes for answered addresses are answered in place.
 *
 * A probe (sender 0.0.0.0) is answered like a request, which tells who does duplicate address detection that the
 * address is taken. Announcements are not answered; one for an answered address counts as a conflict.
 */

import { ArpOperation, ArpView, arpLen, ethernetHeaderLen, putU16 } from '../wire/index.ts';
import { isIpv4Unicast } from './address-set.ts';
import { drop } from './counters.ts';
import type { HostDropReason } from './drop-reason.ts';
import type { HostContext } from './host-context.ts';

export class ArpHost {
  readonly #host: HostContext;
  readonly #arp = new ArpView();

  constructor(host: HostContext) {
    this.#host = host;
  }

  /**
   * Answers the ARP packet in the frame of `length` octets at `frame`.
   * @returns octets of the frame that stands in its place now; 0 when there is none
   */
  answer(bytes: Uint8Array, frame: number, length: number): number {
    const { counters } = this.#host;
    const arp = this.#arp;
    const reason = arp.wrap(bytes, frame + ethernetHeaderLen, length - ethernetHeaderLen) ?? this.#check(frame);
    if (reason !== undefined) return drop(counters, reason);
    this.#turnIntoReply(frame);
    counters.arpReplies++;
    // What padded the request is cut: a device takes short frames, and nothing is sent back unread.
    return ethernetHeaderLen + arpLen;
  }

  #check(frame: number): HostDropReason | undefined {
    const { addresses, macs } = this.#host;
    const arp = this.#arp;
    const { bytes, senderHardwareOffset, senderProtocolOffset, targetProtocolOffset } = arp;
    const hardware = bytes[senderHardwareOffset] as number;
    if ((hardware & 1) === 1 || isZeroMac(bytes, senderHardwareOffset)) return 'bad-source';
    if (addresses.hasIpv4(bytes, senderProtocolOffset)) return 'address-conflict';
    if (arp.operation !== ArpOperation.request) return 'not-echo';
    if (!addresses.hasIpv4(bytes, targetProtocolOffset)) return 'not-for-us';
    const isGroup = ((bytes[frame] as number) & 1) === 1;
    if (!isGroup && !macs.isFor(bytes, frame, targetProtocolOffset, 4)) return 'not-for-us';
    if (arp.isProbe) return undefined;
    if (!isIpv4Unicast(bytes, senderProtocolOffset)) return 'bad-source';
    return addresses.isIpv4Broadcast(bytes, senderProtocolOffset) ? 'bad-source' : undefined;
  }

  #turnIntoReply(frame: number): void {
    const { macs } = this.#host;
    const { bytes, offset, senderHardwareOffset, senderProtocolOffset, targetHardwareOffset, targetProtocolOffset } =
      this.#arp;
    putU16(bytes, offset + 6, ArpOperation.reply);
    bytes.copyWithin(targetHardwareOffset, senderHardwareOffset, senderHardwareOffset + 6);
    for (let i = 0; i < 4; i++) {
      const asked = bytes[targetProtocolOffset + i] as number;
      bytes[targetProtocolOffset + i] = bytes[senderProtocolOffset + i] as number;
      bytes[senderProtocolOffset + i] = asked;
    }
    macs.write(bytes, senderHardwareOffset, bytes, senderProtocolOffset, 4);
    bytes.copyWithin(frame, targetHardwareOffset, targetHardwareOffset + 6);
    bytes.copyWithin(frame + 6, senderHardwareOffset, senderHardwareOffset + 6);
  }
}

function isZeroMac(bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 6; i++) if (bytes[offset + i] !== 0) return false;
  return true;
}
