/** Routes: list, add, replace, remove. */

import { type IpAddress, type IpFamily, invalidArgument, isVnicError } from '../base/index.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, RT_TABLE_MAIN, Rtm } from './constants.ts';
import { describeLink, type LinkSelector } from './interface-name.ts';
import { checkU32 } from './link-spec.ts';
import { collectInto, type Links, type RequestOptions } from './links.ts';
import { routeProtocols, routeTypes, scopes } from './names.ts';
import {
  ONLINK_FLAG,
  parseRoute,
  putRoute,
  putRouteFilter,
  putRouteLookup,
  type RouteFields,
  type RouteInfo,
  type RouteSpec,
} from './route.ts';
import { dumpMessage, type NetlinkRequester, requestMessage } from './socket.ts';

/** Which routes to list. */
export interface ListRoutesOptions extends RequestOptions {
  /** Default both. */
  readonly family?: IpFamily;
  /** Number of the table, or `all`. Default 254 (main), as iproute2. */
  readonly table?: number | 'all';
  readonly link?: LinkSelector;
}

/** How the kernel says that nothing leads there. */
const unreachable: readonly (string | undefined)[] = ['ENETUNREACH', 'EHOSTUNREACH', 'EACCES', 'EINVAL'];

type Operation = 'add' | 'replace' | 'remove';

/** The routes of the namespace that the socket was opened in. */
export class Routes {
  readonly #requester: NetlinkRequester;
  readonly #links: Links;

  constructor(requester: NetlinkRequester, links: Links) {
    this.#requester = requester;
    this.#links = links;
  }

  /** In the order of the kernel, IPv4 before IPv6. @throws VNIC_NO_SUCH_INTERFACE, VNIC_ABORTED, VNIC_LINK_CLOSED */
  async list(options: ListRoutesOptions = {}): Promise<RouteInfo[]> {
    const { link, signal } = options;
    const attempted = link === undefined ? 'list the routes' : `list the routes of ${describeLink(link)}`;
    checkU32(options.table === 'all' ? undefined : options.table, 'a table number', attempted);
    const linkIndex = link === undefined ? undefined : await this.#links.resolve(link, attempted, { signal });
    const table = options.table === 'all' ? undefined : (options.table ?? RT_TABLE_MAIN);
    const families: readonly IpFamily[] = options.family === undefined ? [4, 6] : [options.family];
    const routes: RouteInfo[] = [];
    for (const family of families) routes.push(...(await this.#dump(family, { table, linkIndex }, attempted, signal)));
    return routes;
  }

  /**
   * The route by which the kernel sends to the address, rules included (`ip route get fibmatch`); undefined when it has
   * none. One of type `unreachable`, `blackhole` or `prohibit` counts as none where the kernel answers with an error only.
   * @throws VNIC_ABORTED, VNIC_LINK_CLOSED, VNIC_NETLINK
   */
  async lookup(address: IpAddress, options: RequestOptions = {}): Promise<RouteInfo | undefined> {
    const routes: RouteInfo[] = [];
    try {
      await this.#requester.request({
        subject: 'route',
        attempted: `look up the route to ${address}`,
        call: 'RTM_GETROUTE',
        message: putRouteLookup(requestMessage(Rtm.GETROUTE), address),
        ...collectInto(routes, Rtm.NEWROUTE, parseRoute),
        signal: options.signal,
      });
    } catch (error) {
      if (!isVnicError(error) || !unreachable.includes(error.errno)) throw error;
    }
    return routes[0];
  }

  /**
   * @throws VNIC_ROUTE_EXISTS, VNIC_NO_PRIVILEGE, VNIC_NO_SUCH_INTERFACE, VNIC_INVALID_ARGUMENT (host bits,
   *   gateway out of reach), VNIC_LINK_DOWN, VNIC_UNSUPPORTED (IPv6 is switched off)
   */
  async add(route: RouteSpec, options: RequestOptions = {}): Promise<void> {
    await this.#change('add', route, options);
  }

  /** Adds a route, or puts it in the place of the one with the same destination, metric and table. @throws as `add` */
  async replace(route: RouteSpec, options: RequestOptions = {}): Promise<void> {
    await this.#change('replace', route, options);
  }

  /** Removes the first route that agrees in everything given. @throws VNIC_NO_SUCH_ROUTE, VNIC_NO_PRIVILEGE */
  async remove(route: RouteSpec, options: RequestOptions = {}): Promise<void> {
    await this.#change('remove', route, options);
  }

