/** Tunnels over TLS 1.3: each packet behind four bytes of its length, in one connection. */

import type { Duplex } from 'node:stream';

import { qemuFraming } from '../framing/index.ts';
import { MAX_FRAME_LEN, type Medium } from '../link/index.ts';
import {
  connectTls,
  listenForTls,
  type SecureAddress,
  type SecureListener,
  type TlsConnectOptions,
  type TlsListenOptions,
} from '../secure/index.ts';
import { StreamLink } from '../transport/index.ts';
import type { TunnelCarrier } from './carrier.ts';

/** A connection over TLS, and whether the key of the other side was met for the first time. */
export interface TlsTunnelCarrier extends TunnelCarrier {
  readonly fingerprint: string;
  readonly isNew: boolean;
}

/** Connects by TLS. @throws what `connectTls` throws */
export async function connectTlsCarrier(
  options: TlsConnectOptions & { readonly medium: Medium },
): Promise<TlsTunnelCarrier> {
  const { stream, peer, fingerprint, isNew } = await connectTls(options);
  return { link: linkOver(stream, `TLS to ${peer}`, options.medium), peer, fingerprint, isNew };
}

/** Listens for TLS; each client that may come in is handed over. @throws VNIC_SYSTEM_CALL */
export function listenForTlsCarriers(
  address: SecureAddress,
  { medium, ...options }: Omit<TlsListenOptions, 'onStream'> & { readonly medium: Medium },
  onCarrier: (carrier: TunnelCarrier) => void,
): Promise<SecureListener> {
  return listenForTls(address, {
    ...options,
    onStream: ({ stream, peer, fingerprint }) =>
      onCarrier({
        link: linkOver(stream, `TLS from ${peer}`, medium),
        peer,
        ...(fingerprint !== undefined && { fingerprint }),
      }),
  });
}

function linkOver(stream: Duplex, name: string, medium: Medium): StreamLink {
  const link = new StreamLink({ name, medium, framing: qemuFraming, mtu: MAX_FRAME_LEN });
  link.attach(stream);
  return link;
}
