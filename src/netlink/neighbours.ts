/** Neighbours: list, add, replace, remove; and the addresses that this machine answers for in place of others. */

import { type IpAddress, type IpFamily, invalidArgument, type MacAddress } from '../base/index.ts';
import { addressFamily } from './address.ts';
import { Nda, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Ntf, Nud, Rtm } from './constants.ts';
import { describeLink, type LinkSelector } from './interface-name.ts';
import { collectInto, type Links, type RequestOptions } from './links.ts';
import { type NeighbourInfo, parseNeighbour, putNeighbourFilter, putNeighbourHeader } from './neighbour.ts';
import { dumpMessage, type NetlinkRequester, requestMessage } from './socket.ts';

/** Which neighbours to list; absent means all. */
export interface ListNeighboursOptions extends RequestOptions {
  readonly link?: LinkSelector;
  readonly family?: IpFamily;
  /** The proxy entries instead of the neighbours. Default false. */
  readonly proxy?: boolean;
}

/** A neighbour to be added. */
export interface NeighbourSpec {
  readonly address: IpAddress;
  /** Needed unless `proxy`. */
  readonly mac?: MacAddress;
  /**
   * `permanent` (the default) stays as it is; `noarp` too, and may be pushed out when the table is full; `reachable` and
   * `stale` are checked as learned ones are.
   */
  readonly state?: 'permanent' | 'noarp' | 'reachable' | 'stale';
  /** IPv6: the neighbour is a router. */
  readonly router?: boolean;
  /**
   * Not a neighbour: answer ARP or neighbour solicitations for the address that come in by the link. IPv6 needs
   * `proxyNdp` of the interface, too.
   */
  readonly proxy?: boolean;
}

/** Which neighbour to remove. */
export type NeighbourKey = Pick<NeighbourSpec, 'address' | 'proxy'>;

const states = { permanent: Nud.PERMANENT, noarp: Nud.NOARP, reachable: Nud.REACHABLE, stale: Nud.STALE } as const;

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
    const { link, family, signal, proxy = false } = options;
    const attempted = link === undefined ? 'list the neighbours' : `list the neighbours of ${describeLink(link)}`;
    const index = link === undefined ? 0 : await this.#links.resolve(link, attempted, { signal });
    const neighbours: NeighbourInfo[] = [];
    await this.#requester.request({
      subject: 'neighbour',
      attempted,
      call: 'RTM_GETNEIGH',
      message: putNeighbourFilter(dumpMessage(Rtm.GETNEIGH), family, index, proxy),
      ...collectInto(neighbours, Rtm.NEWNEIGH, parseNeighbour),
      signal,
    });
    return neighbours.filter(
      (entry) => (index === 0 || entry.linkIndex === index) && (family ?? entry.family) === entry.family,
    );
  }

  /**
   * @throws VNIC_NEIGHBOUR_EXISTS, VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_ARGUMENT. A proxy entry that
   *   exists is no error: the kernel does not say.
   */
  async add(link: LinkSelector, neighbour: NeighbourSpec, options: RequestOptions = {}): Promise<void> {
    await this.#put('add', NLM_F_EXCL, link, neighbour, options);
  }

  /** Adds a neighbour, or changes the one with that address, also a learned one. @throws as `add` */
  async replace(link: LinkSelector, neighbour: NeighbourSpec, options: RequestOptions = {}): Promise<void> {
    await this.#put('replace', NLM_F_REPLACE, link, neighbour, options);
  }

  /** @throws VNIC_NO_SUCH_NEIGHBOUR, VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE */
  async remove(link: LinkSelector, neighbour: NeighbourKey, options: RequestOptions = {}): Promise<void> {
    const { address, proxy = false } = neighbour;
    const attempted = `remove ${describe(neighbour)} from ${describeLink(link)}`;
    const linkIndex = await this.#links.resolve(link, attempted, options);
    const header = { family: addressFamily(address.family), linkIndex, flags: proxy ? Ntf.PROXY : 0 };
    await this.#requester.request({
      subject: 'neighbour',
      attempted,
      call: 'RTM_DELNEIGH',
      message: putNeighbourHeader(requestMessage(Rtm.DELNEIGH), header).bytes(Nda.DST, address.bytes),
      signal: options.signal,
    });
  }

  async #put(
    verb: 'add' | 'replace',
    mode: number,
    link: LinkSelector,
    neighbour: NeighbourSpec,
    options: RequestOptions,
  ): Promise<void> {
    const { address, mac, state = 'permanent', router = false, proxy = false } = neighbour;
    const attempted = `${verb} ${describe(neighbour)} on ${describeLink(link)}`;
    if (proxy === (mac !== undefined)) {
      throw invalidArgument(attempted, proxy ? 'no MAC address for a proxy entry' : 'a MAC address', mac?.toString());
    }
    if (states[state] === undefined) throw invalidArgument(attempted, Object.keys(states).join(', '), state);
    const message = putNeighbourHeader(requestMessage(Rtm.NEWNEIGH, NLM_F_CREATE | mode), {
      family: addressFamily(address.family),
      linkIndex: await this.#links.resolve(link, attempted, options),
      state: states[state],
      flags: (proxy ? Ntf.PROXY : 0) | (router ? Ntf.ROUTER : 0),
    }).bytes(Nda.DST, address.bytes);
    if (mac !== undefined) message.bytes(Nda.LLADDR, mac.bytes);
    const { signal } = options;
    await this.#requester.request({ subject: 'neighbour', attempted, call: 'RTM_NEWNEIGH', message, signal });
  }
}

function describe({ address, proxy }: NeighbourKey): string {
  return `${proxy ? 'proxy entry' : 'neighbour'} ${address}`;
}