  async #dump(
    family: IpFamily,
    filter: { readonly table: number | undefined; readonly linkIndex: number | undefined },
    attempted: string,
    signal: AbortSignal | undefined,
  ): Promise<RouteInfo[]> {
    const routes: RouteInfo[] = [];
    try {
      await this.#requester.request({
        subject: 'route',
        attempted,
        call: 'RTM_GETROUTE',
        message: putRouteFilter(dumpMessage(Rtm.GETROUTE), family, filter),
        ...collectInto(routes, Rtm.NEWROUTE, parseRoute),
        signal,
      });
    } catch (error) {
      // A table that nobody has put a route into does not exist: ENOENT.
      if (!isVnicError(error, 'VNIC_NO_SUCH_ROUTE')) throw error;
    }
    const { table, linkIndex } = filter;
    // Kernels without strict checking send all; one without IPv6 answers for another family.
    return routes.filter(
      (route) =>
        route.family === family &&
        (table === undefined || route.table === table) &&
        (linkIndex === undefined ||
          route.linkIndex === linkIndex ||
          route.nextHops.some((hop) => hop.linkIndex === linkIndex)),
    );
  }

  async #change(operation: Operation, route: RouteSpec, options: RequestOptions): Promise<void> {
    const attempted = `${operation} ${describeRoute(route)}`;
    const family = familyOf(route, attempted);
    checkU32(route.metric, 'a metric', attempted);
    checkU32(route.table, 'a table number', attempted);
    checkU32(route.mtu, 'an MTU in bytes', attempted);
    const linkIndex = route.link === undefined ? undefined : await this.#links.resolve(route.link, attempted, options);
    const flags = { add: NLM_F_CREATE | NLM_F_EXCL, replace: NLM_F_CREATE | NLM_F_REPLACE, remove: 0 }[operation];
    const type = operation === 'remove' ? Rtm.DELROUTE : Rtm.NEWROUTE;
    await this.#requester.request({
      subject: 'route',
      attempted,
      call: operation === 'remove' ? 'RTM_DELROUTE' : 'RTM_NEWROUTE',
      message: putRoute(requestMessage(type, flags), fieldsOf(route, family, linkIndex, operation, attempted)),
      signal: options.signal,
    });
  }
}

function fieldsOf(
  route: RouteSpec,
  family: IpFamily,
  linkIndex: number | undefined,
  operation: Operation,
  attempted: string,
): RouteFields {
  const removing = operation === 'remove';
  // In a removal 0 (for the scope: nowhere) means any.
  const type = route.type ?? (removing ? 'unspec' : 'unicast');
  const protocol = route.protocol ?? (removing ? 'unspec' : 'boot');
  return {
    family,
    destination: route.destination === 'default' ? undefined : route.destination,
    table: route.table ?? RT_TABLE_MAIN,
    protocol: routeProtocols.number(protocol, attempted, 'protocol'),
    scope: scopes.number(route.scope ?? defaultScope(route, family, removing), attempted, 'scope'),
    type: routeTypes.number(type, attempted, 'type'),
    flags: route.onlink ? ONLINK_FLAG : 0,
    via: route.via,
    linkIndex,
    metric: route.metric,
    source: route.source,
    mtu: route.mtu,
  };
}

/** What iproute2 chooses. */
function defaultScope(route: RouteSpec, family: IpFamily, removing: boolean): 'global' | 'link' | 'host' | 'nowhere' {
  if (family === 6) return 'global';
  if (route.type === 'local') return 'host';
  if (route.type !== undefined && route.type !== 'unicast') return removing ? 'nowhere' : 'global';
  if (removing) return 'nowhere';
  return route.via === undefined ? 'link' : 'global';
}

function familyOf(route: RouteSpec, attempted: string): IpFamily {
  const known = route.destination === 'default' ? undefined : route.destination.family;
  const family = route.family ?? known ?? route.source?.family ?? route.via?.family;
  if (family === undefined) throw invalidArgument(attempted, 'a family beside the destination "default"', 'none');
  if (known !== undefined && known !== family)
    throw invalidArgument(attempted, `an IPv${family} destination`, `${route.destination}`);
  if (route.source !== undefined && route.source.family !== family) {
    throw invalidArgument(attempted, `an IPv${family} source address`, route.source.toString());
  }
  return family;
}

function describeRoute(route: RouteSpec): string {
  const type = route.type === undefined || route.type === 'unicast' ? '' : `${route.type} `;
  const via = route.via === undefined ? '' : ` via ${route.via}`;
  const link = route.link === undefined ? '' : ` on ${describeLink(route.link)}`;
  const table = route.table === undefined ? '' : ` in table ${route.table}`;
  return `${type}route ${route.destination}${via}${link}${table}`;
}
