/** From the text of an end to a link that carries packets: which file of `kinds/` opens it. */

import type { OpenEnd, OpenEndOptions } from './end.ts';
import type { EndSpec } from './end-spec.ts';
import { openDeviceEnd } from './kinds/device.ts';
import { openEcho, openNull } from './kinds/in-memory.ts';
import { openStreamEnd } from './kinds/stream.ts';
import { openTlsEnd } from './kinds/tls.ts';
import { openUdpEnd } from './kinds/udp.ts';
import { openWebSocketEnd } from './kinds/websocket.ts';

/**
 * Opens an end.
 * @throws VNIC_INVALID_END, VNIC_PEER_UNREACHABLE (of a datagram end, or with `once`), VNIC_SYSTEM_CALL, VNIC_PROGRAM_MISSING,
 *   VNIC_IDENTITY; with `once` VNIC_PEER_CHANGED, VNIC_PEER_UNTRUSTED; what `openDevice` throws
 */
export async function openEnd(spec: EndSpec, options: OpenEndOptions): Promise<OpenEnd> {
  switch (spec.kind) {
    case 'tun':
    case 'tap':
      return openDeviceEnd(spec, spec.kind, options);
    case 'udp':
    case 'udp-listen':
      return openUdpEnd(spec, options);
    case 'echo':
      return openEcho(spec, options);
    case 'null':
      return openNull(spec, options);
    case 'tls':
    case 'tls-listen':
      return openTlsEnd(spec, options);
    case 'ws':
    case 'wss':
    case 'ws-listen':
      return openWebSocketEnd(spec, options);
    case 'tcp':
    case 'tcp-listen':
    case 'unix':
    case 'unix-listen':
    case 'qemu':
    case 'qemu-listen':
    case 'stdio':
    case 'exec':
      return openStreamEnd(spec, options);
  }
}
