/**
 * Link types of capture files: what the bytes of a packet start with. The numbers are those of the registry that pcap and
 * pcapng share (https://www.tcpdump.org/linktypes.html).
 */

import type { Medium } from '../link/index.ts';

/** Link types that are read; `ethernet` and `raw` are written. */
export const LinkType: {
  readonly ethernet: 1;
  /** IPv4 or IPv6, told apart by the version. */
  readonly raw: 101;
  /** "Cooked": 16 octets of metadata, then the packet. What capturing on every interface gave until 2020. */
  readonly linuxSll: 113;
  readonly ipv4: 228;
  readonly ipv6: 229;
  /** The same with 20 octets, what capturing on every interface gives. */
  readonly linuxSll2: 276;
} = { ethernet: 1, raw: 101, linuxSll: 113, ipv4: 228, ipv6: 229, linuxSll2: 276 };

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;

/** Octets before the packet, and where among them its EtherType stands; that of a bare packet is not told. */
const layouts: Readonly<Record<number, { readonly headerLen: number; readonly etherTypeAt: number }>> = {
  [LinkType.raw]: { headerLen: 0, etherTypeAt: -1 },
  [LinkType.ipv4]: { headerLen: 0, etherTypeAt: -1 },
  [LinkType.ipv6]: { headerLen: 0, etherTypeAt: -1 },
  [LinkType.linuxSll]: { headerLen: 16, etherTypeAt: 14 },
  [LinkType.linuxSll2]: { headerLen: 20, etherTypeAt: 0 },
};

/** What packets of a link type are on a link; undefined for a type that is not supported. */
export function mediumOfLinkType(linkType: number): Medium | undefined {
  if (linkType === LinkType.ethernet) return 'ethernet';
  return layouts[linkType] === undefined ? undefined : 'ip';
}

/**
 * Hot. Where the packet begins that stands in a record of a link type which `mediumOfLinkType` knows.
 * @returns its offset from the start of the record; -1 when there is no such packet, as when it is neither IPv4 nor IPv6
 */
export function packetStart(linkType: number, bytes: Uint8Array, offset: number, length: number): number {
  if (linkType === LinkType.ethernet) return length >= 14 ? 0 : -1;
  const layout = layouts[linkType];
  if (layout === undefined || length <= layout.headerLen) return -1;
  const { headerLen, etherTypeAt } = layout;
  if (etherTypeAt >= 0) {
    const at = offset + etherTypeAt;
    const etherType = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
    if (etherType !== ETHERTYPE_IPV4 && etherType !== ETHERTYPE_IPV6) return -1;
  }
  const version = (bytes[offset + headerLen] as number) >> 4;
  return version === 4 || version === 6 ? headerLen : -1;
}

/** The link type that is written for a medium. */
export function linkTypeOfMedium(medium: Medium): number {
  return medium === 'ethernet' ? LinkType.ethernet : LinkType.raw;
}
