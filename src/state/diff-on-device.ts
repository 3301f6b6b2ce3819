/** What is on a device: addresses, routes, neighbours, further names. */

import {
  type AddressChange,
  type AltNameChange,
  type Change,
  changeKey,
  type NeighbourChange,
  type RouteChange,
  routeMatches,
} from '../changes/index.ts';
import { inPlace } from './places.ts';
import type { PlannedDevice } from './planned.ts';

/** What is missing on one device, and the keys of all that is wanted on it. */
export interface WantedOnDevice {
  readonly altNames: readonly Change[];
  readonly addresses: readonly Change[];
  readonly routes: readonly Change[];
  readonly neighbours: readonly Change[];
  readonly wanted: readonly string[];
}

/** Compares one device. */
export function diffOnDevice({ config, link, current, place }: PlannedDevice): WantedOnDevice {
  const at = { link, ...inPlace(place) };
  const altNames = config.altNames.map(
    (altName): AltNameChange => ({ resource: 'altName', action: 'add', ...at, altName }),
  );
  const addresses = config.addresses.map(
    (cidr): AddressChange => ({ resource: 'address', action: 'add', ...at, cidr }),
  );
  const routes = config.routes.map((route): RouteChange => ({ resource: 'route', action: 'add', ...at, route }));
  const neighbours = config.neighbours.map(
    ({ address, mac }): NeighbourChange => ({ resource: 'neighbour', action: 'add', ...at, address, mac }),
  );
  const wanted = [...altNames, ...addresses, ...routes, ...neighbours].map(changeKey);
  if (current === undefined) return { altNames, addresses, routes, neighbours, wanted };
  const { snapshot } = place;
  const present = new Set(
    addresses.length === 0 ? [] : snapshot.addressesOf(link.index).map(({ cidr }) => cidr.toString()),
  );
  const hasRoute = ({ route }: RouteChange): boolean =>
    snapshot.routesOf(link.index).some((info) => routeMatches(info, route));
  const hasNeighbour = ({ address, mac }: NeighbourChange): boolean =>
    snapshot
      .neighboursOf(link.index)
      .some(
        (entry) => entry.state === 'PERMANENT' && entry.address.toString() === address && entry.mac?.toString() === mac,
      );
  return {
    altNames: altNames.filter(({ altName }) => !current.altNames.includes(altName)),
    addresses: addresses.filter(({ cidr }) => !present.has(cidr)),
    routes: routes.filter((change) => !hasRoute(change)),
    neighbours: neighbours.filter((change) => !hasNeighbour(change)),
    wanted,
  };
}
