/** From the host of an end to an address. */

import { lookup } from 'node:dns/promises';

import { IpAddress, VnicError } from '../base/index.ts';
import type { EndSpec } from './end-spec.ts';

/** The address of a host that is a name or an address. @throws VNIC_PEER_UNREACHABLE for a name that is not known */
export async function resolveHost({ text }: EndSpec, host: string): Promise<IpAddress> {
  try {
    return IpAddress.parse(host);
  } catch {
    // A name.
  }
  try {
    return IpAddress.parse((await lookup(host)).address);
  } catch (cause) {
    throw new VnicError('VNIC_PEER_UNREACHABLE', {
      attempted: `find the address of ${host}`,
      reason: 'no address is known for that name',
      hint: `Check the name in ${text}, or give the address.`,
      cause,
    });
  }
}
