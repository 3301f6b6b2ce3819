/** Ends that are TLS 1.3 connections. */

import type { VnicError } from '../../base/index.ts';
import { connectTls, listenForTls, notAdmitted } from '../../secure/index.ts';
import { keepConnected, offer } from '../carrier.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, parseHostPort } from '../end-spec.ts';
import { describeAddress } from '../streams.ts';
import { explainEnds, readTlsClient, readTlsListener } from '../tls-options.ts';
import { streamLinkOf } from './stream.ts';

/** Opens `tls` or `tls-listen`. @throws VNIC_INVALID_END, VNIC_IDENTITY, VNIC_SYSTEM_CALL; with `once` what `connectTls` throws */
export async function openTlsEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  const address = parseHostPort(spec);
  const label = `${spec.kind} ${describeAddress(address)}`;
  const link = streamLinkOf(spec, label, options);
  const { onEvent } = options;
  const end = (stop: () => void): OpenEnd => ({
    link,
    label,
    close: async () => {
      stop();
      await link.close();
    },
  });
  if (spec.kind === 'tls-listen') {
    const trust = readTlsListener(spec, label, options);
    const listener = await listenForTls(address, { ...trust, onStream: (client) => offer(link, client, onEvent) });
    return end(() => listener.stop());
  }
  const client = readTlsClient(spec, label, options);
  const explain = (): VnicError => notAdmitted(describeAddress(address), client.identity);
  const connect = async (signal: AbortSignal): Promise<Awaited<ReturnType<typeof connectTls>>> => {
    const connection = await connectTls({ ...address, ...client, signal });
    const { isNew, peer, fingerprint } = connection;
    if (isNew) onEvent?.({ event: 'pinned', link: label, peer, fingerprint });
    return connection;
  };
  return end(await keepConnected(link, connect, explainEnds(link, options, explain)));
}
