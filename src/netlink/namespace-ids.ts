/** Ids by which this namespace knows others: list, look up, give. */

import { describeNamespace, type NetnsSelector } from '../netns/index.ts';
import { Rtm } from './constants.ts';
import { checkRange } from './link-spec.ts';
import { collectInto, type RequestOptions, withDescriptors } from './links.ts';
import { type NamespaceId, parseNamespaceId, putNamespaceId } from './namespace-id.ts';
import { dumpMessage, type NetlinkRequester, requestMessage } from './socket.ts';

/** The ids that the namespace of the socket has given to others, as in `LinkInfo.netnsId`. */
export class NamespaceIds {
  readonly #requester: NetlinkRequester;

  constructor(requester: NetlinkRequester) {
    this.#requester = requester;
  }

  /** The ids in use. @throws VNIC_ABORTED, VNIC_LINK_CLOSED */
  async list(options: RequestOptions = {}): Promise<number[]> {
    const ids: NamespaceId[] = [];
    await this.#requester.request({
      subject: 'namespace',
      attempted: 'list the ids of network namespaces',
      call: 'RTM_GETNSID',
      message: putNamespaceId(dumpMessage(Rtm.GETNSID)),
      ...collectInto(ids, Rtm.NEWNSID, parseNamespaceId),
      signal: options.signal,
    });
    return ids.map(({ netnsId }) => netnsId).toSorted((a, b) => a - b);
  }

  /** The id of a namespace; undefined when it has none here. @throws VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN */
  async get(netns: NetnsSelector, options: RequestOptions = {}): Promise<number | undefined> {
    const ids: NamespaceId[] = [];
    await withDescriptors([netns], ([fd]) =>
      this.#requester.request({
        subject: 'namespace',
        attempted: `look up the id of the network ${describeNamespace(netns)}`,
        call: 'RTM_GETNSID',
        message: putNamespaceId(requestMessage(Rtm.GETNSID), fd),
        ...collectInto(ids, Rtm.NEWNSID, parseNamespaceId),
        signal: options.signal,
      }),
    );
    const id = ids[0]?.netnsId ?? -1;
    return id < 0 ? undefined : id;
  }

  /**
   * Gives a namespace an id, or lets the kernel choose one.
   * @returns the id. @throws VNIC_NAMESPACE_EXISTS (it has one, or the id is taken), VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_NAMESPACE
   */
  async assign(netns: NetnsSelector, netnsId?: number, options: RequestOptions = {}): Promise<number> {
    const attempted = `give the network ${describeNamespace(netns)} an id`;
    checkRange(netnsId, 'an id', 0, 0x7fff_ffff, attempted);
    await withDescriptors([netns], ([fd]) =>
      this.#requester.request({
        subject: 'namespace',
        attempted,
        call: 'RTM_NEWNSID',
        message: putNamespaceId(requestMessage(Rtm.NEWNSID), fd, netnsId ?? -1),
        signal: options.signal,
      }),
    );
    return netnsId ?? ((await this.get(netns, options)) as number);
  }
}
