/**
 * Names of multicast listener discovery messages (RFC 2710, RFC 3810), for printing.
 *
 * Not supported: everything else of them; the codecs keep these messages as ICMPv6 `other`.
 */

import { Icmpv6Type } from './protocol-numbers.ts';

/** The name of an MLD message by ICMPv6 type; undefined for other types. */
export function mldName(type: number): string | undefined {
  switch (type) {
    case Icmpv6Type.mldQuery:
      return 'multicast listener query';
    case Icmpv6Type.mldReport:
      return 'multicast listener report';
    case Icmpv6Type.mldDone:
      return 'multicast listener done';
    case Icmpv6Type.mldv2Report:
      return 'multicast listener report v2';
    default:
      return undefined;
  }
}
