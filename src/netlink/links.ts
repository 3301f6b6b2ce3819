/** Links: list, read, make, change, move, delete. */

import { invalidArgument, isVnicError } from '../base/index.ts';
import { type NetnsOptions, type NetnsSelector, NetworkNamespace, openNetworkNamespace } from '../netns/index.ts';
import { putBridge, putBridgePort } from './bridge.ts';
import { Ifla, NLM_F_CREATE, NLM_F_EXCL, RTEXT_FILTER_SKIP_STATS, Rtm } from './constants.ts';
import {
  checkInterfaceName,
  checkLinkSelector,
  describeLink,
  type LinkSelector,
  MAX_ALTERNATIVE_NAME_LEN,
} from './interface-name.ts';
import { type LinkChange, type LinkInfo, parseLink, putLinkChange, putLinkSelector } from './link.ts';
import {
  checkChange,
  checkRange,
  checkSpec,
  describeChange,
  type LinkEndSpec,
  type LinkSpec,
  putLinkSpec,
} from './link-spec.ts';
import type { MessageFault, NetlinkMessage } from './message.ts';
import { dumpMessage, type NetlinkRequest, NetlinkRequester, requestMessage, requestSync } from './socket.ts';

/** Whatever waits can be given up by a signal: VNIC_ABORTED. */
export interface RequestOptions {
  readonly signal?: AbortSignal;
}

