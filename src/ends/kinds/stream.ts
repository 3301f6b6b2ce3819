/** Ends that are streams of bytes: TCP, Unix sockets, QEMU, standard input and output, programs. */

import { framings, lengthFraming, qemuFraming } from '../../framing/index.ts';
import { MAX_FRAME_LEN } from '../../link/index.ts';
import { StreamLink, type StreamLinkOptions } from '../../transport/index.ts';
import { type Connected, keepConnected, offer } from '../carrier.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { endKinds } from '../end-kinds.ts';
import { type EndSpec, mistake, parseHostPort, readOption } from '../end-spec.ts';
import { DEFAULT_MTU, readMtu } from '../option-values.ts';
import {
  connectStream,
  describeAddress,
  listenForStreams,
  type StreamAddress,
  standardStreams,
  startProgram,
} from '../streams.ts';

/** Opens a stream end. @throws VNIC_INVALID_END, VNIC_SYSTEM_CALL, VNIC_PROGRAM_MISSING; with `once` VNIC_PEER_UNREACHABLE */
export async function openStreamEnd(spec: EndSpec, asked: OpenEndOptions): Promise<OpenEnd> {
  // Standard input that has ended does not come again.
  const options = { ...asked, once: asked.once || spec.kind === 'stdio' };
  const isListener = endKinds[spec.kind].isListener === true;
  const address = addressOf(spec);
  const label = address === undefined ? spec.kind : `${spec.kind} ${describeAddress(address)}`;
  const link = streamLinkOf(spec, label, options);
  const stop =
    isListener && address !== undefined
      ? await accept(link, address, options)
      : await keepConnected(link, connectorOf(spec, address), options);
  return {
    link,
    label,
    close: async () => {
      stop();
      await link.close();
    },
  };
}

/** The link of a stream end, still without a stream. @throws VNIC_INVALID_END */
export function streamLinkOf(
  spec: EndSpec,
  name: string,
  { medium, once }: OpenEndOptions,
  more: Pick<StreamLinkOptions, 'explainEnd'> = {},
): StreamLink {
  const isQemu = spec.kind === 'qemu' || spec.kind === 'qemu-listen';
  const framing =
    readOption(spec, 'framing', `one of ${Object.keys(framings).join(', ')}`, (text) => framings[text]) ??
    (isQemu ? qemuFraming : lengthFraming);
  if (framing.name === 'ip' && medium === 'ethernet') {
    throw mistake(
      spec.text,
      spec.text.indexOf('framing='),
      'framing=ip'.length,
      'Ethernet frames do not say how long they are',
      {
        hint: 'Choose another framing: length, slip, hdlc or cobs.',
      },
    );
  }
  const mtu = Math.min(readMtu(spec) ?? DEFAULT_MTU, framing.maxPacketLen, MAX_FRAME_LEN);
  return new StreamLink({ name, medium, framing, mtu, keep: !once, ...more });
}

async function accept(link: StreamLink, address: StreamAddress, { onEvent }: OpenEndOptions): Promise<() => void> {
  const { stop } = await listenForStreams(address, (connected) => offer(link, connected, onEvent));
  return stop;
}

function connectorOf(spec: EndSpec, address: StreamAddress | undefined): (signal: AbortSignal) => Promise<Connected> {
  if (spec.kind === 'exec') return () => startProgram(spec.where);
  if (address === undefined) return () => Promise.resolve(standardStreams());
  return (signal) => connectStream(address, signal);
}

function addressOf(spec: EndSpec): StreamAddress | undefined {
  switch (spec.kind) {
    case 'unix':
    case 'unix-listen':
      return { path: spec.where };
    case 'qemu':
    case 'qemu-listen':
      return spec.where.includes('/') ? { path: spec.where } : parseHostPort(spec);
    case 'tcp':
    case 'tcp-listen':
      return parseHostPort(spec);
    default:
      return undefined;
  }
}
