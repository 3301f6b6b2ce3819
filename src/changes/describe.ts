/** Changes in a few words, for people. */

import type { Change, DeviceMake, LinkChange, RouteFields, RuleChange } from './change.ts';

/** `add address 10.0.0.1/24 to tap0`; reads well behind "cannot". */
export function describeChange(change: Change): string {
  const place = change.netns === undefined || change.resource === 'namespace' ? '' : ` in ${change.netns.name}`;
  return `${describeHere(change)}${place}`;
}

function describeHere(change: Change): string {
  switch (change.resource) {
    case 'device':
      return change.action === 'add'
        ? `make ${describeMake(change.make)} ${change.link.name}`
        : `delete ${change.make.kind} device ${change.link.name}`;
    case 'link':
      return describeLinkChange(change);
    case 'owner':
      return `set ${describeValues(change.before, change.after)} of ${change.link.name}`;
    case 'address':
      return described(change.action, `address ${change.cidr}`, change.link.name);
    case 'route':
      return described(change.action, `route ${describeRoute(change.route)}`, change.link.name);
    case 'neighbour':
      return described(change.action, `neighbour ${change.address} at ${change.mac}`, change.link.name);
    case 'altName':
      return described(change.action, `alternative name ${change.altName}`, change.link.name);
    case 'namespace':
      return `${change.action === 'add' ? 'make' : 'delete'} network namespace ${change.netns.name}`;
    case 'rule':
      return `${change.action} rule ${describeRule(change)}`;
    case 'masquerade': {
      const { from, out, notOut } = change;
      const way = out !== undefined ? ` out by ${out}` : notOut !== undefined ? ` out by any but ${notOut}` : '';
      return `${change.action === 'add' ? 'masquerade' : 'no longer masquerade'} ${from}${way}`;
    }
    case 'sysctl':
      return `set ${change.name} from ${change.before} to ${change.after}`;
  }
}

/** `10.1.0.0/16 via 10.0.0.2 metric 50` */
export function describeRoute({ to, via, metric, table, source, onlink, mtu }: RouteFields): string {
  const parts = [
    to === '0.0.0.0/0' || to === '::/0' ? `default (${to})` : to,
    via === undefined ? '' : `via ${via}`,
    metric === undefined ? '' : `metric ${metric}`,
    table === undefined ? '' : `table ${table}`,
    source === undefined ? '' : `source ${source}`,
    mtu === undefined ? '' : `mtu ${mtu}`,
    onlink ? 'onlink' : '',
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function describeRule(rule: RuleChange): string {
  const { priority, table, verdict, from, to, in: iif, mark, family } = rule;
  const { ipProtocol, destinationPort, suppressPrefixLength } = rule;
  const parts = [
    `${priority}:`,
    from === undefined ? `from all (IPv${family})` : `from ${from}`,
    to === undefined ? '' : `to ${to}`,
    iif === undefined ? '' : `in ${iif}`,
    mark === undefined ? '' : `mark ${mark}`,
    ipProtocol === undefined ? '' : `protocol ${ipProtocol}`,
    destinationPort === undefined ? '' : `port ${destinationPort}`,
    verdict ?? `table ${table}`,
    suppressPrefixLength === undefined ? '' : `but routes of /${suppressPrefixLength}`,
  ];
  return parts.filter((part) => part !== '').join(' ');
}

function described(action: 'add' | 'remove', what: string, name: string): string {
  return `${action} ${what} ${action === 'add' ? 'to' : 'from'} ${name}`;
}

function describeMake(make: DeviceMake): string {
  if (make.kind === 'bridge') return 'bridge';
  if (make.kind === 'veth') return `veth pair ${make.peer.name} and`;
  return `${make.multiQueue ? 'multi-queue ' : ''}${make.kind} device`;
}

function describeLinkChange({ link, before, after, bridge }: LinkChange): string {
  const { up, master, ...values } = after;
  const verbs = [
    Object.keys(values).length === 0 ? '' : `set ${describeValues(before, values)} of ${link.name}`,
    master === undefined ? '' : describePort(link.name, master, bridge),
    up === undefined ? '' : up ? `bring ${link.name} up` : `take ${link.name} down`,
  ];
  return verbs.filter((verb) => verb !== '').join(', ');
}

function describePort(name: string, master: number, bridge: string | undefined): string {
  if (master === 0) return `take ${name} out of ${bridge === undefined ? 'its bridge' : `bridge ${bridge}`}`;
  return `make ${name} a port of ${bridge === undefined ? `interface ${master}` : `bridge ${bridge}`}`;
}

function describeValues(before: object, after: object): string {
  const old = before as Readonly<Record<string, unknown>>;
  return Object.entries(after)
    .map(([key, value]) => `${key} ${old[key] === undefined ? '' : `from ${shown(old[key])} `}to ${shown(value)}`)
    .join(', ');
}

function shown(value: unknown): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
}
