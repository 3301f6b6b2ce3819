/**
 * Finds the upper layer behind IPv6 extension headers (RFC 8200 section 4, AH RFC 4302).
 *
 * ```
 * octet 0               1              2
 *       +---------------+--------------+------------------------------------------------
 *       | next header(1)| length (1)   | by protocol; (length + 1) * 8 octets in all,
 *       |               |              | AH (length + 2) * 4, fragment always 8
 *       +---------------+--------------+------------------------------------------------
 * ```
 * The walk ends at an upper-layer protocol, ESP, no next header, or a fragment other than the first, behind
 * which there is no header. It reads at most `maxExtensionHeaders` headers.
 */

import { u8, u16, u32 } from './bytes.ts';
import type { DropReason } from './drop-reason.ts';
import type { Ipv6View } from './ipv6.ts';
import { Ipv6OptionType, ipv6OptionsOk } from './ipv6-option.ts';
import { IpProtocol } from './protocol-numbers.ts';

/** The most extension headers of one packet; RFC 8504 section 5.3 lets a host set a limit. */
export const maxExtensionHeaders = 8;

/** True for the protocols that `Ipv6ExtensionWalker` can step over. */
export function isIpv6Extension(protocol: number): boolean {
  return (
    protocol === IpProtocol.hopByHop ||
    protocol === IpProtocol.routing ||
    protocol === IpProtocol.fragment ||
    protocol === IpProtocol.authentication ||
    protocol === IpProtocol.destinationOptions
  );
}

/** Octets of the extension header of kind `protocol` at `offset`, of which two octets must be there. */
export function ipv6ExtensionLen(protocol: number, bytes: Uint8Array, offset: number): number {
  if (protocol === IpProtocol.fragment) return 8;
  const field = u8(bytes, offset + 1);
  return protocol === IpProtocol.authentication ? (field + 2) * 4 : (field + 1) * 8;
}

/** The result of one walk; reusable, allocates nothing. Offsets count from the start of the array. */
export class Ipv6ExtensionWalker {
  /** Protocol behind the last extension header. */
  protocol = 0;
  /** Where that protocol's header begins, or for a later fragment where its data begins. */
  payloadOffset = 0;
  /** The octet that names `protocol`: what the pointer of an ICMPv6 parameter problem refers to. */
  protocolOffset = 0;
  headerCount = 0;
  /** Where the fragment header stands; -1 without one. */
  fragmentHeaderOffset = -1;
  /** In octets; 0 without a fragment header. */
  fragmentOffset = 0;
  moreFragments = false;
  /** Of the fragment header, 32 bits. */
  identification = 0;
  /** Where the last routing header stands; -1 without one. */
  routingHeaderOffset = -1;
  /** Of that routing header; while above 0 the packet is not at its final destination. */
  segmentsLeft = 0;
  /**
   * The type octet of the first option that is not known and whose two highest bits say that it must not be
   * skipped (RFC 8200 section 4.2); -1 without one.
   */
  unknownOptionOffset = -1;

  /** Hot: walks the headers of a wrapped packet. */
  walk(packet: Ipv6View): DropReason | undefined {
    return this.walkBytes(packet.bytes, packet.nextHeader, packet.offset + 6, packet.payloadOffset, packet.end);
  }

  /**
   * Hot: walks from `offset`, where a header of kind `protocol` stands.
   * @param protocolOffset the octet that names `protocol`
   * @param end exclusive end of the packet
   */
  walkBytes(
    bytes: Uint8Array,
    protocol: number,
    protocolOffset: number,
    offset: number,
    end: number,
  ): DropReason | undefined {
    this.reset(protocol, protocolOffset, offset);
    while (isIpv6Extension(this.protocol)) {
      if (this.headerCount === maxExtensionHeaders) return 'too-many-headers';
      const at = this.payloadOffset;
      if (end - at < 8) return 'truncated';
      const length = ipv6ExtensionLen(this.protocol, bytes, at);
      if (end - at < length) return 'truncated';
      const reason = this.read(bytes, at, length, end);
      if (reason !== undefined) return reason;
      this.protocolOffset = at;
      this.protocol = u8(bytes, at);
      this.payloadOffset = at + length;
      this.headerCount++;
      if (this.fragmentOffset > 0) return undefined;
    }
    return undefined;
  }

  private reset(protocol: number, protocolOffset: number, offset: number): void {
    this.protocol = protocol;
    this.payloadOffset = offset;
    this.protocolOffset = protocolOffset;
    this.headerCount = 0;
    this.fragmentHeaderOffset = -1;
    this.fragmentOffset = 0;
    this.moreFragments = false;
    this.identification = 0;
    this.routingHeaderOffset = -1;
    this.segmentsLeft = 0;
    this.unknownOptionOffset = -1;
  }

  /** Notes what the header of kind `this.protocol` at `at` says. */
  private read(bytes: Uint8Array, at: number, length: number, end: number): DropReason | undefined {
    switch (this.protocol) {
      case IpProtocol.hopByHop:
        return this.headerCount > 0 ? 'misplaced-header' : this.readOptions(bytes, at, length);
      case IpProtocol.destinationOptions:
        return this.readOptions(bytes, at, length);
      case IpProtocol.fragment:
        return this.readFragment(bytes, at, end);
      case IpProtocol.authentication:
        return length < 12 ? 'bad-length' : undefined;
      default:
        this.routingHeaderOffset = at;
        this.segmentsLeft = u8(bytes, at + 3);
        return undefined;
    }
  }

  private readFragment(bytes: Uint8Array, at: number, end: number): DropReason | undefined {
    const field = u16(bytes, at + 2);
    this.fragmentHeaderOffset = at;
    this.fragmentOffset = field & 0xfff8;
    this.moreFragments = (field & 1) !== 0;
    this.identification = u32(bytes, at + 4);
    const length = end - at - 8;
    if (this.moreFragments && (length % 8 !== 0 || length === 0)) return 'bad-fragment';
    return this.fragmentOffset + length > 0xffff ? 'bad-fragment' : undefined;
  }

  private readOptions(bytes: Uint8Array, at: number, length: number): DropReason | undefined {
    const end = at + length;
    if (!ipv6OptionsOk(bytes, at + 2, end)) return 'bad-option';
    for (let i = at + 2; i < end && this.unknownOptionOffset < 0; ) {
      const type = u8(bytes, i);
      if (type >= 0x40) this.unknownOptionOffset = i;
      i += type === Ipv6OptionType.pad1 ? 1 : u8(bytes, i + 1) + 2;
    }
    return undefined;
  }
}
