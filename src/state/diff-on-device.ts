/** What is on a device: addresses, routes, neighbours, further names. */

import { type Change, changeKey, type KernelSnapshot, routeMatches } from '../changes/index.ts';
import type { PlannedDevice } from './diff-devices.ts';

/** What is missing on one device, and the keys of all that is wanted on it. */
export interface WantedOnDevice {
  readonly altNames: readonly Change[];
  readonly addresses: readonly Change[];
  readonly routes: readonly Change[];
  readonly neighbours: readonly Change[];
  readonly wanted: readonly string[];
}

/** Compares one device. */
export function diffOnDevice({ config, link, current }: PlannedDevice, snapshot: KernelSnapshot): WantedOnDevice {
  const altNames = config.altNames.map((altName): Change => ({ resource: 'altName', action: 'add', link, altName }));
  const addresses = config.addresses.map((cidr): Change => ({ resource: 'address', action: 'add', link, cidr }));
  const routes = config.routes.map((route): Change => ({ resource: 'route', action: 'add', link, route }));
  const neighbours = config.neighbours.map(
    ({ address, mac }): Change => ({ resource: 'neighbour', action: 'add', link, address, mac }),
  );
  const wanted = [...altNames, ...addresses, ...routes, ...neighbours].map(changeKey);
  if (current === undefined) return { altNames, addresses, routes, neighbours, wanted };
  const { index } = link;
  const present = new Set(addresses.length === 0 ? [] : snapshot.addressesOf(index).map(({ cidr }) => cidr.toString()));
  const missing = (changes: readonly Change[], isThere: (change: never) => boolean): Change[] =>
    changes.filter((change) => !isThere(change as never));
  return {
    altNames: missing(altNames, ({ altName }: { altName: string }) => current.altNames.includes(altName)),
    addresses: missing(addresses, ({ cidr }: { cidr: string }) => present.has(cidr)),
    routes: missing(routes, ({ route }: Extract<Change, { resource: 'route' }>) =>
      snapshot.routesOf(index).some((info) => routeMatches(info, route)),
    ),
    neighbours: missing(neighbours, ({ address, mac }: Extract<Change, { resource: 'neighbour' }>) =>
      snapshot
        .neighboursOf(index)
        .some(
          (entry) =>
            entry.state === 'PERMANENT' && entry.address.toString() === address && entry.mac?.toString() === mac,
        ),
    ),
    wanted,
  };
}
