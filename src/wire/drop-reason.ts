/**
 * Why a packet is not taken: the closed set of reasons that the codecs return.
 *
 * Bad packets are data. A codec never throws on what the network sends; it returns one of these strings, which
 * are stable and fit as names of counters.
 */

/** Every reason with what it means, in one sentence. */
export const dropReasons = {
  truncated: 'The bytes end before the header, or before the length that a header announces.',
  'bad-version': 'The version field of the IP header is not the one of this protocol.',
  'bad-header-length': 'The header length field is smaller than the fixed part of the header.',
  'bad-length': 'A length field contradicts the header that carries it.',
  'bad-checksum': 'The checksum over the header or message is wrong.',
  'bad-option': 'An option has a length that is zero, too small for its type, or beyond the option area.',
  'bad-hop-limit': 'A neighbour discovery message came with a hop limit other than 255, so from off the link.',
  'bad-code': 'The code of an ICMP message is not the one that its type requires.',
  'bad-address': 'An address in the message may not stand where it stands.',
  'bad-fragment': 'A fragment is empty, not a multiple of 8 octets, or reaches beyond 65,535 octets.',
  'bad-hardware-type': 'The hardware type of an ARP packet is not Ethernet (1).',
  'bad-protocol-type': 'The protocol type of an ARP packet is not IPv4 (0x0800).',
  'bad-address-length': 'An ARP packet announces addresses of other sizes than 6 and 4 octets.',
  'bad-type': 'The message is of another type than the codec reads.',
  'misplaced-header': 'An IPv6 hop-by-hop options header stands elsewhere than directly after the IPv6 header.',
  'too-many-headers': 'The packet has more IPv6 extension headers, or VLAN tags, than the limit.',
} as const;

/** One of the keys of `dropReasons`. */
export type DropReason = keyof typeof dropReasons;

/** True when the result of `XView.from` or `parseX` is a reason and not a view or fields. */
export function isDropReason(result: unknown): result is DropReason {
  return typeof result === 'string' && Object.hasOwn(dropReasons, result);
}
