/** Ends that are TLS 1.3 connections. */

import { connectTls, listenForTls, notAdmitted, type TlsConnection } from '../../secure/index.ts';
import type { StreamLink } from '../../transport/index.ts';
import { keepConnected, offer } from '../carrier.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, parseHostPort } from '../end-spec.ts';
import { describeAddress } from '../streams.ts';
import { readTlsClient, readTlsListener } from '../tls-options.ts';
import { streamLinkOf } from './stream.ts';

/** Opens `tls` or `tls-listen`. @throws VNIC_INVALID_END, VNIC_IDENTITY, VNIC_SYSTEM_CALL; with `once` what `connectTls` throws */
export async function openTlsEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  const label = `${spec.kind} ${describeAddress(parseHostPort(spec))}`;
  const { link, stop } = await (spec.kind === 'tls' ? connect : listen)(spec, label, options);
  return {
    link,
    label,
    close: async () => {
      stop();
      await link.close();
    },
  };
}

interface Carried {
  readonly link: StreamLink;
  stop(): void;
}

async function listen(spec: EndSpec, label: string, options: OpenEndOptions): Promise<Carried> {
  const link = streamLinkOf(spec, label, options);
  const { stop } = await listenForTls(parseHostPort(spec), {
    ...readTlsListener(spec, label, options),
    onStream: (client) => offer(link, client, options.onEvent),
  });
  return { link, stop };
}

async function connect(spec: EndSpec, label: string, options: OpenEndOptions): Promise<Carried> {
  const address = parseHostPort(spec);
  const client = readTlsClient(spec, label, options);
  const link = streamLinkOf(spec, label, options, {
    // TLS 1.3 has the client's proof last, so that a server refuses it on a connection that is there already.
    explainEnd: (packets) => (packets === 0 ? notAdmitted(describeAddress(address), client.identity) : undefined),
  });
  const open = async (signal: AbortSignal): Promise<TlsConnection> => {
    const connection = await connectTls({ ...address, ...client, signal });
    const { isNew, peer, fingerprint } = connection;
    if (isNew) options.onEvent?.({ event: 'pinned', link: label, peer, fingerprint });
    return connection;
  };
  return { link, stop: await keepConnected(link, open, options) };
}
