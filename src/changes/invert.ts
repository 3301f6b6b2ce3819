/** Changes turned round, and what they are about. */

import type { Change } from './change.ts';

/** The change that takes this one back. */
export function invertChange(change: Change): Change {
  if ('action' in change) return { ...change, action: change.action === 'add' ? 'remove' : 'add' };
  return { ...change, before: change.after, after: change.before } as Change;
}

/** Equal for changes of the same thing, whatever they do to it. */
export function changeKey(change: Change): string {
  return `${change.netns?.name ?? ''} ${keyHere(change)}`;
}

function keyHere(change: Change): string {
  switch (change.resource) {
    case 'namespace':
      return 'namespace';
    case 'rule': {
      const { family, priority, table, verdict, from, to, in: iif, mark } = change;
      const { ipProtocol, destinationPort, suppressPrefixLength } = change;
      const parts = [verdict, from, to, iif, mark, ipProtocol, destinationPort, suppressPrefixLength];
      return `rule ${family} ${priority} ${table} ${parts.map((part) => part ?? '').join(' ')}`;
    }
    case 'masquerade':
      return `masquerade ${change.from} ${change.out ?? ''} ${change.notOut ?? ''}`;
    case 'sysctl':
      return `sysctl ${change.name}`;
    case 'address':
      return `address ${change.link.index} ${change.cidr}`;
    case 'route': {
      const { to, via, metric, table = 254 } = change.route;
      return `route ${change.link.index} ${to} ${via ?? ''} ${metric ?? ''} ${table}`;
    }
    case 'neighbour':
      return `neighbour ${change.link.index} ${change.address} ${change.mac}`;
    case 'altName':
      return `altName ${change.link.index} ${change.altName}`;
    case 'link':
      return `link ${change.link.index} ${Object.keys(change.after).sort().join()}`;
    default:
      return `${change.resource} ${change.link.index}`;
  }
}
