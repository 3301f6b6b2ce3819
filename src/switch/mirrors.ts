/** Ports that show what others carry. */

import { invalidArgument } from '../base/index.ts';
import type { MirrorDirection, MirrorSource, OwnPort } from './switch-port.ts';

type Ports = readonly (OwnPort | undefined)[];

/**
 * Has a port show what others carry, and nothing that it has shown before.
 * @throws VNIC_INVALID_ARGUMENT when one of the ports is not there, or would be shown by and show others at once
 */
export function setMirror(ports: Ports, to: number, from: readonly MirrorSource[]): void {
  const attempted = `mirror to port ${to}`;
  const output = ports[to];
  if (output === undefined) throw invalidArgument(attempted, 'a port that is there', to);
  if (output.mirrorsIn.length + output.mirrorsOut.length > 0 && from.length > 0)
    throw invalidArgument(attempted, 'a port that no other shows', to);
  for (const { port: id } of from) {
    const source = ports[id];
    if (source === undefined || source === output || isOutput(ports, source))
      throw invalidArgument(attempted, 'other ports that are there and show none themselves', id);
  }
  forgetMirror(ports, output);
  for (const { port: id, direction } of from) {
    const source = ports[id];
    if (source === undefined) continue;
    if (covers(direction, 'in')) source.mirrorsIn = [...source.mirrorsIn, output];
    if (covers(direction, 'out')) source.mirrorsOut = [...source.mirrorsOut, output];
  }
}

/** No port is shown at this one any more. */
export function forgetMirror(ports: Ports, output: OwnPort): void {
  for (const port of ports) {
    if (port === undefined) continue;
    port.mirrorsIn = port.mirrorsIn.filter((one) => one !== output);
    port.mirrorsOut = port.mirrorsOut.filter((one) => one !== output);
  }
}

function isOutput(ports: Ports, port: OwnPort): boolean {
  return ports.some((one) => one !== undefined && (one.mirrorsIn.includes(port) || one.mirrorsOut.includes(port)));
}

function covers(direction: MirrorDirection, one: 'in' | 'out'): boolean {
  return direction === one || direction === 'both';
}
