/** Neighbours: list. */

import type { IpFamily } from '../base/index.ts';
import { Rtm } from './constants.ts';
import { describeLink, type LinkSelector } from './interface-name.ts';
import { collectInto, type Links, type RequestOptions } from './links.ts';
import { type NeighbourInfo, parseNeighbour, putNeighbourFilter } from './neighbour.ts';
import { dumpMessage, type NetlinkRequester } from './socket.ts';

/** Which neighbours to list; absent means all. */
export interface ListNeighboursOptions extends RequestOptions {
  readonly link?: LinkSelector;
  readonly family?: IpFamily;
}

/** The ARP and neighbour discovery caches of the namespace that the socket was opened in. */
export class Neighbours {
  readonly #requester: NetlinkRequester;
  readonly #links: Links;

  constructor(requester: NetlinkRequester, links: Links) {
    this.#requester = requester;
    this.#links = links;
  }

  /** @throws VNIC_NO_SUCH_INTERFACE, VNIC_ABORTED, VNIC_LINK_CLOSED */
  async list(options: ListNeighboursOptions = {}): Promise<NeighbourInfo[]> {
    const { link, family, signal } = options;
    const attempted = link === undefined ? 'list the neighbours' : `list the neighbours of ${describeLink(link)}`;
    const index = link === undefined ? 0 : await this.#links.resolve(link, attempted, { signal });
    const neighbours: NeighbourInfo[] = [];
    await this.#requester.request({
      subject: 'neighbour',
      attempted,
      call: 'RTM_GETNEIGH',
      message: putNeighbourFilter(dumpMessage(Rtm.GETNEIGH), family, index),
      ...collectInto(neighbours, Rtm.NEWNEIGH, parseNeighbour),
      signal,
    });
    return neighbours.filter(
      (entry) => (index === 0 || entry.linkIndex === index) && (family ?? entry.family) === entry.family,
    );
  }
}
