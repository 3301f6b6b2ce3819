/**
 * Everything through the tunnel, and the tunnel's own connection past it. Pure: which changes bring that about.
 *
 *   PRIORITY      to the other side's address, protocol and port: look in the main table, as if there were no tunnel
 *   PRIORITY + 1  look in the main table, but for default routes: what is directly connected, or routed by its own entry, stays
 *   PRIORITY + 2  look in the tunnel's table, which has a default route through the device
 *   PRIORITY + 3  with the kill switch: nobody is let past
 *
 * No route of the machine is replaced, so nothing has to be followed when the network changes: the first rule always takes the
 * way that the machine has at the time. Without the kill switch, a table that is empty because the device is gone lets everything through
 * as before; with it, the last rule stands until it is undone, also after `kill -9`.
 */

import { Cidr, type IpAddress, type IpFamily } from '../base/index.ts';
import type { Change, LinkRef, RuleChange } from '../changes/index.ts';

/** What the tunnel's connection goes to. */
export interface TunnelEndpoint {
  readonly address: IpAddress;
  readonly port: number;
  readonly protocol: 'tcp' | 'udp';
}

/** Where the rules go. */
export interface DefaultRoutePlace {
  /** Of the first rule; as many behind it are taken as there are endpoints and rules. */
  readonly priority: number;
  /** A table that nobody uses. */
  readonly table: number;
}

const IpProtocol = { tcp: 6, udp: 17 } as const;
const RT_TABLE_MAIN = 254;
const FAMILIES: readonly IpFamily[] = [4, 6];
/** Rules of vnic stand before the main table, which is looked at with priority 32766. */
const FIRST_PRIORITY = 8600;
const LAST_PRIORITY = 32_000;
const FIRST_TABLE = 8600;

/** Rules for families that the tunnel carries. With `killSwitch`, the others are refused. */
export function defaultRouteRules(
  { priority, table }: DefaultRoutePlace,
  endpoints: readonly TunnelEndpoint[],
  { families, killSwitch }: { readonly families: readonly IpFamily[]; readonly killSwitch: boolean },
): RuleChange[] {
  return FAMILIES.flatMap((family) => {
    const isCarried = families.includes(family);
    if (!isCarried && !killSwitch) return [];
    const rule = (fields: Pick<RuleChange, 'priority' | 'table'> & Partial<RuleChange>): RuleChange => ({
      resource: 'rule',
      action: 'add',
      family,
      ...fields,
    });
    const own = endpoints.filter(({ address }) => address.family === family);
    const next = priority + endpoints.length;
    return [
      ...own.map(({ address, port, protocol }, i) =>
        rule({
          priority: priority + i,
          table: RT_TABLE_MAIN,
          to: new Cidr(address, address.bytes.length * 8).toString(),
          ipProtocol: IpProtocol[protocol],
          destinationPort: port,
        }),
      ),
      rule({ priority: next, table: RT_TABLE_MAIN, suppressPrefixLength: 0 }),
      ...(isCarried ? [rule({ priority: next + 1, table })] : []),
      ...(killSwitch ? [rule({ priority: next + 2, table: 0, verdict: 'unreachable' })] : []),
    ];
  });
}

/** The default routes of the tunnel's table. */
export function defaultRoutes(
  { table }: DefaultRoutePlace,
  link: LinkRef,
  families: readonly IpFamily[],
  gateways: readonly IpAddress[],
): Change[] {
  return families.map((family): Change => {
    const via = gateways.find((gateway) => gateway.family === family);
    return {
      resource: 'route',
      action: 'add',
      link,
      route: { to: family === 4 ? '0.0.0.0/0' : '::/0', table, ...(via !== undefined && { via: via.toString() }) },
    };
  });
}

/** A place that no rule and no route takes. */
export function freePlace(
  rules: readonly { readonly priority: number; readonly table: number }[],
  routes: readonly { readonly table: number }[],
  count: number,
): DefaultRoutePlace {
  const priorities = new Set(rules.map(({ priority }) => priority));
  const tables = new Set([...rules, ...routes].map(({ table }) => table));
  let priority = FIRST_PRIORITY;
  const isFree = (at: number): boolean =>
    Array.from({ length: count }, (_, i) => at + i).every((one) => !priorities.has(one));
  while (priority < LAST_PRIORITY && !isFree(priority)) priority++;
  let table = FIRST_TABLE;
  while (tables.has(table)) table++;
  return { priority, table };
}
