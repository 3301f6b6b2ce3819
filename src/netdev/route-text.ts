/** Routes as one word of text: `10.1.0.0/16,via=10.0.0.2,metric=50`. */

import { Cidr, IpAddress, invalidArgument } from '../base/index.ts';
import type { RouteSpec } from '../netlink/index.ts';

/** A route through a device, which the context names. */
export type DeviceRoute = Pick<RouteSpec, 'destination' | 'via' | 'metric'>;

const MAX_METRIC = 0xffff_ffff;

/**
 * `DESTINATION[,via=ADDRESS][,metric=N]`, each part at most once. The destination is a prefix without host bits
 * (an address alone is a single host), or `default`, which needs `via`.
 * @throws VNIC_INVALID_ADDRESS, VNIC_INVALID_ARGUMENT
 */
export function parseDeviceRoute(text: string): DeviceRoute {
  const attempted = `read ${JSON.stringify(text)} as a route`;
  const [first = '', ...rest] = text.split(',');
  const parts = new Map<string, string>();
  for (const part of rest) {
    const equals = part.indexOf('=');
    const key = part.slice(0, Math.max(equals, 0));
    if ((key !== 'via' && key !== 'metric') || parts.has(key)) {
      throw invalidArgument(attempted, 'a destination, then ",via=ADDRESS" and ",metric=N", each at most once', part);
    }
    parts.set(key, part.slice(equals + 1));
  }
  const via = parts.get('via');
  const metric = parts.get('metric');
  const destination = first === 'default' ? first : parseDestination(first, attempted);
  if (destination === 'default' && via === undefined) {
    throw invalidArgument(attempted, '"0.0.0.0/0" or "::/0", or "default" with ",via=ADDRESS"', text);
  }
  return {
    destination,
    ...(via !== undefined && { via: IpAddress.parse(via) }),
    ...(metric !== undefined && { metric: parseMetric(metric, attempted) }),
  };
}

function parseDestination(text: string, attempted: string): Cidr {
  const cidr = Cidr.parse(text);
  if (cidr.equals(cidr.network)) return cidr;
  throw invalidArgument(attempted, `a prefix without host bits, ${cidr.network}`, text);
}

function parseMetric(text: string, attempted: string): number {
  const metric = /^(0|[1-9][0-9]{0,9})$/.test(text) ? Number(text) : Number.NaN;
  if (metric <= MAX_METRIC) return metric;
  throw invalidArgument(attempted, `a metric from 0 to ${MAX_METRIC}`, text);
}
