/**
 * What gives deleted devices back as they were: their settings, addresses and routes went with them. With an address go
 * routes, and further addresses of its subnet.
 */

import { type Change, type KernelView, linkSettings } from '../changes/index.ts';
import type { RouteInfo } from '../netlink/index.ts';

/** Follows the inverse of the removals, in which the devices themselves are made again. */
export function restoringChanges(removals: readonly Change[], view: KernelView): Change[] {
  return removals.flatMap((removal) => {
    if (removal.resource !== 'device' && removal.resource !== 'address') return [];
    const { link } = removal;
    const snapshot = view.of(removal.netns);
    const current = snapshot?.linkByIndex(link.index);
    if (snapshot === undefined || current === undefined) return [];
    const at = { link, ...(removal.netns !== undefined && { netns: removal.netns }) };
    const { up, ...settings } = linkSettings(current);
    const before = {};
    const isDevice = removal.resource === 'device';
    return [
      ...(isDevice ? [{ resource: 'link', ...at, before, after: settings } satisfies Change] : []),
      ...snapshot
        .addressesOf(link.index)
        .filter(({ protocol }) => protocol === undefined || protocol > KERNEL_PROTOCOLS)
        .map(({ cidr }): Change => ({ resource: 'address', action: 'add', ...at, cidr: cidr.toString() })),
      ...(isDevice && up ? [{ resource: 'link', ...at, before, after: { up } } satisfies Change] : []),
      ...snapshot
        .routesOf(link.index)
        .filter(({ protocol, type }) => protocol !== 'kernel' && type === 'unicast')
        .map((route): Change => ({ resource: 'route', action: 'add', ...at, route: routeFields(route) })),
    ];
  });
}

/** `IFA_PROTO` up to 3 is what the kernel adds itself. */
const KERNEL_PROTOCOLS = 3;

/** A route of the kernel in the words of a configuration. */
export function routeFields({ destination, via, metric, table, source, flags, mtu, family }: RouteInfo): {
  to: string;
  via?: string;
  metric?: number;
  table?: number;
  source?: string;
  onlink?: boolean;
  mtu?: number;
} {
  return {
    to: destination.toString(),
    ...(via !== undefined && { via: via.toString() }),
    ...(metric !== undefined && !(family === 6 && metric === 1024) && { metric }),
    ...(table !== 254 && { table }),
    ...(source !== undefined && { source: source.toString() }),
    ...(flags.includes('onlink') && { onlink: true }),
    ...(mtu !== undefined && { mtu }),
  };
}
