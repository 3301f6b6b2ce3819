/** `--client NAME,key=sha256:…,address=…`: a client that a tunnel knows beforehand. */

import { Cidr, invalidArgument } from '../base/index.ts';
import { parseFingerprint } from '../identity/index.ts';
import type { TunnelClientEntry } from '../tunnel/index.ts';

const ATTEMPTED = 'read a client';

/** @throws VNIC_INVALID_ARGUMENT, VNIC_INVALID_ADDRESS */
export function parseTunnelClient(text: string): TunnelClientEntry {
  const [name = '', ...options] = text.split(',');
  if (name === '' || name.includes('=')) throw invalidArgument(ATTEMPTED, 'a name first, then key=sha256:…', text);
  const found: { addresses: Cidr[]; networks: Cidr[]; access: Cidr[]; fingerprint?: string } = {
    addresses: [],
    networks: [],
    access: [],
  };
  for (const option of options) {
    const [, key = option, value = ''] = /^([a-z]*)=(.*)$/s.exec(option) ?? [];
    if (key === 'key') {
      const fingerprint = parseFingerprint(value);
      if (fingerprint === undefined) throw invalidArgument(ATTEMPTED, 'a fingerprint, key=sha256:…', value);
      found.fingerprint = fingerprint;
    } else if (key === 'address') found.addresses.push(Cidr.parse(value));
    else if (key === 'network') found.networks.push(Cidr.parse(value).network);
    else if (key === 'access') found.access.push(Cidr.parse(value).network);
    else throw invalidArgument(ATTEMPTED, 'one of key=, address=, network=, access=', option);
  }
  const { addresses, networks, access, fingerprint } = found;
  if (fingerprint === undefined)
    throw invalidArgument(ATTEMPTED, 'key=sha256:…, which `vnic identity` shows there', text);
  return {
    name,
    fingerprint,
    ...(addresses.length > 0 && { addresses }),
    ...(networks.length > 0 && { networks }),
    ...(access.length > 0 && { access }),
  };
}
