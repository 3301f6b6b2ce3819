/** Addresses of links: list, add, remove, flush. */

import { type Cidr, type IpAddress, type IpFamily, invalidArgument, isVnicError } from '../base/index.ts';
import {
  type AddAddressOptions,
  type AddressInfo,
  parseAddress,
  putAddressFilter,
  putAddressKey,
  putNewAddress,
} from './address.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, Rtm } from './constants.ts';
import {
  checkLinkSelector,
  describeLink,
  interfaceNameLen,
  type LinkSelector,
  MAX_INTERFACE_NAME_LEN,
} from './interface-name.ts';
import { checkU32 } from './link-spec.ts';
import { collectInto, type Links, type RequestOptions } from './links.ts';
import { scopes } from './names.ts';
import { dumpMessage, type NetlinkRequester, requestMessage } from './socket.ts';

/** Which addresses to list; absent means all. */
export interface ListAddressesOptions extends RequestOptions {
  readonly link?: LinkSelector;
  readonly family?: IpFamily;
}

/** Which address to remove, beside the CIDR. */
export interface RemoveAddressOptions extends RequestOptions {
  /** The peer, for an address that has one. */
  readonly peer?: IpAddress;
}

/** The addresses of the links of the namespace that the socket was opened in. */
export class Addresses {
  readonly #requester: NetlinkRequester;
  readonly #links: Links;

  constructor(requester: NetlinkRequester, links: Links) {
    this.#requester = requester;
    this.#links = links;
  }

  /** In the order of the kernel: IPv4 before IPv6. @throws VNIC_NO_SUCH_INTERFACE, VNIC_ABORTED, VNIC_LINK_CLOSED */
  async list(options: ListAddressesOptions = {}): Promise<AddressInfo[]> {
    const { link, family, signal } = options;
    const attempted = link === undefined ? 'list the addresses' : `list the addresses of ${describeLink(link)}`;
    const index = link === undefined ? 0 : await this.#links.resolve(link, attempted, { signal });
    const addresses: AddressInfo[] = [];
    await this.#requester.request({
      subject: 'address',
      attempted,
      call: 'RTM_GETADDR',
      message: putAddressFilter(dumpMessage(Rtm.GETADDR), family, index),
      ...collectInto(addresses, Rtm.NEWADDR, parseAddress),
      signal,
    });
    // Kernels without strict checking send all.
    return addresses.filter(
      (address) => (index === 0 || address.linkIndex === index) && (family ?? address.family) === address.family,
    );
  }

  /**
   * @throws VNIC_ADDRESS_EXISTS, VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_ARGUMENT,
   *   VNIC_UNSUPPORTED (IPv6 is switched off)
   */
  async add(link: LinkSelector, cidr: Cidr, options: AddAddressOptions & RequestOptions = {}): Promise<void> {
    const attempted = `add address ${cidr} to ${describeLink(link)}`;
    checkOptions(cidr, options, attempted);
    const scope = scopes.number(options.scope ?? defaultScope(cidr), attempted, 'scope');
    const index = await this.#links.resolve(link, attempted, options);
    const mode = options.replace ? NLM_F_REPLACE : NLM_F_EXCL;
    await this.#requester.request({
      subject: 'address',
      attempted,
      call: 'RTM_NEWADDR',
      message: putNewAddress(requestMessage(Rtm.NEWADDR, NLM_F_CREATE | mode), index, cidr, scope, options),
      signal: options.signal,
    });
  }

  /** @throws VNIC_NO_SUCH_ADDRESS, VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE */
  async remove(link: LinkSelector, cidr: Cidr, options: RemoveAddressOptions = {}): Promise<void> {
    const attempted = `remove address ${cidr} from ${describeLink(link)}`;
    const index = await this.#links.resolve(link, attempted, options);
    await this.#requester.request({
      subject: 'address',
      attempted,
      call: 'RTM_DELADDR',
      message: putAddressKey(requestMessage(Rtm.DELADDR), index, cidr, options.peer),
      signal: options.signal,
    });
  }

  /**
   * Removes all addresses of a link, or those of one family.
   * @returns how many were removed. @throws VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE
   */
  async flush(link: LinkSelector, options: { readonly family?: IpFamily } & RequestOptions = {}): Promise<number> {
    checkLinkSelector(link, `remove the addresses of ${describeLink(link)}`);
    const addresses = await this.list({ ...options, link });
    let removed = 0;
    for (const { linkIndex, cidr, peer } of addresses) {
      try {
        await this.remove(linkIndex, cidr, { ...options, ...(peer === undefined ? {} : { peer }) });
        removed++;
      } catch (error) {
        // With its primary address the kernel removes the secondary ones of the subnet.
        if (!isVnicError(error, 'VNIC_NO_SUCH_ADDRESS')) throw error;
        removed++;
      }
    }
    return removed;
  }
}

/** What iproute2 chooses. */
function defaultScope(cidr: Cidr): 'host' | 'global' {
  return cidr.family === 4 && cidr.address.isLoopback ? 'host' : 'global';
}

function checkOptions(cidr: Cidr, options: AddAddressOptions, attempted: string): void {
  for (const other of [options.peer, options.broadcast]) {
    if (other !== undefined && other.family !== cidr.family) {
      throw invalidArgument(attempted, `an IPv${cidr.family} address`, other.toString());
    }
  }
  checkU32(options.validLftSec, 'a lifetime in seconds', attempted);
  checkU32(options.preferredLftSec, 'a lifetime in seconds', attempted);
  checkU32(options.metric, 'a metric', attempted);
  if (options.label !== undefined && interfaceNameLen(options.label) > MAX_INTERFACE_NAME_LEN) {
    throw invalidArgument(attempted, `a label of at most ${MAX_INTERFACE_NAME_LEN} bytes`, options.label);
  }
}
