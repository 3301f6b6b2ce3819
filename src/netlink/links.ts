/** Links: list, read, change, delete. */

import { invalidArgument, isVnicError } from '../base/index.ts';
import { Rtm } from './constants.ts';
import { checkInterfaceName, checkLinkSelector, describeLink, type LinkSelector } from './interface-name.ts';
import { type LinkChange, type LinkInfo, parseLink, putLinkChange, putLinkSelector } from './link.ts';
import type { MessageFault, NetlinkMessage } from './message.ts';
import { dumpMessage, type NetlinkRequest, type NetlinkRequester, requestMessage, requestSync } from './socket.ts';

const U32_MAX = 0xffff_ffff;
const MAX_ALIAS_LEN = 255;

/** Whatever waits can be given up by a signal: VNIC_ABORTED. */
export interface RequestOptions {
  readonly signal?: AbortSignal;
}

/** Which links to list; absent means all. */
export interface ListLinksOptions extends RequestOptions {
  /** Such as `tun` (TUN and TAP), `veth`, `bridge`. */
  readonly kind?: string;
}

/** The links of the network namespace that the socket was opened in. */
export class Links {
  readonly #requester: NetlinkRequester;

  constructor(requester: NetlinkRequester) {
    this.#requester = requester;
  }

  /** All links, by rising index. @throws VNIC_NETLINK, VNIC_ABORTED, VNIC_LINK_CLOSED */
  async list(options: ListLinksOptions = {}): Promise<LinkInfo[]> {
    const links: LinkInfo[] = [];
    await this.#requester.request({
      subject: 'link',
      attempted: 'list the links',
      call: 'RTM_GETLINK',
      message: putLinkSelector(dumpMessage(Rtm.GETLINK), undefined),
      ...collectInto(links, Rtm.NEWLINK, parseLink),
      signal: options.signal,
    });
    const { kind } = options;
    return links.filter((link) => kind === undefined || link.kind === kind).sort((a, b) => a.index - b.index);
  }

  /** @throws VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_ABORTED, VNIC_LINK_CLOSED */
  async get(link: LinkSelector, options: RequestOptions = {}): Promise<LinkInfo> {
    const { request, result } = getLinkRequest(link, `read ${describeLink(link)}`);
    await this.#requester.request({ ...request, signal: options.signal });
    return result();
  }

  /**
   * Changes a link in one request. The kernel applies the parts one by one (MAC, MTU, name, flags, queue
   * length): after an error, those before the refused one are in force.
   * @throws VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_ARGUMENT, VNIC_INVALID_NAME,
   *   VNIC_NAME_TOO_LONG, VNIC_DEVICE_EXISTS (the new name is taken), VNIC_DEVICE_BUSY, VNIC_UNSUPPORTED
   */
  async set(link: LinkSelector, change: LinkChange, options: RequestOptions = {}): Promise<void> {
    const attempted = `set ${describeChange(change)} of ${describeLink(link)}`;
    checkChange(change, attempted);
    const index = await this.resolve(link, attempted, options);
    await this.#requester.request({
      subject: 'link',
      attempted,
      call: 'RTM_SETLINK',
      message: putLinkChange(requestMessage(Rtm.SETLINK), index, change),
      signal: options.signal,
    });
  }

  /**
   * Deletes a virtual link, whoever holds it.
   * @throws VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE, VNIC_UNSUPPORTED (hardware, loopback)
   */
  async delete(link: LinkSelector, options: RequestOptions = {}): Promise<void> {
    const attempted = `delete ${describeLink(link)}`;
    checkLinkSelector(link, attempted);
    await this.#requester.request({
      subject: 'link',
      attempted,
      call: 'RTM_DELLINK',
      message: putLinkSelector(requestMessage(Rtm.DELLINK), link),
      signal: options.signal,
    });
  }

  /** The index of a link; a number is checked for its range only. @throws as `get` */
  async resolve(
    link: LinkSelector,
    attempted: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<number> {
    checkLinkSelector(link, attempted);
    if (typeof link === 'number') return link;
    const { request, result } = getLinkRequest(link, attempted);
    await this.#requester.request({ ...request, signal: options.signal });
    return result().index;
  }
}

/**
 * Reads a link at once, on a socket of its own: the kernel answers without a wait. Meant for diagnosis on
 * synchronous paths; use `Netlink.links.get` elsewhere.
 * @returns undefined when there is none of that name or index.
 * @throws VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_INVALID_ARGUMENT, VNIC_SYSTEM_CALL, VNIC_NETLINK
 */
export function getLinkSync(link: LinkSelector): LinkInfo | undefined {
  const { request, result } = getLinkRequest(link, `read ${describeLink(link)}`);
  try {
    requestSync(request);
  } catch (error) {
    if (isVnicError(error, 'VNIC_NO_SUCH_INTERFACE')) return undefined;
    throw error;
  }
  return result();
}

/** The parts of a request that parse each answer of a type into an array. */
export function collectInto<T extends object>(
  results: T[],
  type: number,
  parse: (body: Uint8Array) => T | undefined | MessageFault,
): Required<Pick<NetlinkRequest, 'onMessage' | 'onRestart'>> {
  return {
    onMessage: (message: NetlinkMessage): MessageFault | undefined => {
      if (message.type !== type) return undefined;
      const parsed = parse(message.body);
      if (typeof parsed === 'string') return parsed;
      if (parsed !== undefined) results.push(parsed);
      return undefined;
    },
    onRestart: (): void => {
      results.length = 0;
    },
  };
}

function getLinkRequest(link: LinkSelector, attempted: string): { request: NetlinkRequest; result: () => LinkInfo } {
  checkLinkSelector(link, attempted);
  const found: LinkInfo[] = [];
  const request: NetlinkRequest = {
    subject: 'link',
    attempted,
    call: 'RTM_GETLINK',
    message: putLinkSelector(requestMessage(Rtm.GETLINK), link),
    ...collectInto(found, Rtm.NEWLINK, parseLink),
  };
  // The kernel acknowledges RTM_GETLINK only after it has sent the link.
  return { request, result: () => found[0] as LinkInfo };
}

function checkChange(change: LinkChange, attempted: string): void {
  if (Object.values(change).every((value) => value === undefined)) {
    throw invalidArgument(attempted, 'at least one thing to change', 'none');
  }
  if (change.name !== undefined) checkInterfaceName(change.name, attempted);
  checkU32(change.mtu, 'an MTU in bytes', attempted);
  checkU32(change.txQueueLen, 'a queue length in packets', attempted);
  checkU32(change.group, 'a group number', attempted);
  checkU32(change.master, 'the index of a link, or 0', attempted);
  if (change.alias !== undefined && new TextEncoder().encode(change.alias).length > MAX_ALIAS_LEN) {
    throw invalidArgument(attempted, `an alias of at most ${MAX_ALIAS_LEN} bytes`, change.alias);
  }
}

/** The kernel's own ranges are narrower and its refusal says them; here only what a u32 can hold. */
export function checkU32(value: number | undefined, what: string, attempted: string): void {
  if (value === undefined) return;
  if (!Number.isInteger(value) || value < 0 || value > U32_MAX) {
    throw invalidArgument(attempted, `${what}, a whole number from 0 to ${U32_MAX}`, value);
  }
}

function describeChange(change: LinkChange): string {
  const parts = Object.entries(change).filter(([, value]) => value !== undefined);
  return parts
    .map(([key, value]) => (typeof value === 'boolean' ? `${key} ${value ? 'on' : 'off'}` : `${key} ${value}`))
    .join(', ');
}
