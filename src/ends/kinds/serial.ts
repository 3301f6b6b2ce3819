/** Ends that are serial lines. */

import { isVnicError } from '../../base/index.ts';
import { cobsFraming, hdlcFraming, slipFraming } from '../../framing/index.ts';
import { type FlowControl, openSerialLine, type SerialOptions, StreamLink } from '../../transport/index.ts';
import { type Connected, keepConnected } from '../carrier.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { endKinds } from '../end-kinds.ts';
import { type EndSpec, mistake, readOption } from '../end-spec.ts';
import { DEFAULT_MTU, readMtu, wholeNumber } from '../option-values.ts';

const DEFAULT_BAUD = 115_200;
const MAX_BAUD = 20_000_000;
/** A bit to start a byte, and one to end it. */
const BITS_A_BYTE = 10;
/** No more waits than the line carries in a second, but some packets in any case. */
const MIN_QUEUE_PACKETS = 8;
const MAX_QUEUE_PACKETS = 256;
/** A line that is plugged in again is found within so long. */
const MAX_DELAY_MS = 2000;

/** Those that find the next packet after damage. */
const framings = { slip: slipFraming, hdlc: hdlcFraming, cobs: cobsFraming } as const;
const flowControls: Readonly<Record<string, FlowControl>> = {
  none: 'none',
  hardware: 'hardware',
  software: 'software',
};

/** Opens `serial`. @throws VNIC_INVALID_END, what `openSerialLine` throws, but for a device that is not there only with `once` */
export async function openSerialEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  const line = lineOf(spec);
  const framing = framingOf(spec, line.flow);
  const mtu = readMtu(spec) ?? DEFAULT_MTU;
  const label = `serial line ${line.path} at ${line.baud} baud`;
  const link = new StreamLink({
    name: `serial ${line.path}`,
    medium: options.medium,
    framing,
    mtu: Math.min(mtu, framing.maxPacketLen),
    keep: !options.once,
    writeLen: framing.encodedLen(mtu),
  });
  let first = openFirst(line, options.once);
  const connect = async (): Promise<Connected> => {
    const stream = first ?? openSerialLine(line);
    first = undefined;
    return { stream, peer: `${line.path} at ${line.baud} baud` };
  };
  const stop = await keepConnected(link, connect, options, MAX_DELAY_MS);
  const queuePackets = Math.round(line.baud / BITS_A_BYTE / mtu);
  return {
    link,
    label,
    queuePackets: Math.min(MAX_QUEUE_PACKETS, Math.max(MIN_QUEUE_PACKETS, queuePackets)),
    close: async () => {
      stop();
      await link.close();
    },
  };
}

/** The line, if it is there: what is wrong with it otherwise is told now, and not again and again. */
function openFirst(line: SerialOptions, once: boolean): ReturnType<typeof openSerialLine> | undefined {
  try {
    return openSerialLine(line);
  } catch (error) {
    if (!once && isVnicError(error, 'VNIC_PEER_UNREACHABLE')) return undefined;
    throw error;
  }
}

function lineOf(spec: EndSpec): Required<SerialOptions> {
  const flow =
    readOption(spec, 'flow', 'none, hardware or software', (text) =>
      Object.hasOwn(flowControls, text) ? flowControls[text] : undefined,
    ) ?? 'none';
  const [, path = '', digits] = /^(.*?)(?:@([^@/]*))?$/.exec(spec.where) ?? [];
  const baud = digits === undefined ? DEFAULT_BAUD : wholeNumber(digits, 1, MAX_BAUD);
  if (baud === undefined) {
    const at = spec.text.indexOf(`@${digits}`) + 1;
    throw mistake(spec.text, at, digits?.length ?? 1, `expected a speed of 1 to ${MAX_BAUD} baud, found "${digits}"`, {
      hint: 'For example @115200.',
    });
  }
  if (path === '') {
    throw mistake(spec.text, spec.kind.length + 1, 1, 'expected the path of a device before the speed', {
      hint: `For example ${endKinds[spec.kind].example}.`,
    });
  }
  return { path, baud, flow };
}

function framingOf(spec: EndSpec, flow: FlowControl): (typeof framings)[keyof typeof framings] {
  const names = Object.keys(framings).join(', ');
  const framing =
    readOption(spec, 'framing', `one of ${names}`, (text) =>
      Object.hasOwn(framings, text) ? framings[text as keyof typeof framings] : undefined,
    ) ?? slipFraming;
  if (flow === 'software' && framing !== hdlcFraming) {
    throw mistake(
      spec.text,
      spec.text.indexOf('flow='),
      'flow=software'.length,
      `XON and XOFF would occur in the packets, which ${framing.name} leaves as they are`,
      { hint: 'Add framing=hdlc at both sides, which escapes them.' },
    );
  }
  return framing;
}