/** Which links to list; absent means all. */
export interface ListLinksOptions extends RequestOptions {
  /** Such as `tun` (TUN and TAP), `veth`, `bridge`. */
  readonly kind?: string;
  /** Leave the statistics out, which take a third of the answer: all are 0 then. Default false. */
  readonly withoutStatistics?: boolean;
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
    const message = putLinkSelector(dumpMessage(Rtm.GETLINK), undefined);
    await this.#requester.request({
      subject: 'link',
      attempted: 'list the links',
      call: 'RTM_GETLINK',
      message: options.withoutStatistics ? message.u32(Ifla.EXT_MASK, RTEXT_FILTER_SKIP_STATS) : message,
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
    const { bridge, bridgePort, ...basic } = change;
    const index = await this.resolve(link, attempted, options);
    const { signal } = options;
    if (Object.values(basic).some((value) => value !== undefined)) {
      await withDescriptors([basic.netns], ([netns]) =>
        this.#requester.request({
          subject: 'link',
          attempted,
          call: 'RTM_SETLINK',
          message: putLinkChange(requestMessage(Rtm.SETLINK), index, basic, netns),
          signal,
        }),
      );
    }
    if (bridge !== undefined) {
      // The kernel takes the data of a kind in RTM_NEWLINK only.
      const message = putBridge(putLinkSelector(requestMessage(Rtm.NEWLINK), index), bridge);
      await this.#requester.request({ subject: 'link', attempted, call: 'RTM_NEWLINK', message, signal });
    }
    if (bridgePort === undefined) return;
    const message = putBridgePort(requestMessage(Rtm.SETLINK), index, bridgePort, attempted);
    await this.#requester.request({ subject: 'link', attempted, call: 'RTM_SETLINK', message, signal });
  }

  /**
   * Makes a bridge or a veth pair with its settings: all of it or nothing.
   * @throws VNIC_DEVICE_EXISTS, VNIC_NO_PRIVILEGE, VNIC_INVALID_ARGUMENT, VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG,
   *   VNIC_NO_SUCH_NAMESPACE, VNIC_UNSUPPORTED (the kernel lacks the driver)
   */
  async create(spec: LinkSpec, options: RequestOptions = {}): Promise<void> {
    const attempted = `create ${spec.kind} ${JSON.stringify(spec.name)}`;
    checkSpec(spec, attempted);
    const peer = spec.kind === 'veth' ? spec.peer.netns : undefined;
    await withDescriptors([spec.netns, peer], ([own, other]) =>
      this.#requester.request({
        subject: 'link',
        attempted,
        call: 'RTM_NEWLINK',
        message: putLinkSpec(requestMessage(Rtm.NEWLINK, NLM_F_CREATE | NLM_F_EXCL), spec, { own, peer: other }),
        signal: options.signal,
      }),
    );
    if (spec.kind === 'veth') await this.#complete(spec.peer, { up: spec.peer.up }, attempted, options);
    else await this.#complete(spec, { mtu: spec.mtu }, attempted, options);
  }

  /**
   * Gives a link further names, of up to 127 bytes each, by which it is found as well.
   * @throws VNIC_DEVICE_EXISTS (a name is taken), VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_NAME,
   *   VNIC_NAME_TOO_LONG
   */
  async addAltNames(link: LinkSelector, names: readonly string[], options: RequestOptions = {}): Promise<void> {
    await this.#changeAltNames('add', link, names, options);
  }

  /** Takes further names away. @throws VNIC_NO_SUCH_INTERFACE (also for a name that the link does not have), VNIC_NO_PRIVILEGE */
  async removeAltNames(link: LinkSelector, names: readonly string[], options: RequestOptions = {}): Promise<void> {
    await this.#changeAltNames('remove', link, names, options);
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

  /**
   * What the kernel does not take while it makes a link: the far end of a veth pair cannot be up before the two are joined
   * (ENOTCONN), and a bridge forgets its MTU with the first port unless that was set afterwards.
   */
  async #complete(
    { name, netns }: LinkEndSpec,
    change: { readonly [Key in 'up' | 'mtu']?: LinkChange[Key] | undefined },
    attempted: string,
    options: RequestOptions,
  ): Promise<void> {
    const { up, mtu } = change;
    if (up === undefined && mtu === undefined) return;
    const requester = netns === undefined ? undefined : new NetlinkRequester(attempted, { netns });
    const links = requester === undefined ? this : new Links(requester);
    try {
      await links.set(name, { ...(up !== undefined && { up }), ...(mtu !== undefined && { mtu }) }, options);
    } catch (error) {
      await links.delete(name).catch(() => undefined);
      throw error;
    } finally {
      requester?.close();
    }
  }

  /**
   * Deletes every link of a group at once, which for many is far faster than one by one: the kernel waits some 15 ms for
   * each time that it deletes.
   * @param group as `LinkChange.group`; not 0, in which every link starts
   * @throws VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE (none is in it), VNIC_UNSUPPORTED (one cannot be deleted; then none is)
   */
  async deleteGroup(group: number, options: RequestOptions = {}): Promise<void> {
    const attempted = `delete the links of group ${group}`;
    checkRange(group, 'a group', 1, 0xffff_ffff, attempted);
    await this.#requester.request({
      subject: 'link',
      attempted,
      call: 'RTM_DELLINK',
      message: putLinkSelector(requestMessage(Rtm.DELLINK), undefined).u32(Ifla.GROUP, group),
      signal: options.signal,
    });
  }

  async #changeAltNames(
    operation: 'add' | 'remove',
    link: LinkSelector,
    names: readonly string[],
    options: RequestOptions,
  ): Promise<void> {
    const attempted = `${operation} the alternative name ${names.map((name) => JSON.stringify(name)).join(', ')} of ${describeLink(link)}`;
    if (names.length === 0) throw invalidArgument(attempted, 'at least one name', 'none');
    for (const name of names) checkInterfaceName(name, attempted, { maxLen: MAX_ALTERNATIVE_NAME_LEN });
    const index = await this.resolve(link, attempted, options);
    const adding = operation === 'add';
    const message = adding
      ? requestMessage(Rtm.NEWLINKPROP, NLM_F_CREATE | NLM_F_EXCL)
      : requestMessage(Rtm.DELLINKPROP);
    putLinkSelector(message, index).nested(Ifla.PROP_LIST, (list) => {
      for (const name of names) list.text(Ifla.ALT_IFNAME, name);
    });
    await this.#requester.request({
      subject: 'link',
      attempted,
      call: adding ? 'RTM_NEWLINKPROP' : 'RTM_DELLINKPROP',
      message,
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
 * @throws VNIC_INVALID_NAME, VNIC_NAME_TOO_LONG, VNIC_INVALID_ARGUMENT, VNIC_SYSTEM_CALL, VNIC_NETLINK,
 *   VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export function getLinkSync(link: LinkSelector, options: NetnsOptions = {}): LinkInfo | undefined {
  const { request, result } = getLinkRequest(link, `read ${describeLink(link)}`);
  try {
    requestSync(request, options);
  } catch (error) {
    if (isVnicError(error, 'VNIC_NO_SUCH_INTERFACE')) return undefined;
    throw error;
  }
  return result();
}

/** Runs `use` with descriptors of the namespaces, open as long as it runs. */
export async function withDescriptors<T>(
  selectors: readonly (NetnsSelector | undefined)[],
  use: (descriptors: readonly (number | undefined)[]) => Promise<T>,
): Promise<T> {
  const opened: NetworkNamespace[] = [];
  try {
    const descriptors = selectors.map((selector) => {
      if (selector === undefined || selector instanceof NetworkNamespace) return selector?.fd;
      const namespace = openNetworkNamespace(selector);
      opened.push(namespace);
      return namespace.fd;
    });
    return await use(descriptors);
  } finally {
    for (const namespace of opened) namespace.closeSync();
  }
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
