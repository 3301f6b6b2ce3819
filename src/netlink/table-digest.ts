/** The tables of links, addresses and routes as a digest: the same for tables that are the same, byte for byte. */

import { createHash, type Hash } from 'node:crypto';

import type { IpFamily } from '../base/index.ts';
import { putAddressFilter } from './address.ts';
import { Ifla, RTEXT_FILTER_SKIP_STATS, Rtm } from './constants.ts';
import { putLinkSelector } from './link.ts';
import type { RequestOptions } from './links.ts';
import { putRouteFilter } from './route.ts';
import { dumpMessage, type NetlinkRequest, type NetlinkRequester } from './socket.ts';

/** Which addresses and routes are looked at; links always are, without their statistics. */
export interface TableParts {
  readonly addresses: readonly IpFamily[];
  readonly routes: readonly { readonly family: IpFamily; readonly table: number }[];
}

/**
 * Reads the tables and gives their SHA-256 in hexadecimal.
 * @throws VNIC_ABORTED, VNIC_LINK_CLOSED
 */
export async function digestTables(
  requester: NetlinkRequester,
  { addresses, routes }: TableParts,
  { signal }: RequestOptions,
): Promise<string> {
  const links = putLinkSelector(dumpMessage(Rtm.GETLINK), undefined).u32(Ifla.EXT_MASK, RTEXT_FILTER_SKIP_STATS);
  const dumps: Pick<NetlinkRequest, 'subject' | 'call' | 'message'>[] = [
    { subject: 'link', call: 'RTM_GETLINK', message: links },
    ...addresses.map((family) => ({
      subject: 'address' as const,
      call: 'RTM_GETADDR',
      message: putAddressFilter(dumpMessage(Rtm.GETADDR), family, 0),
    })),
    ...routes.map(({ family, table }) => ({
      subject: 'route' as const,
      call: 'RTM_GETROUTE',
      message: putRouteFilter(dumpMessage(Rtm.GETROUTE), family, { table, linkIndex: undefined }),
    })),
  ];
  const whole = createHash('sha256');
  for (const dump of dumps) {
    let hash: Hash = createHash('sha256');
    await requester.request({
      ...dump,
      attempted: 'read the tables of the network',
      onMessage: ({ body }) => {
        hash.update(body);
        return undefined;
      },
      onRestart: () => {
        hash = createHash('sha256');
      },
      signal,
    });
    whole.update(hash.digest());
  }
  return whole.digest('hex');
}
