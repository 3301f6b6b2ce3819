/** The request socket as users see it. */

import type { NetnsOptions } from '../netns/index.ts';
import { Addresses } from './addresses.ts';
import { Fdb } from './fdb.ts';
import { Links, type RequestOptions } from './links.ts';
import { NamespaceIds } from './namespace-ids.ts';
import { Neighbours } from './neighbours.ts';
import { Qdiscs } from './qdiscs.ts';
import { Routes } from './routes.ts';
import { Rules } from './rules.ts';
import { NetlinkRequester } from './socket.ts';
import { digestTables, type TableParts } from './table-digest.ts';

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

  /**
   * Links without their statistics, and these parts of addresses and routes, as a digest: the same as before when nothing has changed.
   * @throws VNIC_NETLINK, VNIC_ABORTED, VNIC_LINK_CLOSED
   */
  digest(parts: TableParts, options: RequestOptions = {}): Promise<string> {
    return digestTables(this.#requester, parts, options);
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
