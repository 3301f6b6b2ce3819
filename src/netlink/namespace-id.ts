/**
 * Ids of network namespaces on the wire: `RTM_NEWNSID`, `RTM_DELNSID`, `RTM_GETNSID`
 * (`include/uapi/linux/net_namespace.h`). Each namespace numbers those that it knows of; `LinkInfo.netnsId` is such a number.
 *
 *   struct rtgenmsg   0 family u8
 */

import { Netnsa } from './constants.ts';
import { type MessageBuilder, type MessageFault, parseBody } from './message.ts';

const RTGENMSG_LEN = 1;

/** The id of a namespace; -1 for one that has none here. */
export interface NamespaceId {
  readonly netnsId: number;
}

/** Reads the body of an answer or an event. */
export function parseNamespaceId(body: Uint8Array): NamespaceId | MessageFault {
  const parsed = parseBody(body, RTGENMSG_LEN);
  if (typeof parsed === 'string') return parsed;
  const netnsId = parsed.attributes.i32(Netnsa.NSID);
  return netnsId === undefined ? 'truncated' : { netnsId };
}

/** Appends which namespace, by descriptor, and the id to give it; -1 lets the kernel choose. */
export function putNamespaceId(builder: MessageBuilder, fd?: number, netnsId?: number): MessageBuilder {
  builder.fixed(RTGENMSG_LEN, () => undefined);
  if (fd !== undefined) builder.u32(Netnsa.FD, fd);
  return netnsId === undefined ? builder : builder.i32(Netnsa.NSID, netnsId);
}
