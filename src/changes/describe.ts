/** Changes in a few words, for people. */

import type { Change, DeviceMake, LinkSettings, RouteFields } from './change.ts';

/** `add address 10.0.0.1/24 to tap0`; reads well behind "cannot". */
export function describeChange(change: Change): string {
  switch (change.resource) {
    case 'device':
      return change.action === 'add'
        ? `make ${describeMake(change.make)} ${change.link.name}`
        : `delete ${change.make.kind} device ${change.link.name}`;
    case 'link':
      return `set ${describeSettings(change.before, change.after)} of ${change.link.name}`;
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

function described(action: 'add' | 'remove', what: string, name: string): string {
  return `${action} ${what} ${action === 'add' ? 'to' : 'from'} ${name}`;
}

function describeMake(make: DeviceMake): string {
  if (make.kind === 'bridge') return 'bridge';
  if (make.kind === 'veth') return `veth pair ${make.peer.name} and`;
  return `${make.multiQueue ? 'multi-queue ' : ''}${make.kind} device`;
}

function describeSettings(before: LinkSettings, after: LinkSettings): string {
  const { up, ...values } = after;
  const parts = [describeValues(before, values), up === undefined ? '' : up ? 'up' : 'down'];
  return parts.filter((part) => part !== '').join(', ');
}

function describeValues(before: object, after: object): string {
  const old = before as Readonly<Record<string, unknown>>;
  return Object.entries(after)
    .map(([key, value]) => `${key} ${shown(old[key])}to ${shown(value).trim()}`)
    .join(', ');
}

function shown(value: unknown): string {
  if (value === undefined) return '';
  return `${typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value)} `;
}
