/** Forwarding tables of bridges: list, add, replace, remove. */

import { invalidArgument, type MacAddress } from '../base/index.ts';
import { AF_BRIDGE, Nda, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Ntf, Rtm } from './constants.ts';
import { type FdbEntry, type FdbEntryType, fdbStates, parseFdbEntry } from './fdb-entry.ts';
import { describeLink, type LinkSelector } from './interface-name.ts';
import { collectInto, type Links, type RequestOptions } from './links.ts';
import type { MessageBuilder } from './message.ts';
import { putNeighbourHeader } from './neighbour.ts';
import { dumpMessage, type NetlinkRequester, requestMessage } from './socket.ts';

/** Which entries to list; absent means all. */
export interface ListFdbOptions extends RequestOptions {
  /** A bridge: its entries, those of its ports, and what the ports have in tables of their own. Linux 4.20 and later. */
  readonly bridge?: LinkSelector;
  /** One port, or one device with a table of its own. */
  readonly link?: LinkSelector;
}

/** Which entry of a link. */
export interface FdbKey {
  readonly mac: MacAddress;
  /** 1 to 4094, with VLAN filtering. */
  readonly vlan?: number;
  /** Of the link's own table, not of the bridge that it is a port of; so for the bridge itself. Default false. */
  readonly self?: boolean;
}

/** An entry to be added. */
export interface FdbSpec extends FdbKey {
  /** Default `static`. */
  readonly type?: FdbEntryType;
}

/** The forwarding tables of the namespace that the socket was opened in. */
export class Fdb {
  readonly #requester: NetlinkRequester;
  readonly #links: Links;

  constructor(requester: NetlinkRequester, links: Links) {
    this.#requester = requester;
    this.#links = links;
  }

  /** @throws VNIC_NO_SUCH_INTERFACE, VNIC_ABORTED, VNIC_LINK_CLOSED */
  async list(options: ListFdbOptions = {}): Promise<FdbEntry[]> {
    const { bridge, link, signal } = options;
    const attempted = 'list the forwarding entries';
    const master = bridge === undefined ? undefined : await this.#links.resolve(bridge, attempted, { signal });
    const index = link === undefined ? undefined : await this.#links.resolve(link, attempted, { signal });
    const entries: FdbEntry[] = [];
    const message = putNeighbourHeader(dumpMessage(Rtm.GETNEIGH), { family: AF_BRIDGE });
    await this.#requester.request({
      subject: 'fdb',
      attempted,
      call: 'RTM_GETNEIGH',
      message: master === undefined ? message : message.u32(Nda.MASTER, master),
      ...collectInto(entries, Rtm.NEWNEIGH, parseFdbEntry),
      signal,
    });
    return entries.filter((entry) => index === undefined || entry.linkIndex === index);
  }

  /**
   * @throws VNIC_NEIGHBOUR_EXISTS, VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE, VNIC_UNSUPPORTED (neither a port nor a
   *   bridge), VNIC_INVALID_ARGUMENT
   */
  async add(link: LinkSelector, entry: FdbSpec, options: RequestOptions = {}): Promise<void> {
    await this.#put('add', NLM_F_EXCL, link, entry, options);
  }

  /** Adds an entry, or moves the one with that address here. @throws as `add` */
  async replace(link: LinkSelector, entry: FdbSpec, options: RequestOptions = {}): Promise<void> {
    await this.#put('replace', NLM_F_REPLACE, link, entry, options);
  }

  /** @throws VNIC_NO_SUCH_NEIGHBOUR, VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE */
  async remove(link: LinkSelector, entry: FdbKey, options: RequestOptions = {}): Promise<void> {
    const attempted = `remove the forwarding entry ${entry.mac} from ${describeLink(link)}`;
    const message = await this.#message(requestMessage(Rtm.DELNEIGH), link, entry, 0, attempted, options);
    const { signal } = options;
    await this.#requester.request({ subject: 'fdb', attempted, call: 'RTM_DELNEIGH', message, signal });
  }

  async #put(
    verb: 'add' | 'replace',
    mode: number,
    link: LinkSelector,
    entry: FdbSpec,
    options: RequestOptions,
  ): Promise<void> {
    const attempted = `${verb} the forwarding entry ${entry.mac} to ${describeLink(link)}`;
    const state = fdbStates[entry.type ?? 'static'];
    if (state === undefined) throw invalidArgument(attempted, Object.keys(fdbStates).join(', '), entry.type);
    const request = requestMessage(Rtm.NEWNEIGH, NLM_F_CREATE | mode);
    const message = await this.#message(request, link, entry, state, attempted, options);
    const { signal } = options;
    await this.#requester.request({ subject: 'fdb', attempted, call: 'RTM_NEWNEIGH', message, signal });
  }

  async #message(
    builder: MessageBuilder,
    link: LinkSelector,
    { mac, vlan, self = false }: FdbKey,
    state: number,
    attempted: string,
    options: RequestOptions,
  ): Promise<MessageBuilder> {
    if (vlan !== undefined && !(Number.isInteger(vlan) && vlan >= 1 && vlan <= 4094)) {
      throw invalidArgument(attempted, 'a VLAN from 1 to 4094', vlan);
    }
    const linkIndex = await this.#links.resolve(link, attempted, options);
    putNeighbourHeader(builder, { family: AF_BRIDGE, linkIndex, state, flags: self ? Ntf.SELF : Ntf.MASTER });
    builder.bytes(Nda.LLADDR, mac.bytes);
    return vlan === undefined ? builder : builder.u16(Nda.VLAN, vlan);
  }
}
