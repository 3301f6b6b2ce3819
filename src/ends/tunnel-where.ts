/**
 * Where a tunnel listens or connects to: `[CARRIER:][HOST:]PORT[/PATH]`.
 *
 *     192.0.2.1:7000   vpn.example:7000   [2001:db8::1]:7000      TLS, which is also written tls:…
 *     wss:vpn.example:443/tunnel                                  WebSocket over TLS
 *     udp:192.0.2.1:7000                                          UDP, in the clear
 */

import { invalidArgument } from '../base/index.ts';

/** What a tunnel goes over. */
export type TunnelCarrierKind = 'tls' | 'wss' | 'udp';

/** A place, checked. */
export interface TunnelWhere {
  readonly carrier: TunnelCarrierKind;
  /** A name or an address, without brackets; empty for any address of this machine. */
  readonly host: string;
  readonly port: number;
  /** Of a WebSocket; begins with a slash. */
  readonly path: string;
}

const CARRIERS: readonly TunnelCarrierKind[] = ['tls', 'wss', 'udp'];

/** Reads a place. A side that connects needs a host. @throws VNIC_INVALID_ARGUMENT */
export function parseTunnelWhere(text: string, side: 'listen' | 'connect'): TunnelWhere {
  const attempted = side === 'listen' ? 'listen for tunnels' : 'connect a tunnel';
  const example = side === 'listen' ? '[HOST:]PORT, such as 7000 or udp:7000' : 'HOST:PORT, such as 192.0.2.1:7000';
  const [, word, rest = ''] = /^(?:([a-z]+):)?(.*)$/s.exec(text) ?? [];
  const carrier = CARRIERS.find((one) => one === word);
  // A word that is no carrier is a host.
  const place = carrier === undefined ? text : rest;
  const [, bracketed, plain, digits, path = ''] =
    /^(?:\[([^\]/]*)\]:|(?:([^[\]:/]*):)?)([0-9]{1,5})(\/.*)?$/.exec(place) ?? [];
  const port = Number(digits);
  const host = bracketed ?? plain ?? '';
  if (digits === undefined || port > 0xffff || (side === 'connect' && (host === '' || port === 0))) {
    const isBareIpv6 = (place.match(/:/g)?.length ?? 0) > 1 && !place.startsWith('[');
    throw invalidArgument(attempted, isBareIpv6 ? 'an IPv6 address in brackets, [2001:db8::1]:7000' : example, text);
  }
  if (path !== '' && carrier !== 'wss') throw invalidArgument(attempted, 'a path behind wss: only', text);
  return { carrier: carrier ?? 'tls', host, port, path: path === '' ? '/' : path };
}

/** As it is written: `HOST:PORT`, with its carrier where that is not TLS. */
export function formatTunnelWhere({ carrier, host, port, path }: TunnelWhere): string {
  const place = `${host.includes(':') ? `[${host}]` : host || '*'}:${port}`;
  return carrier === 'tls' ? place : `${carrier}:${place}${carrier === 'wss' && path !== '/' ? path : ''}`;
}
