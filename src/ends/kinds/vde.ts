/** Ends that are ports of a VDE switch. */

import { DatagramLink, openVdePort } from '../../transport/index.ts';
import { type Connected, keepConnected } from '../carrier.ts';
import type { OpenEnd, OpenEndOptions } from '../end.ts';
import { type EndSpec, readOption } from '../end-spec.ts';
import { DEFAULT_MTU, readMtu, wholeNumber } from '../option-values.ts';

const MAX_PORT = 0xff_ffff;
/** A switch that is started again is found within so long. */
const MAX_DELAY_MS = 2000;

/** Opens `vde`. @throws VNIC_INVALID_END; with `once` what `openVdePort` throws */
export async function openVdeEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  const port = readOption(spec, 'port', `a port of 1 to ${MAX_PORT}`, (text) => wholeNumber(text, 1, MAX_PORT));
  const label = `VDE switch ${spec.where}`;
  const name = `vde ${spec.where}`;
  const link = new DatagramLink({ name, medium: 'ethernet', mtu: readMtu(spec) ?? DEFAULT_MTU, keep: !options.once });
  const connect = async (signal: AbortSignal): Promise<Connected<Awaited<ReturnType<typeof openVdePort>>>> => {
    const stream = await openVdePort({
      path: spec.where,
      signal,
      description: `vnic pid=${process.pid}`,
      ...(port !== undefined && { port }),
    });
    stream.onEnd((error) => link.endCarrier(stream, error));
    return { stream, peer: port === undefined ? 'a free port' : `port ${port}` };
  };
  const stop = await keepConnected(link, connect, options, MAX_DELAY_MS);
  return {
    link,
    label,
    close: async () => {
      stop();
      await link.close();
    },
  };
}
