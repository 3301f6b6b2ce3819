/** The request socket as users see it. */

import type { NetnsOptions } from '../netns/index.ts';
import { Addresses } from './addresses.ts';
import { Fdb } from './fdb.ts';
import { Links } from './links.ts';
import { NamespaceIds } from './namespace-ids.ts';
import { Neighbours } from './neighbours.ts';
import { Qdiscs } from './qdiscs.ts';
import { Routes } from './routes.ts';
import { Rules } from './rules.ts';
import { NetlinkRequester } from './socket.ts';

/**
 * Network configuration of one network namespace: that of the thread which opened it, or the one of `netns`.
 *
 * Requests run one at a time in the order of the calls. Nothing keeps the process alive but a request under way.
 */
export class Netlink implements AsyncDisposable {
  readonly links: Links;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly neighbours: Neighbours;
  readonly fdb: Fdb;
  readonly rules: Rules;
  readonly qdiscs: Qdiscs;
  readonly namespaceIds: NamespaceIds;
  readonly #requester: NetlinkRequester;

  /** Use `openNetlink`. */
  constructor(requester: NetlinkRequester) {
    this.#requester = requester;
    this.links = new Links(requester);
    this.addresses = new Addresses(requester, this.links);
    this.routes = new Routes(requester, this.links);
    this.neighbours = new Neighbours(requester, this.links);
    this.fdb = new Fdb(requester, this.links);
    this.rules = new Rules(requester);
    this.qdiscs = new Qdiscs(requester);
    this.namespaceIds = new NamespaceIds(requester);
  }

  get closed(): boolean {
    return this.#requester.closed;
  }

  /** Ends waiting requests with VNIC_LINK_CLOSED. Idempotent. */
  async close(): Promise<void> {
    this.#requester.close();
  }

  /** As `close()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Opens a socket for requests in the network namespace of this thread, or in that of `netns`. Reading needs no privilege,
 * entering another namespace does.
 * @throws VNIC_NATIVE_MISSING, VNIC_SYSTEM_CALL, VNIC_TOO_MANY_FILES, VNIC_NO_SUCH_NAMESPACE, VNIC_NAMESPACE_FORBIDDEN
 */
export async function openNetlink(options: NetnsOptions = {}): Promise<Netlink> {
  return new Netlink(new NetlinkRequester('open a netlink socket', options));
}
