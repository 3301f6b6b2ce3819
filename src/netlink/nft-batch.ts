/**
 * Transactions of nftables: several messages between a begin and an end, all of them done or none.
 *
 * The kernel works inside `send`: when it returns, an acknowledgement or a refusal for each message lies in the
 * receive queue. A batch may name the generation of the rules that it was thought out for; when somebody else has
 * changed them meanwhile, the kernel answers ERESTART and does nothing.
 */

import { VnicError } from '../base/index.ts';
import { errno, systemError } from '../native/index.ts';
import type { NetnsOptions } from '../netns/index.ts';
import { NLM_F_ACK, NLM_F_REQUEST, NLMSG_ERROR } from './constants.ts';
import { type KernelRefusal, parseOutcome } from './exchange.ts';
import { type MessageBuilder, type MessageFault, splitMessages } from './message.ts';
import {
  be32,
  NFNL_BATCH_GENID,
  NFNL_SUBSYS_NFTABLES,
  NFTA_GEN_ID,
  NftMsg,
  nftMessage,
  parseNft,
  readBe32,
} from './nftables.ts';
import { refusalError } from './request-error.ts';
import { NetlinkSocket, requestMessage, requestSync } from './socket.ts';

/** `linux/netlink.h` */
export const NETLINK_NETFILTER: number = 12;
/** `asm-generic/errno.h`; libuv has no name for it. */
const ERESTART = 85;
const ATTEMPTS = 20;

/** Flags of a message inside of a batch. */
export const NFT_REQUEST: number = NLM_F_REQUEST | NLM_F_ACK;

/**
 * Thinks out a batch and does it, again while others change the rules in between.
 * @param plan gives the messages, each with `NFT_REQUEST`; none for nothing to do. What it throws ends the attempt.
 * @throws VNIC_NO_PRIVILEGE, VNIC_UNSUPPORTED, VNIC_RULE_EXISTS, VNIC_NETLINK
 */
export async function transact(
  attempted: string,
  options: NetnsOptions,
  plan: () => MessageBuilder[] | Promise<MessageBuilder[]>,
): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const generation = readGeneration(attempted, options);
    const messages = await plan();
    if (messages.length === 0) return;
    const refusal = send(attempted, options, messages, generation);
    if (refusal === undefined) return;
    if (refusal.errno !== ERESTART) {
      throw refusalError(refusal, { subject: 'firewall', attempted, call: 'NFNL_MSG_BATCH' });
    }
  }
  throw new VnicError('VNIC_NETLINK', {
    attempted,
    reason: 'other programs changed the rules each time in between',
    hint: 'Try again when the firewall is at rest.',
    errno: 'ERESTART',
    syscall: 'NFNL_MSG_BATCH',
  });
}

/** Undefined when all was done, else the first refusal. */
function send(
  attempted: string,
  options: NetnsOptions,
  messages: readonly MessageBuilder[],
  generation: number,
): KernelRefusal | undefined {
  const begin = nftMessage(NftMsg.BATCH_BEGIN, NLM_F_REQUEST, 0, NFNL_SUBSYS_NFTABLES);
  begin.bytes(NFNL_BATCH_GENID, be32(generation));
  const end = nftMessage(NftMsg.BATCH_END, NLM_F_REQUEST, 0, NFNL_SUBSYS_NFTABLES);
  const parts = [begin, ...messages, end].map((message, i) => message.finish(i + 1));
  const socket = new NetlinkSocket(attempted, { ...options, protocol: NETLINK_NETFILTER });
  try {
    const sent = socket.send(Buffer.concat(parts));
    if (sent !== 0) throw systemError(attempted, 'send(NFNL_MSG_BATCH)', sent);
    return firstRefusal(socket, attempted);
  } finally {
    socket.close();
  }
}

function firstRefusal(socket: NetlinkSocket, attempted: string): KernelRefusal | undefined {
  let found: KernelRefusal | undefined;
  for (;;) {
    const datagram = socket.receive();
    if (datagram === errno.EAGAIN) return found;
    if (typeof datagram === 'number') throw systemError(attempted, 'receive(NFNL_MSG_BATCH)', datagram);
    for (const message of splitMessages(datagram).messages) {
      const outcome = message.type === NLMSG_ERROR ? parseOutcome(message) : undefined;
      if (typeof outcome === 'object') found ??= outcome;
    }
  }
}

function readGeneration(attempted: string, options: NetnsOptions): number {
  let generation = 0;
  const message = requestMessage(NftMsg.GETGEN).fixed(4, () => undefined);
  const onMessage = ({ body }: { body: Uint8Array }): MessageFault | undefined => {
    const attributes = parseNft(body);
    if (typeof attributes === 'string') return attributes;
    generation = readBe32(attributes.bytes(NFTA_GEN_ID)) ?? 0;
    return undefined;
  };
  const request = { subject: 'firewall', attempted, call: 'NFT_MSG_GETGEN', message, onMessage } as const;
  requestSync(request, { ...options, protocol: NETLINK_NETFILTER });
  return generation;
}
