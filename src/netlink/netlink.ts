/** The request socket as users see it. */

import { Addresses } from './addresses.ts';
import { Links } from './links.ts';
import { Neighbours } from './neighbours.ts';
import { Routes } from './routes.ts';
import { NetlinkRequester } from './socket.ts';

/**
 * Network configuration of one network namespace: that of the thread which opened it.
 *
 * Requests run one at a time in the order of the calls. Nothing keeps the process alive but a request under way.
 */
export class Netlink implements AsyncDisposable {
  readonly links: Links;
  readonly addresses: Addresses;
  readonly routes: Routes;
  readonly neighbours: Neighbours;
  readonly #requester: NetlinkRequester;

  /** Use `openNetlink`. */
  constructor(requester: NetlinkRequester) {
    this.#requester = requester;
    this.links = new Links(requester);
    this.addresses = new Addresses(requester, this.links);
    this.routes = new Routes(requester, this.links);
    this.neighbours = new Neighbours(requester, this.links);
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
 * Opens a socket for requests in the network namespace of this thread. Reading needs no privilege.
 * @throws VNIC_NATIVE_MISSING, VNIC_SYSTEM_CALL, VNIC_TOO_MANY_FILES
 */
export async function openNetlink(): Promise<Netlink> {
  return new Netlink(new NetlinkRequester('open a netlink socket'));
}
