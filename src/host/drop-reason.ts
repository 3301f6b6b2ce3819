/** Why the responder did not answer a packet: the reasons of the codecs, and its own. */

import { type DropReason, dropReasons } from '../wire/index.ts';

/** The responder's own reasons with what they mean, in one sentence. */
export const hostDropReasons = {
  'not-for-us': 'The destination is none of the answered addresses, or the frame is for another station.',
  'bad-source': 'The source is multicast, broadcast, unspecified, loopback or the destination itself.',
  'icmp-error': 'An ICMP error; answering errors is forbidden (RFC 1122 section 3.2.2, RFC 4443 section 2.4).',
  'not-echo': 'An ICMP, ARP or neighbour discovery message that asks for nothing the responder does.',
  'other-protocol': 'A protocol other than ICMP, ARP and, where it is refused, UDP.',
  'source-routed': 'The sender prescribes the route of the packet, or the packet is not at its end yet.',
  'unknown-option': 'An IPv6 option that is not known and must not be skipped (RFC 8200 section 4.2).',
  'address-conflict': 'Somebody else claims one of the answered addresses.',
  'reassembly-overlap': 'Fragments of one datagram overlap or contradict each other (RFC 5722); all are dropped.',
  'reassembly-duplicate': 'A fragment that is there already.',
  'reassembly-overflow': 'An incomplete datagram was given up for a newer one.',
  'reassembly-timeout': 'An incomplete datagram whose missing fragments did not come in time.',
  'simulated-loss': 'A reply that the option `loss` has taken out.',
  'delay-queue-full': 'A reply that found no room in the queue of delayed ones.',
  'outbox-full': 'A reply that found no room in the outbox, because the link does not take packets.',
  'rate-limited': 'An ICMP error that was not sent, because there were too many.',
} as const;

/** A key of `hostDropReasons`, or of the codecs' `dropReasons`. */
export type HostDropReason = DropReason | keyof typeof hostDropReasons;

/** One zero per reason. */
export function zeroDropCounters(): Record<HostDropReason, number> {
  const names = [...Object.keys(dropReasons), ...Object.keys(hostDropReasons)];
  return Object.fromEntries(names.map((name) => [name, 0])) as Record<HostDropReason, number>;
}
