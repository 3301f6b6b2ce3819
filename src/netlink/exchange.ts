/**
 * One request and its answers, without a socket: feed it datagrams until it is done.
 *
 * Every request asks for an ACK, so each ends with an NLMSG_ERROR (0 = success) or, a dump, with NLMSG_DONE.
 * Answers to another sequence number belong to a request that was given up, and are skipped.
 */

import {
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_NOOP,
  NLMSG_OVERRUN,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from './constants.ts';
import {
  align4,
  littleEndian,
  MESSAGE_HEADER_LEN,
  type MessageFault,
  type NetlinkMessage,
  parseAttributes,
  splitMessages,
} from './message.ts';

/** The kernel's refusal: `struct nlmsgerr` and the extended ACK behind it. */
export interface KernelRefusal {
  /** Positive errno. */
  readonly errno: number;
  /** `NLMSGERR_ATTR_MSG`: the kernel's own words. */
  readonly text?: string;
  /** `NLMSGERR_ATTR_OFFS`: where in the request the attribute starts that it did not like. */
  readonly offset?: number;
}

/** How an exchange ended. */
export type ExchangeEnd =
  | { readonly end: 'ok' }
  | { readonly end: 'refused'; readonly refusal: KernelRefusal }
  /** The table changed while it was dumped, or the kernel dropped a part: ask again. */
  | { readonly end: 'inconsistent' }
  | { readonly end: 'malformed'; readonly fault: MessageFault };

/** Collects what answers one request. */
export class Exchange {
  readonly #sequence: number;
  readonly #isDump: boolean;
  readonly #onMessage: (message: NetlinkMessage) => MessageFault | undefined;
  #interrupted = false;
  #fault: MessageFault | undefined;

  /**
   * @param flags the flags of the request.
   * @param onMessage takes each answer; the message is valid during the call only. A fault makes the
   *   exchange malformed, once the kernel has sent everything: a half-read dump blocks the next one.
   */
  constructor(sequence: number, flags: number, onMessage: (message: NetlinkMessage) => MessageFault | undefined) {
    this.#sequence = sequence;
    this.#isDump = (flags & NLM_F_DUMP) === NLM_F_DUMP;
    this.#onMessage = onMessage;
  }

  /** Takes a datagram from the kernel; gives the end, or undefined when more must follow. */
  take(datagram: Uint8Array): ExchangeEnd | undefined {
    const { messages, fault } = splitMessages(datagram);
    for (const message of messages) {
      if (message.sequence !== this.#sequence) continue;
      const end = this.#takeOne(message);
      if (end !== undefined) return end;
    }
    return fault === undefined ? undefined : { end: 'malformed', fault };
  }

  /** A part of a dump was lost on its way (`ENOBUFS`): the rest must still be read, and then all asked again. */
  markLoss(): void {
    this.#interrupted = true;
  }

  #takeOne(message: NetlinkMessage): ExchangeEnd | undefined {
    if ((message.flags & NLM_F_DUMP_INTR) !== 0) this.#interrupted = true;
    switch (message.type) {
      case NLMSG_NOOP:
        return undefined;
      case NLMSG_OVERRUN:
        return { end: 'inconsistent' };
      case NLMSG_ERROR:
      case NLMSG_DONE:
        return this.#ended(parseOutcome(message));
      default:
        this.#fault ??= this.#onMessage(message);
        return undefined;
    }
  }

  #ended(outcome: KernelRefusal | MessageFault | undefined): ExchangeEnd {
    if (typeof outcome === 'string') return { end: 'malformed', fault: outcome };
    if (outcome !== undefined) return { end: 'refused', refusal: outcome };
    if (this.#fault !== undefined) return { end: 'malformed', fault: this.#fault };
    return this.#isDump && this.#interrupted ? { end: 'inconsistent' } : { end: 'ok' };
  }
}

/** Reads an `NLMSG_ERROR` or `NLMSG_DONE`: the refusal, or undefined for success. */
export function parseOutcome(message: NetlinkMessage): KernelRefusal | MessageFault | undefined {
  const { body } = message;
  // NLMSG_DONE of old kernels has no status.
  if (message.type === NLMSG_DONE && body.length < 4) return undefined;
  if (body.length < 4) return 'truncated';
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  const status = view.getInt32(0, littleEndian);
  if (status >= 0) return undefined;
  const errno = -status;
  if ((message.flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const offset = message.type === NLMSG_DONE ? 4 : 4 + echoedLen(message, view);
  const attributes = parseAttributes(body, offset);
  // The errno is what counts: a damaged explanation must not hide it.
  if (typeof attributes === 'string') return { errno };
  const text = attributes.text(NLMSGERR_ATTR_MSG);
  const at = attributes.u32(NLMSGERR_ATTR_OFFS);
  return { errno, ...(text === undefined ? {} : { text }), ...(at === undefined ? {} : { offset: at }) };
}

/** How much of the request stands between status and attributes: its header, and its body unless capped. */
function echoedLen(message: NetlinkMessage, view: DataView): number {
  if ((message.flags & NLM_F_CAPPED) !== 0 || view.byteLength < 8) return MESSAGE_HEADER_LEN;
  return align4(Math.min(view.getUint32(4, littleEndian), view.byteLength));
}
